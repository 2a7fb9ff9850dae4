// Feeds a JIT's map, whole and in pieces, and looks up what it may contain.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "reporters/perf_map.h"
#include "reporters/symbolizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  loopsan::PerfMap whole;
  whole.Append(text);
  loopsan::PerfMap pieces;
  const size_t step = size == 0 ? 1 : data[0] % 16 + 1;
  for (size_t at = 0; at < size; at += step) pieces.Append(text.substr(at, step));

  for (uint64_t address = 0; address < 0x2000; address += 7) {
    const std::string_view name = whole.Find(address);
    if (name != pieces.Find(address)) abort();
    if (!name.empty()) loopsan::FrameOfJitName(name);
  }
  if (whole.size() != pieces.size()) abort();
  loopsan::FrameOfJitName(text);
  return 0;
}
