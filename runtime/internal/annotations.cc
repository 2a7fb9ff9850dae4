// Compiled with -fPIC: a weak reference would not resolve in an executable that is
// not position independent, so the symbol is looked up by name.
#include "runtime/internal/annotations.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdexcept>
#include <string>

namespace loopsan::internal {

namespace {

const loopsan_annotations* LookUp() noexcept {
  auto* const function = reinterpret_cast<loopsan_annotations_function>(
      dlsym(RTLD_DEFAULT, LOOPSAN_ANNOTATIONS_SYMBOL));
  if (function == nullptr) return nullptr;
  const loopsan_annotations* const found = function();
  return found != nullptr && found->version == LOOPSAN_ANNOTATIONS_VERSION &&
                 found->bytes >= sizeof(loopsan_annotations)
             ? found
             : nullptr;
}

#if defined(__x86_64__)
bool KernelUsesTsc() noexcept {
  FILE* const file =
      fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
  if (file == nullptr) return false;
  char name[16] = {};
  const bool read = fgets(name, sizeof name, file) != nullptr;
  fclose(file);
  return read && strcmp(name, "tsc\n") == 0;
}

double MeasureTsc() noexcept {
  const uint64_t start = MonotonicNanoseconds();
  const uint64_t start_ticks = __builtin_ia32_rdtsc();
  uint64_t now = start;
  while (now - start < 300'000) now = MonotonicNanoseconds();
  return static_cast<double>(__builtin_ia32_rdtsc() - start_ticks) /
         static_cast<double>(now - start) * 1e9;
}
#endif

}  // namespace

#if defined(__x86_64__)
const bool g_kernel_uses_tsc = KernelUsesTsc();
#endif

const loopsan_annotations* Annotations() noexcept {
  static const loopsan_annotations* const found = LookUp();
  return found;
}

double TicksPerSecond() noexcept {
#if defined(__x86_64__)
  static const double rate = g_kernel_uses_tsc ? MeasureTsc() : 1e9;
  return rate;
#else
  return 1e9;
#endif
}

bool DebugWanted() {
  const char* const value = getenv("LOOPSAN");
  if (value == nullptr) return false;
  const std::string text(value);
  for (const char* off : {"", "0", "false", "no", "off"}) {
    if (strcasecmp(value, off) == 0) return false;
  }
  for (const char* on : {"1", "true", "yes", "on"}) {
    if (strcasecmp(value, on) == 0) return true;
  }
  throw std::invalid_argument(
      "LOOPSAN=" + text +
      " is not understood; use LOOPSAN=1 (true, yes, on) for the debug mode or "
      "LOOPSAN=0 (false, no, off)");
}

bool DebugIsDefault() noexcept {
  static const bool wanted = [] {
    try {
      return DebugWanted() || Annotations() != nullptr;
    } catch (const std::invalid_argument&) {
      return false;  // the first loop says so
    }
  }();
  return wanted;
}

}  // namespace loopsan::internal
