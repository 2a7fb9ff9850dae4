// Reports that are hard on a format, and small ones to change in tests.
#pragma once

#include <string>

#include "reporters/report.h"
#include "reporters/reporter.h"

namespace loopsan {

// What the reporter of this name writes, the version as 0.0.0.
std::string WriteAs(std::string_view format, const Report& report,
                    const ReporterOptions& options = {});

// A loop, and nothing that blocked it.
Report CleanReport();

// nanosleep in app::Serve() at /srv/src/serve.cc:12, called by main().
Finding SleepFinding();

// CleanReport() with that finding.
Report SleepReport();

// Every text of the program is full of what means something in some format:
// quotes, ]]>, </script>, escape sequences, backticks, invalid UTF-8. Times are
// NaN, infinite, negative and huge; lines are negative.
Report HostileReport();

// 10,000 findings at 10,000 places.
Report LargeReport();

}  // namespace loopsan
