// Intent: what cannot be called is refused.
#include "runtime/sync_to_async.h"

const auto kCall = loopsan::SyncToAsync(1);
