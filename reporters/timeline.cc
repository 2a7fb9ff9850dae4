#include "reporters/timeline.h"

#include <algorithm>
#include <utility>

namespace loopsan {
namespace {

// Counters of another process are read one by one: they may be of two moments.
uint64_t Growth(uint64_t before, uint64_t after) { return after > before ? after - before : 0; }

bool IsInStep(const SegmentCell& cell) {
  return cell.exact.start != 0 || cell.state == segment::LoopState::kInStep;
}

uint64_t OpenStepStart(const SegmentCell& cell) {
  return cell.exact.start != 0 ? cell.exact.start : cell.step_start;
}

void Extend(LoopMeasure& first, const LoopMeasure& second) {
  first.end = second.end;
  first.busy += second.busy;
  first.idle += second.idle;
  first.cpu_nanoseconds += second.cpu_nanoseconds;
  first.turns += second.turns;
  first.longest_step = std::max(first.longest_step, second.longest_step);
}

// Adds to the last measure until that is as long as the resolution.
void Append(std::vector<LoopMeasure>& measures, const LoopMeasure& measure, uint64_t resolution) {
  if (!measures.empty() &&
      Growth(measures.back().begin, measure.end) <= resolution + resolution / 2) {
    Extend(measures.back(), measure);
  } else {
    measures.push_back(measure);
  }
}

}  // namespace

std::optional<LoopMeasure> LoopMeter::Look(const SegmentCell& cell,
                                           std::optional<uint64_t> cpu_nanoseconds, uint64_t now,
                                           bool last) {
  LoopMeasure counters;
  counters.end = now;
  counters.busy = cell.busy_ticks;
  counters.idle = cell.idle_ticks;
  counters.cpu_nanoseconds = cpu_nanoseconds.value_or(before_.cpu_nanoseconds);
  counters.turns = cell.turns;
  // The counters grow when something ends; what goes on has its share, too.
  if (cell.state == segment::LoopState::kInStep) counters.busy += Growth(cell.step_start, now);
  if (cell.state == segment::LoopState::kIdle) counters.idle += Growth(cell.last_change, now);
  if (IsInStep(cell)) {
    longest_open_ = std::max(longest_open_, Growth(OpenStepStart(cell), now));
  }
  if (!begun_) {
    begun_ = true;
    before_.end = now - std::min(now, counters.busy + counters.idle);
    before_.cpu_nanoseconds = counters.cpu_nanoseconds;
  }
  if (Growth(before_.end, now) < period_ && (!last || now <= before_.end)) return std::nullopt;

  LoopMeasure measure;
  measure.begin = before_.end;
  measure.end = now;
  measure.busy = Growth(before_.busy, counters.busy);
  measure.idle = Growth(before_.idle, counters.idle);
  measure.cpu_nanoseconds = Growth(before_.cpu_nanoseconds, counters.cpu_nanoseconds);
  measure.turns = Growth(before_.turns, counters.turns);
  // Steps too short for any look are at least known by their mean, and the longest
  // of all by the loop's own record.
  measure.longest_step =
      std::max(longest_open_, measure.busy / std::max<uint64_t>(1, measure.turns));
  if (cell.longest_step > longest_ever_) {
    measure.longest_step = std::max(measure.longest_step, cell.longest_step);
    longest_ever_ = cell.longest_step;
  }
  longest_open_ = 0;
  // What was taken for busy and turned out to be idle is not counted a second time.
  counters.busy = std::max(counters.busy, before_.busy);
  counters.idle = std::max(counters.idle, before_.idle);
  before_ = counters;
  return measure;
}

std::optional<IdleWait> WaitMeter::Look(const SegmentCell& cell, uint64_t now) {
  const bool idle = cell.state == segment::LoopState::kIdle;
  if (looks_ > 0 && idle && cell.last_change == begin_ && cell.turns == turns_) {
    looks_ = 2;
    last_look_ = now;
    return std::nullopt;
  }
  // What is read of a loop that changes may be of two moments: then the next look does
  // not meet the same wait, and it is forgotten.
  std::optional<IdleWait> ended = Finish();
  if (ended && cell.turns == turns_ + 1 && cell.step_start > last_look_) {
    ended->end = std::min(cell.step_start, now);
  }
  looks_ = idle ? 1 : 0;
  begin_ = cell.last_change;
  turns_ = cell.turns;
  last_look_ = now;
  return ended;
}

std::optional<IdleWait> WaitMeter::Finish() const {
  if (looks_ < 2 || last_look_ <= begin_) return std::nullopt;
  return IdleWait{begin_, last_look_};
}

TimelineRecorder::Track* TimelineRecorder::Find(const LoopId& loop,
                                                const std::string& thread_name) {
  const auto found = tracks_.find(loop);
  if (found != tracks_.end()) return &found->second;
  if (tracks_.size() >= kMaxLoops) {
    ++dropped_loops_;
    return nullptr;
  }
  Track& track = tracks_[loop];
  track.thread_name = thread_name;
  return &track;
}

void TimelineRecorder::AddMeasure(const LoopId& loop, const std::string& thread_name,
                                  const LoopMeasure& measure) {
  Track* track = Find(loop, thread_name);
  if (track == nullptr) return;
  Append(track->measures, measure, track->resolution);
  if (track->measures.size() <= kMaxIntervals) return;
  const std::vector<LoopMeasure> fine = std::exchange(track->measures, {});
  track->resolution = 2 * Growth(fine.front().begin, fine.back().end) / fine.size();
  for (const LoopMeasure& one : fine) Append(track->measures, one, track->resolution);
}

void TimelineRecorder::AddSpan(const LoopId& loop, const std::string& thread_name, const char* kind,
                               uint64_t begin, uint64_t end, const std::string& finding) {
  if (end <= begin) return;
  if (span_count_ >= kMaxSpans) {
    ++dropped_spans_;
    return;
  }
  Track* track = Find(loop, thread_name);
  if (track == nullptr) return;
  int index = -1;
  if (!finding.empty()) {
    index = finding_indices_.try_emplace(finding, static_cast<int>(finding_indices_.size()))
                .first->second;
  }
  track->spans.push_back({begin, end, kind, index});
  ++span_count_;
}

void TimelineRecorder::AddWait(const LoopId& loop, const std::string& thread_name,
                               const IdleWait& wait) {
  if (wait_count_ >= kMaxWaits) {
    ++dropped_waits_;
    return;
  }
  Track* track = Find(loop, thread_name);
  if (track == nullptr) return;
  track->spans.push_back({wait.begin, wait.end, "wait", -1});
  ++wait_count_;
}

uint64_t TimelineRecorder::Origin() const {
  if (origin_) return *origin_;
  uint64_t earliest = UINT64_MAX;
  for (const auto& [loop, track] : tracks_) {
    for (const LoopMeasure& measure : track.measures) earliest = std::min(earliest, measure.begin);
    for (const Span& span : track.spans) earliest = std::min(earliest, span.begin);
  }
  return earliest;
}

double TimelineRecorder::Since(uint64_t origin, uint64_t ticks) const {
  return clock_->Seconds(Growth(origin, ticks));
}

Timeline TimelineRecorder::Finish(const std::map<std::string, std::string>& finding_ids) const {
  std::vector<std::string> ids(finding_indices_.size());
  for (const auto& [key, index] : finding_indices_) {
    const auto id = finding_ids.find(key);
    if (id != finding_ids.end()) ids[static_cast<size_t>(index)] = id->second;
  }
  const uint64_t origin = Origin();
  Timeline timeline;
  timeline.dropped_spans = dropped_spans_;
  timeline.dropped_waits = dropped_waits_;
  timeline.dropped_loops = dropped_loops_;
  for (const auto& [loop, track] : tracks_) {
    LoopTimeline told;
    told.pid = loop.pid;
    told.thread_id = loop.thread;
    told.thread_name = track.thread_name;
    for (const LoopMeasure& measure : track.measures) {
      told.intervals.push_back({
          .start_seconds = Since(origin, measure.begin),
          .duration_seconds = clock_->Seconds(Growth(measure.begin, measure.end)),
          .busy_seconds = clock_->Seconds(measure.busy),
          .idle_seconds = clock_->Seconds(measure.idle),
          .cpu_seconds = static_cast<double>(measure.cpu_nanoseconds) * 1e-9,
          .longest_step_seconds = clock_->Seconds(measure.longest_step),
          .turns = measure.turns,
      });
    }
    for (const Span& span : track.spans) {
      told.spans.push_back({
          .kind = span.kind,
          .start_seconds = Since(origin, span.begin),
          .duration_seconds = clock_->Seconds(span.end - span.begin),
          .finding_id = span.finding >= 0 ? ids[static_cast<size_t>(span.finding)] : "",
      });
    }
    std::stable_sort(
        told.spans.begin(), told.spans.end(), [](const TimelineSpan& a, const TimelineSpan& b) {
          // Those around others come first.
          return a.start_seconds != b.start_seconds ? a.start_seconds < b.start_seconds
                                                    : a.duration_seconds > b.duration_seconds;
        });
    timeline.loops.push_back(std::move(told));
  }
  return timeline;
}

}  // namespace loopsan
