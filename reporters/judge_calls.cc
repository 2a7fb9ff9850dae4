// Blocking calls: which are worth a finding.
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "instrument/blocking_calls.h"
#include "reporters/internal/judge_private.h"
#include "reporters/loop_functions.h"
#include "reporters/reporter.h"

namespace loopsan {

using namespace judging;  // NOLINT: the judge's own words

namespace {

std::string DescribeSocketAddress(const std::string& bytes) {
  uint16_t family = 0;
  if (bytes.size() < sizeof family) return "";
  memcpy(&family, bytes.data(), sizeof family);
  if (family == AF_INET && bytes.size() >= sizeof(sockaddr_in)) {
    sockaddr_in address;
    memcpy(&address, bytes.data(), sizeof address);
    const uint32_t ip = ntohl(address.sin_addr.s_addr);
    return absl::StrFormat("%d.%d.%d.%d:%d", ip >> 24, (ip >> 16) & 255, (ip >> 8) & 255, ip & 255,
                           ntohs(address.sin_port));
  }
  if (family == AF_INET6 && bytes.size() >= sizeof(sockaddr_in6)) {
    sockaddr_in6 address;
    memcpy(&address, bytes.data(), sizeof address);
    return absl::StrCat("IPv6 port ", ntohs(address.sin6_port));
  }
  return "";
}

}  // namespace

std::string_view judging::CategoryName(Category category) {
  constexpr std::string_view kNames[] = {"sleep",   "dns",    "file", "stdio", "socket",
                                         "process", "thread", "lock", "wait"};
  return kNames[static_cast<uint32_t>(category)];
}

void Judge::Private::HandleCall(Process& process, uint32_t cell, Loop& loop,
                                const EventSeen& seen) {
  const SegmentEvent& event = seen.event;
  const BlockingCallRow& row = kBlockingCalls[event.call_id];
  SiteSeen& site = process.sites[event.site];
  const auto drop = [&](uint64_t* counter) {
    if (counter != nullptr) ++*counter;
    site.finding_key.clear();
  };
  const bool exact = event.exact_step != 0;
  const auto place = loop.places.find(event.place);
  if (!exact && (place == loop.places.end() || !place->second.has_stack)) {
    if (loop.waiting.size() < kMaxPending) {
      loop.waiting.push_back(seen);
    } else {
      drop(&dropped_.unsure);
    }
    return;
  }
  // A call on a non-blocking descriptor that took long was kept from running.
  const bool is_file =
      seen.descriptor && !seen.descriptor->target.empty() && seen.descriptor->target[0] == '/';
  if (seen.descriptor && seen.descriptor->valid && seen.descriptor->nonblocking && !is_file) {
    return drop(nullptr);
  }
  if (event.result < 0 && (event.error == EAGAIN || event.error == EINPROGRESS) &&
      row.category != Category::kDns) {
    return drop(nullptr);
  }
  const double seconds = clock_->Seconds(event.end - event.start);
  const bool always_waits = row.category == Category::kSleep || row.category == Category::kDns;
  if (!always_waits && !seen.seen_asleep && options_.calls == CallsMode::kFloor &&
      seen.waited_seconds > kMostOfIt * seconds) {
    ++descheduled_;
    descheduled_worst_ = std::max(descheduled_worst_, seconds);
    return drop(nullptr);
  }
  JudgedCall call;
  call.site = event.site;
  call.call_id = event.call_id;
  call.turn = event.turn;
  call.place = event.place;
  call.start = event.start;
  call.end = event.end;
  call.category = CategoryName(row.category);
  if (!event.stack.bytes.empty()) {
    call.stack = process.stacks->Unwind(event.stack);
  } else {
    // No snapshot: perhaps the watcher looked while it went on.
    for (const Sample& sample : exact ? loop.step_samples : loop.samples) {
      if (sample.call && sample.call->start == event.start) {
        call.stack = sample.stack;
      }
    }
    if (call.stack.frames.empty()) {
      RawStack registers = event.stack;
      call.stack = process.stacks->Unwind(registers);
    }
  }
  if (seen.descriptor && !seen.descriptor->target.empty()) {
    call.detail = absl::StrCat("fd ", event.args[0], " -> ", seen.descriptor->target);
    if (row.category == Category::kFile && seen.descriptor->target.rfind("socket:", 0) == 0) {
      call.category = CategoryName(Category::kSocket);
    }
  } else if (row.detail == CallDetail::kFd || row.detail == CallDetail::kAddress) {
    call.detail = absl::StrCat("fd ", event.args[0]);
  } else if (row.detail == CallDetail::kTime && event.args[0] != 0) {
    call.detail = FormatSeconds(static_cast<double>(event.args[0]) * 1e-9);
  }
  if (event.detail_kind == segment::DetailKind::kText) {
    call.detail = event.detail;
  } else if (event.detail_kind == segment::DetailKind::kSocketAddress) {
    const std::string address = DescribeSocketAddress(event.detail);
    if (!address.empty()) call.detail = absl::StrCat("fd ", event.args[0], " to ", address);
  }
  if (exact) {
    call.context = event.text.context;
    return AcceptExactCall(process, cell, loop, std::move(call));
  }
  if (row.category == Category::kWait && event.call_place != kNoIndex) {
    const auto own = loop.places.find(event.call_place);
    if (own != loop.places.end() && own->second.verdict == Verdict::kIdle) {
      return drop(nullptr);  // another loop's own wait, judged after the call began
    }
  }
  call.placement = PlaceStack(process, loop, event.place, call.stack);
  if (row.category == Category::kWait && call.placement.found && call.placement.dispatch == 0 &&
      event.call_place != kNoIndex) {
    return drop(nullptr);  // the loop's own second wait
  }
  if (row.category == Category::kLock && call.placement.found && place->second.loop_level >= 0) {
    bool pool = true;
    for (size_t i = 0; i <= call.placement.dispatch && i < call.stack.frames.size(); ++i) {
      pool = pool && IsPoolWaitFunction(Name(process, call.stack.frames[i]));
    }
    if (pool) return drop(nullptr);  // a pool's thread waits for work
  }
  if (event.kind == EventKind::kCall) {
    Learn(process, cell, loop, event.place, event.turn, call.placement);
    call.placement = PlaceStack(process, loop, event.place, call.stack);
  }
  SettleCall(process, cell, loop, std::move(call));
}

void Judge::Private::SettleCall(Process& process, uint32_t cell, Loop& loop, JudgedCall call) {
  SiteSeen& site = process.sites[call.site];
  switch (call.placement.standing) {
    case Standing::kOutside:
      ++dropped_.outside_loop;
      site.finding_key.clear();
      return;
    case Standing::kUnsure:
      if (loop.pending.size() < kMaxPending) {
        loop.pending.push_back(std::move(call));
      } else {
        ++dropped_.unsure;
      }
      return;
    case Standing::kInStep:
      break;
  }
  const auto place = loop.places.find(call.place);
  if (place != loop.places.end() && place->second.ends_ambiguously && call.turn >= loop.turns &&
      !call.in_progress && loop.until_closed.size() < kMaxPending) {
    loop.until_closed.push_back(std::move(call));
    return;
  }
  AcceptCall(process, cell, loop, call);
}

void Judge::Private::FlushClosed(Process& process, uint32_t cell, Loop& loop, uint64_t turn) {
  std::vector<JudgedCall> open;
  for (JudgedCall& call : std::exchange(loop.until_closed, {})) {
    if (call.turn < turn) {
      AcceptCall(process, cell, loop, call);
    } else {
      open.push_back(std::move(call));
    }
  }
  loop.until_closed = std::move(open);
}

void Judge::Private::AcceptCall(Process& process, uint32_t cell, Loop& loop,
                                const JudgedCall& call) {
  const BlockingCallRow& row = kBlockingCalls[call.call_id];
  const std::string key =
      absl::StrCat("call|", call.call_id, "|", process.executable, "|",
                   StackKey(process, call.stack, 0, call.placement.dispatch + 1), "|",
                   call.context ? ContextKey(*call.context) : "");
  SiteSeen& site = process.sites[call.site];
  if (findings_.size() >= kMaxFindings && !findings_.contains(key)) {
    ++dropped_.sites;
    return;
  }
  Finding finding;
  finding.rule = "blocking-call";
  finding.level = "error";
  finding.category = call.category;
  finding.call = row.name;
  finding.detail = call.detail;
  finding.cause = row.category == Category::kLock ? "lock" : "blocking-call";
  finding.thread_id = loop.tid;
  finding.thread_name = loop.thread_name;
  if (call.context) TellStep(process, *call.context, call.stack, finding);
  FindingEntry& entry = Merge(process, cell, key, std::move(finding), call.stack, row.remedy);
  const double seconds = clock_->Seconds(call.end - call.start);
  if (seconds > entry.finding.max_seconds) {
    entry.finding.detail = call.detail;
    if (call.context) entry.finding.task = call.context->task;
  }
  Count(entry, process, cell, seconds);
  entry.finding.in_progress = entry.finding.in_progress || call.in_progress;
  if (!call.in_progress) site.finding_key = key;
  timeline_.AddSpan(TimelineId(process, loop), loop.thread_name, "blocking-call", call.start,
                    call.end, key);
}

// Short calls are told only now and then, and events may be lost; the totals have them
// all.
void Judge::Private::Credit(Process& process, const std::vector<SiteTotals>& sites) {
  for (const SiteTotals& site : sites) {
    const auto seen = process.sites.find(site.index);
    if (seen == process.sites.end() || seen->second.finding_key.empty()) continue;
    SiteSeen& known = seen->second;
    const uint64_t count = known.events + known.credited;
    const auto found = findings_.find(known.finding_key);
    if (site.totals.count <= count || found == findings_.end()) continue;
    const uint64_t more = site.totals.count - count;
    const uint64_t ticks = known.ticks + known.credited_ticks;
    const uint64_t more_ticks =
        site.totals.total_ticks > ticks ? site.totals.total_ticks - ticks : 0;
    known.credited += more;
    known.credited_ticks += more_ticks;
    Finding& finding = found->second.finding;
    const double seconds = clock_->Seconds(more_ticks);
    finding.count += more;
    finding.total_seconds += seconds;
    finding.max_seconds = std::max(finding.max_seconds, clock_->Seconds(site.totals.worst_ticks));
    const bool suppressed = actions_.is_suppressed && actions_.is_suppressed(finding);
    metrics_.Found(process.key, known.cell, finding,
                   {.count = more, .seconds = seconds, .suppressed = suppressed});
  }
}

}  // namespace loopsan
