// Intent: awaiting a Task that could be awaited again is refused.
#include "runtime/task.h"

loopsan::Task<> Work();

loopsan::Task<> Main() {
  loopsan::Task<> work = Work();
  co_await work;
}
