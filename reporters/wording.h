// Every sentence that findings are told in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reporters/report.h"

namespace loopsan {

// Fills message and remedy of a finding whose other fields are complete.
void DescribeFinding(Finding& finding, std::string_view call_remedy);

// "handle at server.cc:12", or what is known of it.
std::string DescribeFrame(const ReportFrame& frame);

// A function's name without parameters and template arguments; a return type stays.
std::string BareName(std::string_view function);

// Who took part of a long turn: "task "relay" from relay.cc:12: 80 ms in 300 steps
// of up to 2 ms".
std::string DescribeShare(const std::string& task, const SourcePlace& site, uint64_t steps,
                          double seconds, double longest_seconds);

// 16 hexadecimal digits from what survives a rebuild: rule, call and function
// names without arguments, no addresses and no lines.
std::string Fingerprint(const Finding& finding);

// The line printed when a library finds something that will not end by itself.
std::string LiveFindingLine(const Finding& finding);

// The line printed while a stall goes on.
std::string LiveStallLine(const Finding& finding, double so_far_seconds);

}  // namespace loopsan
