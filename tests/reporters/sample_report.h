// One report with everything in it that can go wrong in a format: quotes,
// newlines, </script>, escape sequences of terminals, invalid UTF-8, NaN and
// infinity, the largest numbers, empty strings. Every reporter's golden test
// prints it.
#pragma once

#include "reporters/report.h"

namespace loopsan {

Report SampleReport();

}  // namespace loopsan
