// Intent: a coroutine function is refused where it is declared.
#include "runtime/sync_to_async.h"

loopsan::Task<int> Fetch(int id);

constexpr auto FetchOnThread = loopsan::SyncToAsync<&Fetch>();
