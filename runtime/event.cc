#include "runtime/event.h"

namespace loopsan {

void Event::Set(std::source_location here) {
  bound_.Check("Event::Set", here);
  set_ = true;
  while (internal::Waiter* const waiter = waiters_.front()) waiter->Wake();
}

void Event::Clear(std::source_location here) {
  bound_.Check("Event::Clear", here);
  set_ = false;
}

}  // namespace loopsan
