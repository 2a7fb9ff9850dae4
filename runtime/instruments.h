// Instruments: what a program may watch in its own loop.
//
// Threads: the loop's only. An instrument that throws is reported and removed; a
// loop without instruments pays nothing for them.
#pragma once

#include <cstdint>
#include <source_location>
#include <string_view>

#include "runtime/event_port.h"

namespace loopsan {

class Instrument {
 public:
  // One step: of a task, or of a callback (task_id 0).
  struct Step {
    uint64_t task_id;
    std::string_view task_name;  // "" if it has none
    const char* file;            // where it was spawned or scheduled; never null
    uint32_t line;
  };

  virtual ~Instrument() = default;
  virtual void OnSpawn(const Step& /*task*/) {}
  virtual void OnStepBegin(const Step& /*step*/) {}
  virtual void OnStepEnd(const Step& /*step*/, Duration /*took*/) {}
  virtual void OnTaskExit(const Step& /*task*/, bool /*failed*/) {}
  // Around the loop's wait; `timeout` is negative if it has no limit.
  virtual void OnIdleBegin(Duration /*timeout*/) {}
  virtual void OnIdleEnd() {}
};

}  // namespace loopsan
