// Intent: a lambda that is a coroutine is refused where it is called.
#include "runtime/sync_to_async.h"

loopsan::Task<int> Main() {
  const auto fetch = [](int id) -> loopsan::Task<int> { co_return id; };
  const auto call = loopsan::SyncToAsync(fetch);
  co_await call(1);
  co_return 0;
}
