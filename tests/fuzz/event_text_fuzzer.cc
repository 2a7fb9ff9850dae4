// Any bytes as the text of an event: what comes out keeps its limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "instrument/annotate.h"
#include "reporters/step_context.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopsan;
  const EventText text = ParseEventText({reinterpret_cast<const char*>(data), size});
  if (text.context.chain.size() > 256 || text.return_addresses.size() > 64 ||
      text.shares.size() > 64 || text.members.size() > LOOPSAN_FINDING_MEMBERS) {
    abort();
  }
  for (const MemberTold& member : text.members) {
    if (member.return_addresses.size() > LOOPSAN_MEMBER_FRAMES) abort();
  }
  return 0;
}
