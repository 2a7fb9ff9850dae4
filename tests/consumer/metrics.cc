// Intent: a program's own endpoint gets loopsan's metrics from the installed package.
#include "reporters/metrics_collectable.h"
#include "runtime/run.h"
#include "runtime/sleep.h"

namespace {

loopsan::Task<> Main() { co_await loopsan::SleepFor(std::chrono::milliseconds(1)); }

}  // namespace

int main() {
  const auto loops = loopsan::MetricsCollectable();
  if (!loops->Collect().empty()) return 1;  // no loop has run
  loopsan::Run(Main());
  return loops->Collect().empty() ? 2 : 0;
}
