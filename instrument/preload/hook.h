// What every hook is made of: the real function behind it, and the way out.
#pragma once

#include <dlfcn.h>
#include <errno.h>

#include <type_traits>

#include "instrument/preload/probe.h"

#define LOOPSAN_HOOK extern "C" __attribute__((visibility("default")))

namespace loopsan::probe {

// The next definition of a symbol behind ours, looked up at the first call:
// hooks run before our constructor does.
class RealFunction {
 public:
  constexpr RealFunction(const char* name, const char* version) : name_(name), version_(version) {}

  template <typename Signature>
  Signature* As() {
    return reinterpret_cast<Signature*>(Address());
  }

 private:
  void* Address() {
    void* const address = address_.load(std::memory_order_relaxed);
    return address != nullptr ? address : LookUp();
  }

  [[gnu::noinline, gnu::cold]] void* LookUp() {
    void* const address =
        version_ != nullptr ? dlvsym(RTLD_NEXT, name_, version_) : dlsym(RTLD_NEXT, name_);
    address_.store(address, std::memory_order_relaxed);
    return address;
  }

  const char* const name_;
  const char* const version_;
  std::atomic<void*> address_{nullptr};
};

// Makes the real call where the sampling signal cannot interrupt it.
template <typename Call>
[[gnu::always_inline]] inline auto Undisturbed(ThreadState& thread, const Call& call) {
  if (!thread.signalled) [[likely]] {
    return call();
  }
  const segment::SignalGuard before = HoldSignals(thread);
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    ReleaseSignals(before);
  } else {
    const auto result = call();
    ReleaseSignals(before);
    return result;
  }
}

// Makes the real call and closes its mark. Inlined into the hook, so that a
// cancelled thread unwinds through one frame that has nothing to clean up.
template <typename Result, typename Call>
[[gnu::always_inline]] inline Result Finish(ThreadState& thread, uint64_t sequence,
                                            segment::Category category, uint32_t call_id,
                                            const Caller& caller, uint64_t start, uint64_t arg0,
                                            uint64_t arg1, const Call& call,
                                            uint32_t call_place = segment::kNoIndex) {
  const auto close = [&](int64_t result) __attribute__((always_inline)) {
    // The thread may have become a child inside the call (fork from a handler).
    if (sequence == 0 || LoopThread() == nullptr) {
      return;
    }
    thread.cell->call_sequence.store(sequence + 1, std::memory_order_release);
    const uint64_t end = Now();
    if (category == segment::Category::kLock && InStep(thread)) {
      segment::CountDuration(*g_process.arena, thread.cell->lock_waits, end - start);
    }
    if (end - start >= FloorTicks(static_cast<uint32_t>(category))) {
      RecordCall(thread, CallRecord{call_id,
                                    call_place,
                                    caller,
                                    start,
                                    end,
                                    {arg0, arg1},
                                    result,
                                    static_cast<uint32_t>(errno)});
    }
  };
  if constexpr (std::is_void_v<Result>) {
    Undisturbed(thread, call);
    close(0);
  } else {
    const Result result = Undisturbed(thread, call);
    if constexpr (std::is_pointer_v<Result>) {
      close(result == nullptr ? -1 : 0);
    } else {
      close(static_cast<int64_t>(result));
    }
    return result;
  }
}

}  // namespace loopsan::probe
