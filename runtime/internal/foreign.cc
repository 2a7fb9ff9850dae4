#include "runtime/internal/foreign.h"

#include <array>
#include <mutex>
#include <optional>

#include "runtime/event_loop.h"
#include "runtime/internal/annotations.h"
#include "runtime/internal/findings.h"

namespace loopsan::internal {

namespace {

// The loop is asked through its handle: it may be closed, or gone, when a late
// resume comes.
struct TicketWithHandle final : ForeignTicket {
  explicit TicketWithHandle(EventLoop& the_loop) : handle(the_loop.Handle()) {}
  const LoopHandle handle;
};

void ReportResume(Rule rule, Site site, const char* message) noexcept try {
  Found found{.rule = rule, .message = message};
  found.where = site;
  Report(found);
} catch (...) {
  // Out of memory: the report is lost.
}

}  // namespace

void ForeignTicket::OnResume(const std::shared_ptr<ForeignTicket>& self) noexcept {
  if (resumed.exchange(true, std::memory_order_acq_rel)) {
    ReportResume(Rule::kResumedDone, site,
                 "a coroutine was resumed again after what it waited for was over");
    return;
  }
  if (EventLoop::Current() == loop) {
    if (waiter != nullptr) waiter->Wake();
    return;
  }
  if (DebugIsDefault() || debug) {
    ReportResume(Rule::kWrongThreadResume, site,
                 "a coroutine was resumed on a thread that does not run its loop; it goes on "
                 "where it belongs");
  }
  // A closed loop has nobody left who waits.
  static_cast<TicketWithHandle*>(self.get())->handle.CallSoon([self] {
    if (self->waiter != nullptr) self->waiter->Wake();
  });
}

Resumer Resumer::Make(std::shared_ptr<ForeignTicket> ticket) {
  for (;;) {
    ticket->OnResume(ticket);
    co_await std::suspend_always{};
  }
}

void Retire(Resumer resumer) noexcept try {
  struct Retired {
    std::mutex mutex;
    std::array<std::optional<Resumer>, 256> resumers;
    size_t next = 0;
  };
  static Retired& retired = *new Retired;
  const std::lock_guard lock(retired.mutex);
  retired.resumers[retired.next++ % retired.resumers.size()] = std::move(resumer);
} catch (...) {
  // Out of memory: a late resume of this one would not be noticed.
}

std::coroutine_handle<> ForeignWaiter::Prepare() {
  EventLoop& loop = EventLoop::Running();
  ticket_ = std::make_shared<TicketWithHandle>(loop);
  ticket_->waiter = this;
  ticket_->loop = &loop;
  ticket_->site = site();
  ticket_->debug = loop.debug();
  resumer_ = Resumer::Make(ticket_);
  return resumer_.handle();
}

ForeignWaiter::~ForeignWaiter() {
  if (ticket_ == nullptr) return;
  ticket_->waiter = nullptr;
  if (ticket_->debug) Retire(std::move(resumer_));
}

}  // namespace loopsan::internal
