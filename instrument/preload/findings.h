// What a library found by itself, on its way to the collector; and what the
// collector found, on its way to a test.
#pragma once

#include "instrument/annotate.h"

namespace loopsan::probe {

// loopsan_annotations::finding. Any thread, with or without a loop; may wait for a
// helper, once. Everything is copied; errno is kept.
int ReportFinding(const loopsan_finding* finding);

// loopsan_annotations::take_findings. Any thread; sleeps. errno is kept.
int TakeFindings(uint32_t milliseconds, char* text, uint32_t bytes);

}  // namespace loopsan::probe
