#include "reporters/segment_reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>

namespace loopsan {
namespace {

using segment::EventKind;
using segment::kNoIndex;

class SegmentReaderTest : public testing::Test {
 protected:
  SegmentReaderTest() : memory_(new(std::align_val_t{4096}) segment::Slot()) {}
  ~SegmentReaderTest() override { operator delete(memory_, std::align_val_t{4096}); }

  // What the probe does, without the probe.
  segment::Event& Publish(EventKind kind) {
    const uint64_t number = memory_->header.event_head.fetch_add(1);
    segment::Event& event = memory_->events[number % segment::kEventsPerSlot];
    event.kind = kind;
    event.place = event.call_place = event.site = kNoIndex;
    event.first_chunk = event.text_chunk = kNoIndex;
    event.published.store(number + 1);
    return event;
  }

  segment::Slot* memory_;
};

TEST_F(SegmentReaderTest, ReadsEventsInOrder) {
  Publish(EventKind::kCall).turn = 1;
  Publish(EventKind::kTurn).turn = 2;
  SegmentReader reader(memory_);
  const auto first = reader.NextEvent();
  const auto second = reader.NextEvent();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->turn, 1u);
  EXPECT_EQ(second->turn, 2u);
  EXPECT_FALSE(reader.NextEvent());
}

TEST_F(SegmentReaderTest, WaitsForAnEventThatIsBeingWritten) {
  memory_->header.event_head.store(1);
  SegmentReader reader(memory_);
  EXPECT_FALSE(reader.NextEvent());
}

TEST_F(SegmentReaderTest, SkipsAnEventWhoseWriterDied) {
  memory_->header.event_head.store(1);
  Publish(EventKind::kCall).turn = 9;
  SegmentReader reader(memory_);
  EXPECT_FALSE(reader.NextEvent());
  EXPECT_TRUE(reader.SkipStuckEvent());
  const auto event = reader.NextEvent();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->turn, 9u);
  EXPECT_FALSE(reader.SkipStuckEvent());
}

TEST_F(SegmentReaderTest, CopiesASnapshotAndGivesItsChunksBack) {
  segment::Event& event = Publish(EventKind::kCall);
  event.first_chunk = 2;
  event.snapshot_bytes = segment::kChunkBytes + 1;
  memory_->chunks[2][0] = 'a';
  memory_->chunks[3][0] = 'b';
  memory_->header.chunks_in_use.store(0b11101);
  SegmentReader reader(memory_);
  const auto read = reader.NextEvent();
  ASSERT_TRUE(read);
  ASSERT_EQ(read->stack.bytes.size(), segment::kChunkBytes + 1);
  EXPECT_EQ(read->stack.bytes.front(), 'a');
  EXPECT_EQ(read->stack.bytes.back(), 'b');
  EXPECT_EQ(memory_->header.chunks_in_use.load(), 0b10001u);
}

TEST_F(SegmentReaderTest, DropsAndCountsAnEventWithAnImpossibleIndex) {
  Publish(EventKind::kCall).call_id = 1u << 30;
  Publish(EventKind::kCall).cell = segment::kCellsPerSlot;
  Publish(EventKind::kCall).detail_bytes = segment::kDetailBytes + 1;
  Publish(static_cast<EventKind>(99));
  SegmentReader reader(memory_);
  EXPECT_FALSE(reader.NextEvent());
  EXPECT_EQ(reader.invalid_events(), 4u);
}

TEST_F(SegmentReaderTest, ReadsTheTextOfAnEventAndGivesItsChunkBack) {
  segment::Event& event = Publish(EventKind::kStep);
  event.task_id = 12;
  const segment::TextField field{segment::TextKind::kTaskName, 6};
  std::memcpy(memory_->chunks[5], &field, sizeof field);
  std::memcpy(memory_->chunks[5] + sizeof field, "reader", 6);
  event.text_chunk = 5;
  event.text_bytes = sizeof field + 6;
  memory_->header.chunks_in_use.store(0b100001);
  SegmentReader reader(memory_);
  const auto read = reader.NextEvent();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->text.context.task.name, "reader");
  EXPECT_EQ(read->text.context.task.id, 12u);
  EXPECT_EQ(memory_->header.chunks_in_use.load(), 1u);
}

TEST_F(SegmentReaderTest, ReadsATextBehindTheSnapshot) {
  segment::Event& event = Publish(EventKind::kCall);
  event.first_chunk = event.text_chunk = 1;
  event.snapshot_bytes = event.text_offset = 100;
  const segment::TextField field{segment::TextKind::kTaskName, 1};
  std::memcpy(memory_->chunks[1] + 100, &field, sizeof field);
  memory_->chunks[1][100 + sizeof field] = 'r';
  event.text_bytes = sizeof field + 1;
  memory_->header.chunks_in_use.store(0b11);
  Publish(EventKind::kCall).text_offset = segment::kChunkBytes;
  memory_->events[1].text_chunk = 0;
  memory_->events[1].text_bytes = 1;
  SegmentReader reader(memory_);
  const auto read = reader.NextEvent();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->stack.bytes.size(), 100u);
  EXPECT_EQ(read->text.context.task.name, "r");
  EXPECT_EQ(memory_->header.chunks_in_use.load(), 1u);
  EXPECT_TRUE(reader.NextEvent()) << "a text that lies outside its chunk is no text";
  EXPECT_EQ(memory_->header.chunks_in_use.load(), 1u);
}

TEST_F(SegmentReaderTest, HasATasksNameWhereNoChunkWasFree) {
  segment::Event& event = Publish(EventKind::kCall);
  std::memset(event.task, 'x', sizeof event.task);
  SegmentReader reader(memory_);
  const auto read = reader.NextEvent();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->text.context.task.name, std::string(segment::kTaskNameBytes, 'x'));
}

TEST_F(SegmentReaderTest, TakesAFindingThatNoLoopThreadReported) {
  Publish(EventKind::kFinding).cell = kNoIndex;
  Publish(EventKind::kCall).cell = kNoIndex;
  SegmentReader reader(memory_);
  const auto read = reader.NextEvent();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, EventKind::kFinding);
  EXPECT_FALSE(reader.NextEvent());
  EXPECT_EQ(reader.invalid_events(), 1u);
}

TEST_F(SegmentReaderTest, BelievesAStepOnlyWhileItDoesNotChange) {
  segment::LoopCell& cell = memory_->cells[0];
  cell.exact_start.store(77);
  cell.exact_sequence.store(3);
  SegmentReader reader(memory_);
  EXPECT_FALSE(reader.Step(0));
  cell.exact_sequence.store(4);
  ASSERT_TRUE(reader.Step(0));
  EXPECT_EQ(reader.Step(0)->start, 77u);
  EXPECT_EQ(reader.Cell(0).exact.start, 0u) << "no loop has told steps here";
  cell.exact_told.store(1);
  std::memset(cell.loop_kind, 'k', sizeof cell.loop_kind);
  EXPECT_EQ(reader.Cell(0).exact.start, 77u);
  EXPECT_EQ(reader.Cell(0).kind, std::string(segment::kLoopKindBytes, 'k'));
}

TEST_F(SegmentReaderTest, BelievesACallMarkOnlyWhileItIsOdd) {
  segment::LoopCell& cell = memory_->cells[0];
  cell.call_rsp.store(0x1000);
  SegmentReader reader(memory_);
  EXPECT_FALSE(reader.CallInProgress(0));
  cell.call_sequence.store(1);
  const auto call = reader.CallInProgress(0);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->registers.rsp, 0x1000u);
  cell.call_sequence.store(2);
  EXPECT_FALSE(reader.CallInProgress(0));
}

TEST_F(SegmentReaderTest, LeavesOutModulesWithImpossibleLengths) {
  memory_->header.module_count.store(1000);
  segment::Module& good = memory_->modules[0];
  std::memcpy(good.path, "/bin/x", 6);
  good.path_bytes = 6;
  good.start = 0x1000;
  good.end = 0x2000;
  memory_->modules[1] = good;
  memory_->modules[1].path_bytes = 100'000;
  memory_->modules[2] = good;
  memory_->modules[2].build_id_bytes = 77;
  SegmentReader reader(memory_);
  const auto modules = reader.Modules();
  ASSERT_EQ(modules.size(), 1u);
  EXPECT_EQ(modules[0].path, "/bin/x");
}

TEST_F(SegmentReaderTest, SurvivesAnyBytes) {
  std::mt19937_64 random(20230817);
  for (int round = 0; round < 50; ++round) {
    auto* words = reinterpret_cast<uint64_t*>(static_cast<void*>(memory_));
    for (size_t i = 0; i < offsetof(segment::Slot, chunks) / 8; ++i) {
      words[i] = random();
    }
    memory_->header.event_tail.store(random() % 1000);
    memory_->header.event_head.store(memory_->header.event_tail.load() + 500);
    for (uint64_t n = memory_->header.event_tail.load(); n < memory_->header.event_head.load();
         ++n) {
      memory_->events[n % segment::kEventsPerSlot].published.store(n + 1);
    }
    SegmentReader reader(memory_);
    uint64_t valid = 0;
    while (reader.NextEvent()) ++valid;
    EXPECT_EQ(valid + reader.invalid_events(), 500u);
    for (uint32_t i = 0; i < segment::kPlacesPerSlot; ++i) (void)reader.Place(i);
    for (uint32_t i = 0; i < segment::kCellsPerSlot; ++i) {
      (void)reader.CallInProgress(i);
      (void)reader.Cell(i);
    }
    EXPECT_LE(reader.Modules().size(), segment::kModulesPerSlot);
  }
}

}  // namespace
}  // namespace loopsan
