#include "reporters/internal/program_memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "instrument/annotate.h"
#include "reporters/symbolizer.h"

namespace loopsan {
namespace {

constexpr size_t kTextLimit = segment::kTextLimit;
constexpr size_t kPage = 4096;

}  // namespace

std::string ReadText(const char* text, const ReadMemory& read) {
  std::string result;
  uint64_t at = Address(text);
  while (at != 0 && result.size() < kTextLimit) {
    // Up to the end of the page: the string may be the last thing mapped.
    char buffer[256];
    const size_t wanted = std::min({sizeof buffer, kPage - at % kPage, kTextLimit - result.size()});
    const size_t got = read(at, buffer, wanted);
    const size_t length = strnlen(buffer, got);
    result.append(buffer, length);
    if (length < wanted) break;
    at += got;
  }
  return result;
}

SourcePlace ReadSource(uint64_t address, const ReadMemory& read) {
  SourcePlace place;
  if (const auto source = ReadObject<loopsan_source>(address, read)) {
    place.file = ReadText(source->file, read);
    place.function = CoroutineName(ReadText(source->function, read));
    place.line = static_cast<int>(std::min(source->line, uint32_t{1} << 30));
  }
  return place;
}

void ReadChain(uint64_t address, const ReadMemory& read, StepContext& context) {
  while (address != 0) {
    const auto frame = ReadObject<loopsan_async_frame>(address, read);
    if (!frame) return;
    if (context.chain.size() == kChainLimit) {
      context.chain_cut = true;
      return;
    }
    CoroutineFrame one;
    one.running = context.chain.empty() && frame->root != nullptr;
    one.awaiting_at = ReadSource(Address(frame->awaiting_at), read);
    one.defined_at = ReadSource(Address(frame->defined_at), read);
    context.chain.push_back(std::move(one));
    address = Address(frame->parent);
  }
}

}  // namespace loopsan
