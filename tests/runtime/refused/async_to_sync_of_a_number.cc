// Intent: what cannot be called is refused.
#include "runtime/async_to_sync.h"

const auto kCall = loopsan::AsyncToSync(1);
