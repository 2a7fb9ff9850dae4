// The live tasks of a loop as text. Made from fixed memory and without a lock, so
// that a signal handler can do it while the loop is stuck.
#pragma once

#include <cstddef>
#include <cstdint>

#include "instrument/annotate.h"

namespace loopsan::internal {

// Where the text goes: called with pieces of it.
struct TextSink {
  void (*write)(void* context, const char* text, size_t bytes);
  void* context;
};

// Threads: the loop's; async-signal-safe if the sink is.
void WriteTaskTree(const loopsan_loop& loop, const TextSink& sink) noexcept;

// g++ names the coroutine's inner function, "int Read(Read(Stream&)::_Z4Read.Frame*)":
// finds the "Read(Stream&)" in it. Other names lose only a Task<...> in front. Returns the length
// from `start`.
size_t ReadableFunction(const char* function, size_t& start) noexcept;

}  // namespace loopsan::internal
