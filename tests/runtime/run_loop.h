// How the tests of the runtime run a coroutine: on a loop whose time is given, and
// with the findings of its debug mode kept.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/event_loop.h"
#include "runtime/findings.h"
#include "runtime/spawn.h"
#include "runtime/testing/scripted_port.h"

namespace loopsan::testing {

// Keeps the findings that are made while it lives.
//
// Threads: those that make findings, any; its questions, while none is being made.
class KeptFindings {
 public:
  KeptFindings() : before_(SetFindingHandler([this](const RuntimeFinding& f) { Keep(f); })) {}
  KeptFindings(const KeptFindings&) = delete;
  KeptFindings& operator=(const KeptFindings&) = delete;
  ~KeptFindings() { SetFindingHandler(std::move(before_)); }

  const std::vector<RuntimeFinding>& all() const noexcept { return findings_; }
  std::vector<std::string> rules() const {
    std::vector<std::string> rules;
    for (const RuntimeFinding& finding : findings_) rules.push_back(finding.rule);
    return rules;
  }
  // Waits until there is a finding of the rule; returns the first.
  RuntimeFinding WaitFor(const std::string& rule) {
    std::unique_lock lock(mutex_);
    for (size_t seen = 0;; ++seen) {
      changed_.wait(lock, [&] { return findings_.size() > seen; });
      if (findings_[seen].rule == rule) return findings_[seen];
    }
  }
  // The messages of one rule.
  std::vector<std::string> Messages(const std::string& rule) const {
    std::vector<std::string> messages;
    for (const RuntimeFinding& finding : findings_) {
      if (finding.rule == rule) messages.push_back(finding.message);
    }
    return messages;
  }

 private:
  void Keep(const RuntimeFinding& finding) {
    const std::lock_guard lock(mutex_);
    findings_.push_back(finding);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<RuntimeFinding> findings_;
  FindingHandler before_;
};

// A loop with a scripted port: hours of sleeping take no time.
class ScriptedLoop {
 public:
  explicit ScriptedLoop(bool debug = true)
      : ScriptedLoop(debug, std::make_unique<ScriptedPort>()) {}

  EventLoop& loop() noexcept { return loop_; }
  ScriptedPort& port() noexcept { return *port_; }

  // Runs it, ends what it left behind, and returns its result.
  template <typename T>
  T Run(Task<T> task) {
    struct End {
      EventLoop& loop;
      ~End() { loop.RunUntilComplete(loop.CancelAll()); }
    } end{loop_};
    return loop_.RunUntilComplete(std::move(task));
  }

  ~ScriptedLoop() { loop_.Close(); }

 private:
  ScriptedLoop(bool debug, std::unique_ptr<ScriptedPort> port)
      : port_(port.get()), loop_({.port = std::move(port), .name = {}, .debug = debug}) {}
  ScriptedPort* port_;
  EventLoop loop_;
};

// Runs `task` on such a loop.
template <typename T>
T RunScripted(Task<T> task) {
  ScriptedLoop scripted;
  return scripted.Run(std::move(task));
}

}  // namespace loopsan::testing
