// The page that `--metrics` serves at `/`, for who has no dashboard: which loops there
// are, how busy they are, what holds one up right now, and which lines took the most
// time. The page fetches `/status.json` every two seconds; both only show what is so.
//
// Threads: any; no state.
#pragma once

#include <string>

#include "reporters/report.h"

namespace loopsan {

// One HTML document that needs nothing else but `status.json`, which it asks for
// relative to its own address. It links to `metrics` and `report.json` there.
std::string StatusPage();

// What the page shows of `report`, the report of the run so far; docs/report-format.md
// has the fields. At most 512 KiB, whatever the program named its threads and files:
// it is a small part of the report, meant to be asked for often.
std::string StatusJson(const Report& report);

}  // namespace loopsan
