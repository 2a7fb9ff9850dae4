// What blocked an event loop in a part of a test, for any test framework.
// gtest_blocking.h beside this file is made of it, for GoogleTest.
//
//   loopsan::BlockingScope scope;
//   io.run();
//   for (const loopsan::Blocking& blocking : scope.Take()) ...
//
// The tests run under `loopsan run`, with a preloaded probe, or link loopsan::debug. Else
// nothing is known: IsWatched() is false, and Take() returns nothing.
//
// What is seen: what `loopsan run` reports as errors and warnings, of loops of this process, on
// any of its threads. A step is judged when it has ended: with the loop's next wait, the
// loop's end, or, where the loop tells its steps, by itself. What blocks behind the loop's last
// wait is not the loop's.
//
// Threads: one at a time.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "instrument/annotate.h"

namespace loopsan {

// One place where a loop was blocked.
struct Blocking {
  double seconds = 0;   // taken from the loop there, all times together
  std::string rule;     // "blocking-call", "stall", or a library's own
  std::string message;  // for people: what, how long, called from where
};

class BlockingScope {
 public:
  // What was found before does not count; it is kept for TakeAll().
  BlockingScope() { Waiting() = TakeAll(); }
  BlockingScope(const BlockingScope&) = delete;
  BlockingScope& operator=(const BlockingScope&) = delete;

  // A collector answers for this process.
  static bool IsWatched() { return Annotations() != nullptr; }

  // What has been found since the scope began, or since the last call. Waits for the
  // collector, up to 10 s; IsAnswered() is false if that was not enough.
  std::vector<Blocking> Take() { return Ask(answered_); }
  bool IsAnswered() const { return answered_; }

  // All that nobody has taken yet, also from before a scope began.
  // `answered` (may be null) as IsAnswered().
  static std::vector<Blocking> TakeAll(bool* answered = nullptr) {
    bool is_answered = false;
    std::vector<Blocking> all = std::exchange(Waiting(), {});
    for (Blocking& one : Ask(is_answered)) all.push_back(std::move(one));
    if (answered != nullptr) *answered = is_answered;
    return all;
  }

 private:
  static constexpr uint32_t kPatienceMilliseconds = 10'000;
  static constexpr uint32_t kTextBytes = 8 * 1024;

  static const loopsan_annotations* Annotations() {
    static const loopsan_annotations* const found = [] {
      loopsan_annotations_function function = nullptr;
      void* const symbol = dlsym(RTLD_DEFAULT, LOOPSAN_ANNOTATIONS_SYMBOL);
      std::memcpy(&function, &symbol, sizeof function);
      const loopsan_annotations* const table = function != nullptr ? function() : nullptr;
      const bool knows = table != nullptr && table->version == LOOPSAN_ANNOTATIONS_VERSION &&
                         table->bytes >= sizeof(loopsan_annotations);
      return knows ? table : nullptr;
    }();
    return found;
  }

  // Found, and not yet asked for.
  static std::vector<Blocking>& Waiting() {
    static std::vector<Blocking> waiting;
    return waiting;
  }

  static std::vector<Blocking> Ask(bool& answered) {
    std::vector<Blocking> all;
    const loopsan_annotations* const annotations = Annotations();
    answered = false;
    if (annotations == nullptr) return all;
    std::string text(kTextBytes, '\0');
    const int found = annotations->take_findings(kPatienceMilliseconds, text.data(), kTextBytes);
    answered = found >= 0;
    text.resize(std::strlen(text.c_str()));
    size_t at = 0;
    while (at < text.size()) {
      const size_t rule = text.find('\t', at);
      const size_t message = rule == std::string::npos ? rule : text.find('\t', rule + 1);
      const size_t end = message == std::string::npos ? message : text.find('\n', message);
      if (end == std::string::npos) break;
      all.push_back({static_cast<double>(std::strtoull(text.c_str() + at, nullptr, 10)) * 1e-9,
                     text.substr(rule + 1, message - rule - 1),
                     text.substr(message + 1, end - message - 1)});
      at = end + 1;
    }
    // Each is in loopsan's own report.
    while (all.size() < static_cast<size_t>(found > 0 ? found : 0)) {
      all.push_back({0, "more", "another finding, for which there was no room here"});
    }
    return all;
  }

  bool answered_ = false;
};

}  // namespace loopsan
