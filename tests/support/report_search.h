// Questions that tests ask of a JSON report.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/loopsan_run.h"

namespace loopsan::testing {

// The place of `marker` in a source file, found when the test runs so that an
// edit of the file breaks no test.
struct MarkedLines {
  std::string file;
  int first = 0;
  int last = 0;
};

// The line that ends in "// BLOCK: marker", or those from "marker.begin" to
// "marker.end". Throws if there is none or more than one.
MarkedLines FindMarker(const std::string& file, std::string_view marker);

// Empty fields match everything.
struct FindingQuery {
  std::string rule;
  std::vector<std::string> calls;  // any of them
  std::string function;            // part of the name of any frame
  MarkedLines lines;               // of any frame; together with `function` of the same frame
  std::string detail;              // part of it
};

std::vector<Json> FindingsThat(const Json& report, const FindingQuery& query);

// The first frame that matches the query's function and lines, or null.
Json FrameThat(const Json& finding, const FindingQuery& query);

// No blocking call and no stall, not even on a thread that may be no loop, in a
// report that saw a loop turn.
::testing::AssertionResult AccusesNobody(const Json& report);

// Turns of all loops of all processes.
uint64_t TurnsIn(const Json& report);

// For a failing test: what the command said and what was found.
std::string Describe(const LoopsanResult& result);

}  // namespace loopsan::testing
