// Intent: a coroutine function with bound arguments is refused where it is called.
#include <functional>

#include "runtime/sync_to_async.h"

loopsan::Task<int> Fetch(int id);

loopsan::Task<int> Main() {
  const auto call = loopsan::SyncToAsync(std::bind_front(&Fetch, 1));
  co_await call();
  co_return 0;
}
