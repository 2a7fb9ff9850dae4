// The text of an event (segment::TextKind), written by the probe.
//
// Threads: any; a writer has its chunk for itself.
#pragma once

#include <cstdint>

#include "instrument/annotate.h"
#include "instrument/preload/probe.h"

namespace loopsan::probe {

struct Words {
  const char* text;
  uint32_t bytes;
};

inline Words Measure(const char* text, uint32_t limit) {
  uint32_t bytes = 0;
  while (text != nullptr && bytes < limit && text[bytes] != '\0') {
    ++bytes;
  }
  return {text, bytes};
}

// Appends fields to a chunk, and leaves out what finds no room; Add() returns false
// then.
class TextWriter {
 public:
  TextWriter(char* begin, uint32_t room) : begin_(begin), at_(begin), end_(begin + room) {}

  bool Add(segment::TextKind kind, const void* data = nullptr, uint32_t bytes = 0) {
    if (!Begin(kind, bytes)) {
      return false;
    }
    Append(data, bytes);
    return true;
  }
  void AddNumber(segment::TextKind kind, uint64_t number) { Add(kind, &number, sizeof number); }
  void AddText(segment::TextKind kind, const char* text) {
    if (text != nullptr) {
      const Words words = Measure(text, segment::kTextLimit);
      Add(kind, words.text, words.bytes);
    }
  }
  void AddSource(segment::TextKind kind, const loopsan_source* source) {
    if (source == nullptr) {
      return;
    }
    const Words file = Measure(source->file, segment::kTextLimit);
    const Words function = Measure(source->function, segment::kTextLimit);
    if (Begin(kind, sizeof source->line + file.bytes + 1 + function.bytes)) {
      Append(&source->line, sizeof source->line);
      Append(file.text, file.bytes);
      Append("", 1);
      Append(function.text, function.bytes);
    }
  }

  uint32_t bytes() const { return static_cast<uint32_t>(at_ - begin_); }

 private:
  bool Begin(segment::TextKind kind, uint32_t bytes) {
    const segment::TextField field{kind, static_cast<uint16_t>(bytes)};
    if (static_cast<uint64_t>(end_ - at_) < sizeof field + bytes) {
      return false;
    }
    Append(&field, sizeof field);
    return true;
  }
  void Append(const void* data, uint32_t bytes) {
    const char* from = static_cast<const char*>(data);
    for (uint32_t i = 0; i < bytes; ++i) {
      *at_++ = from[i];
    }
  }

  char* const begin_;
  char* at_;
  char* const end_;
};

// Runs `write` on what the event's snapshot has left of its last chunk, else on a
// chunk of its own. False if there is none.
template <typename Write>
bool WriteText(segment::Slot& slot, segment::Event& event, const Write& write) {
  constexpr uint32_t kEnough = segment::kChunkBytes / 4;
  const uint32_t used = event.snapshot_bytes % segment::kChunkBytes;
  uint32_t chunk = segment::kNoIndex;
  uint32_t offset = 0;
  if (event.first_chunk != segment::kNoIndex && used != 0 &&
      segment::kChunkBytes - used >= kEnough) {
    chunk = event.first_chunk + event.snapshot_bytes / segment::kChunkBytes;
    offset = used;
  } else {
    chunk = TakeChunks(slot, 1);
  }
  if (chunk == segment::kNoIndex) {
    slot.header.snapshots_dropped.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  TextWriter text(slot.chunks[chunk] + offset, segment::kChunkBytes - offset);
  write(text);
  event.text_chunk = chunk;
  event.text_offset = offset;
  event.text_bytes = text.bytes();
  return true;
}

}  // namespace loopsan::probe
