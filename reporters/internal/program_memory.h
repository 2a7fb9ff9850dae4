// The objects that a library shows through instrument/annotate.h, read from the
// memory of the program while it goes on.
//
// Every byte comes from the watched process: lengths and counts are bounded, text
// is taken as it is.
//
// Threads: any; no state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "reporters/step_context.h"

namespace loopsan {

inline constexpr size_t kChainLimit = 256;  // coroutines of one chain

template <typename T>
uint64_t Address(const T* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

// Empty if not all of it could be read.
template <typename T>
std::optional<T> ReadObject(uint64_t address, const ReadMemory& read) {
  T object;
  if (address == 0 || read(address, &object, sizeof object) != sizeof object) {
    return std::nullopt;
  }
  return object;
}

// A string that ends in a 0, at most segment::kTextLimit bytes of it.
std::string ReadText(const char* text, const ReadMemory& read);

// A loopsan_source; empty if it cannot be read.
SourcePlace ReadSource(uint64_t address, const ReadMemory& read);

// The loopsan_async_frame at `address` and those that wait for it, added to
// `context.chain`, up to kChainLimit.
void ReadChain(uint64_t address, const ReadMemory& read, StepContext& context);

}  // namespace loopsan
