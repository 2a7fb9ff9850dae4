// Intent: no text in LOOPSAN_OPTIONS may crash the parser, and what it accepts
// is a setting that the rest can work with.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "reporters/options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  loopsan::Options options;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)loopsan::ParseOptions(text, options);
  if (!(options.threshold_seconds > 0 && options.threshold_seconds <= 86400)) std::abort();
  std::ostringstream out;
  loopsan::PrintOptions(options, out);
  return 0;
}
