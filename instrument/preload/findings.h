// What a library found by itself, on its way to the collector.
#pragma once

#include "instrument/annotate.h"

namespace loopsan::probe {

// loopsan_annotations::finding. Any thread, with or without a loop; may wait for a
// helper, once. Everything is copied; errno is kept.
int ReportFinding(const loopsan_finding* finding);

}  // namespace loopsan::probe
