// Intent: a callback that returns a coroutine is refused, with what to do instead.
#include "runtime/event_loop.h"

loopsan::Task<> Work();

void Schedule(loopsan::EventLoop& loop) {
  loop.CallSoon([] { return Work(); });
}
