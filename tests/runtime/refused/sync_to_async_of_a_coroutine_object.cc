// Intent: an object whose operator() is a coroutine is refused where it is called.
#include "runtime/sync_to_async.h"

struct Fetch {
  loopsan::Task<int> operator()(int id) const;
};

loopsan::Task<int> Main() {
  const auto call = loopsan::SyncToAsync(Fetch());
  co_await call(1);
  co_return 0;
}
