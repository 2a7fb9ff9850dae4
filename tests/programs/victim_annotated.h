// A loop library and its coroutines, by hand: what instrument/annotate.h says of
// them is real, but nothing is ever suspended. So every line that a report must
// name is one that a person can point at.
#pragma once

#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <source_location>
#include <string>

#include "instrument/annotate.h"

namespace annotated {

inline const loopsan_source* Here(std::source_location here = std::source_location::current()) {
  const loopsan_source* source;
  static_assert(sizeof source == sizeof here);
  __builtin_memcpy(&source, &here, sizeof source);
  return source;
}

// A task that is linked while it lives.
struct Task {
  Task(loopsan_loop& loop, const char* name, const loopsan_source* spawned_at, uint64_t spawner = 0)
      : loop(loop) {
    static uint64_t last_id = 0;
    record.id = ++last_id;
    record.name = name;
    record.spawned_at = spawned_at;
    record.spawner = spawner;
    record.next = loop.first_task;
    if (record.next != nullptr) record.next->previous = &record;
    loop.first_task = &record;
  }
  ~Task() {
    if (record.previous != nullptr) {
      record.previous->next = record.next;
    } else {
      loop.first_task = record.next;
    }
    if (record.next != nullptr) record.next->previous = record.previous;
  }
  Task(const Task&) = delete;

  loopsan_loop& loop;
  loopsan_task record{};
};

// The running coroutine while it lives; its awaiter goes on when it dies.
class Coroutine {
 public:
  Coroutine(loopsan_loop& loop, Task& task, const loopsan_source* defined_at)
      : loop_(loop), task_(task), awaiter_(task.record.innermost) {
    frame_.parent = awaiter_;
    frame_.defined_at = defined_at;
    frame_.root = loop.root;
    if (awaiter_ != nullptr) awaiter_->root = nullptr;
    loop.root->top_frame = &frame_;
    task.record.innermost = &frame_;
  }
  ~Coroutine() {
    task_.record.innermost = awaiter_;
    loop_.root->top_frame = awaiter_;
    if (awaiter_ != nullptr) awaiter_->root = loop_.root;
  }
  Coroutine(const Coroutine&) = delete;

  void AwaitsAt(const loopsan_source* site) { frame_.awaiting_at = site; }

 private:
  loopsan_loop& loop_;
  Task& task_;
  loopsan_async_frame* const awaiter_;
  loopsan_async_frame frame_{};
};

// Runs steps that it is given; waits with epoll in between.
class Loop {
 public:
  explicit Loop(uint32_t flags = 0)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)), event_(eventfd(1, EFD_CLOEXEC)) {
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event);
    epoll_ctl(epoll_, EPOLL_CTL_ADD, eventfd(0, EFD_CLOEXEC), &event);
    const auto find = reinterpret_cast<loopsan_annotations_function>(
        dlsym(RTLD_DEFAULT, LOOPSAN_ANNOTATIONS_SYMBOL));
    if (find != nullptr) annotations_ = find();
    record.name = "main loop";
    record.kind = "by-hand";
    record.flags = flags;
    if (annotations_ != nullptr && annotations_->loop_begin(&record) == 0) annotations_ = nullptr;
  }
  ~Loop() {
    if (annotations_ != nullptr) annotations_->loop_end(&record);
    close(event_);
    close(epoll_);
  }
  Loop(const Loop&) = delete;

  bool watched() const { return annotations_ != nullptr; }
  const loopsan_annotations* annotations() const { return annotations_; }

  // A step of a task: what it resumes runs on top of this frame.
  __attribute__((noinline)) void RunStep(Task& task, const std::function<void()>& resume) {
    loopsan_async_root root{};
    root.stack_frame = __builtin_frame_address(0);
    root.next_root = record.root;
    record.current = &task.record;
    record.root = &root;
    if (annotations_ != nullptr) annotations_->step(&record, &task.record, nullptr);
    resume();
    record.root = root.next_root;
    record.current = nullptr;
  }

  __attribute__((noinline)) void RunCallback(const loopsan_source* created_at,
                                             const std::function<void()>& callback) {
    if (annotations_ != nullptr) annotations_->step(&record, nullptr, created_at);
    callback();
  }

  // The loop's own wait: returns at once, because its event is always ready.
  __attribute__((noinline)) void Turn() {
    if (annotations_ != nullptr) annotations_->idle(&record);
    epoll_event events[4];
    epoll_wait(epoll_, events, 4, 1000);
  }

  // As Turn(), for a loop that waits by itself. The event is always ready.
  int epoll() const { return epoll_; }
  void Idle() {
    if (annotations_ != nullptr) annotations_->idle(&record);
  }

  loopsan_loop record{};

 private:
  int epoll_;
  int event_;
  const loopsan_annotations* annotations_ = nullptr;
};

}  // namespace annotated
