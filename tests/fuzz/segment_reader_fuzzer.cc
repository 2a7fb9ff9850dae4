// Any bytes in a slot: the reader drains them without a crash. The input is laid
// over the slot from its start; a first byte chooses how far the ring is filled.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#include "reporters/segment_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopsan;
  static auto* slot = new (std::align_val_t{4096}) segment::Slot();
  constexpr size_t kBytes = offsetof(segment::Slot, chunks);
  if (size < 2) return 0;
  const size_t filled = 1 + data[0] % 8;
  std::memset(static_cast<void*>(slot), 0, kBytes);
  // The tables lie far apart: the same bytes for each of them.
  const uint8_t* body = data + 1;
  const size_t bytes = size - 1;
  const auto lay = [&](void* to, size_t room) { std::memcpy(to, body, std::min(room, bytes)); };
  lay(slot->cells, sizeof slot->cells);
  lay(slot->places, sizeof slot->places);
  lay(slot->sites, sizeof slot->sites);
  lay(slot->events, sizeof slot->events);
  lay(slot->modules, sizeof slot->modules);
  slot->header.module_count.store(data[0]);
  slot->header.event_head.store(filled);
  for (size_t i = 0; i < filled; ++i) slot->events[i].published.store(i + 1);
  SegmentReader reader(slot);
  while (reader.NextEvent()) {
  }
  for (uint32_t i = 0; i < segment::kPlacesPerSlot; ++i) (void)reader.Place(i);
  for (uint32_t i = 0; i < segment::kCellsPerSlot; ++i) {
    (void)reader.Cell(i);
    (void)reader.CallInProgress(i);
  }
  for (uint32_t i = 0; i < segment::kSitesPerSlot; ++i) (void)reader.Site(i);
  (void)reader.Modules();
  return 0;
}
