// Intent: a Task in place of its function is refused, with what to write instead.
#include "runtime/async_to_sync.h"

loopsan::Task<int> Fetch(int id);

const auto kCall = loopsan::AsyncToSync(Fetch(1));
