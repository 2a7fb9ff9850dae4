#include "reporters/rules.h"

#include <algorithm>

namespace loopsan {
namespace {

constexpr RuleInfo kRules[] = {
    // The detector's own (reporters/judge*).
    {"blocking-call", "error", "A call blocked the event loop.",
     "A call made the thread of an event loop sleep: a sleep, a name lookup, a file, a lock, a "
     "child process. Until it returned, the loop served nobody else.",
     "Use the loop's own asynchronous operation (a timer, a resolver, a non-blocking socket), or "
     "make the call on a worker thread and hand the result back to the loop."},
    {"stall", "error", "One callback kept the event loop for too long.",
     "A single step of the event loop, a callback or the part of a coroutine between two awaits, "
     "ran longer than the threshold. Meanwhile the loop served nobody else.",
     "Split the work into shorter steps, or move it to a worker thread."},
    {"long-turn", "note", "Many short callbacks together kept the event loop for long.",
     "One turn of the event loop lasted longer than the threshold although no callback did: those "
     "at its end waited for all the others.",
     "Do less per turn, or spread the work over several loops."},
    // Of libraries that tell their steps (runtime/findings.inc).
    {"slow-step", "warning", "A step of a task took too long.",
     "The part of a coroutine between two awaits, or a callback, ran longer than the threshold "
     "of the debug mode.",
     "Split the work, move it to an executor, or make the blocking call asynchronous."},
    {"never-awaited", "warning", "A coroutine was made, but nobody awaited it.",
     "A coroutine was destroyed before it began: what it should have done was not done.",
     "co_await it, or give it to Spawn() to let it run by itself."},
    {"exception-never-retrieved", "warning", "A task failed and nobody looked.",
     "A task or future ended with an exception that nobody has taken out of it: the error is "
     "lost.",
     "Await the task's handle, or look at its error()."},
    {"destroyed-while-pending", "warning", "A task was destroyed while it still waited.",
     "When its loop was closed the task was suspended; it never came to its end.",
     "Cancel the task and await it before the loop is closed."},
    {"leaked-at-close", "warning", "A task was left over when its loop was closed.",
     "A task had not ended when its loop was closed, which cannot wait for it.",
     "End what you started: Run() cancels what is left, Close() cannot wait for it."},
    {"awaited-twice", "warning", "A coroutine was awaited twice.",
     "A coroutine runs once; the second await has no result to give.",
     "Spawn() it and await the handle as often as you like."},
    {"resumed-when-done", "warning", "A coroutine was resumed after its end.",
     "Something resumed a coroutine that had already ended, through a handle that it had kept.",
     "Do not keep coroutine handles of others; wake a task through what it waits for."},
    {"resumed-on-wrong-thread", "warning", "A task was resumed on a thread that is not its loop's.",
     "A coroutine of one loop was resumed by another thread: both may run at the same time.",
     "Hand the work to the loop with CallSoonThreadsafe()."},
    {"awaits-itself", "warning", "A task awaits itself.",
     "A task cannot wait for its own end: it would never go on.",
     "Await another task, or return the result."},
    {"other-loop", "warning", "A task awaits what belongs to another loop.",
     "Futures, tasks and locks belong to one loop; another loop would be woken on the wrong "
     "thread.",
     "Post the result with a LoopHandle."},
    {"locks-twice", "warning", "A task locks a mutex that it already holds.",
     "A Mutex is not recursive: the task would wait for itself.",
     "Hand the lock on instead of taking it again."},
    {"not-the-holder", "warning", "A mutex was unlocked by a task that does not hold it.",
     "The task that locked a mutex unlocks it; otherwise two tasks may be inside at once.",
     "Hand the result over, not the lock."},
    {"await-cycle", "warning", "Tasks await each other in a circle.",
     "Each of these tasks waits for the next, the last for the first: none of them can go on.",
     "Let one of them not wait for the next."},
    {"lost-wakeup", "warning", "Tasks wait, and nobody is left who could wake them.",
     "The loop has nothing to do and nothing to wait for, yet tasks are suspended: they will "
     "wait forever.",
     "Somebody must set, release, put or close what they wait for."},
    {"wrong-thread", "warning", "A loop was used from a thread that is not its own.",
     "A function of the loop that is not safe for threads was called from another thread.",
     "Use CallSoonThreadsafe() or a LoopHandle from other threads."},
    {"nested-run", "warning", "A loop was run inside a loop.",
     "Running a loop inside a callback keeps the outer loop from serving anybody.",
     "Inside a loop, co_await or Spawn() the coroutine instead of running a loop."},
    {"unclosed-loop", "warning", "A loop was destroyed without being closed.",
     "What still belonged to the loop could not end in order.", "Call Close(), or use Run()."},
    {"unclosed-stream", "warning", "A stream was not closed.",
     "A connection, pipe or socket was destroyed while open: data may be lost, and the "
     "descriptor lived longer than needed.",
     "Close it, or keep it in an async scope."},
    {"unclosed-server", "warning", "A server was not closed.",
     "A server was still listening when it was destroyed.", "Close it before the loop ends."},
    {"unclosed-timer", "warning", "A timer was left when its loop was closed.",
     "A timer had not fired when its loop was closed; its callback will not run.",
     "Cancel timers that are no longer wanted before the loop is closed."},
    {"blocking-descriptor", "warning", "A blocking descriptor was given to the loop.",
     "The descriptor lacks O_NONBLOCK: a read that finds nothing would hold up the loop.",
     "Set O_NONBLOCK on it."},
    {"blocking-wait", "warning", "A function that waits was called on the loop.",
     "The call waits for other threads and holds up everything else on the loop.",
     "co_await its asynchronous form, e.g. ShutDown(executor)."},
    {"never-yields", "warning", "A task goes on and on without ever having to wait.",
     "Everything that the task awaited was ready at once, many times in a row: nothing else "
     "could run.",
     "co_await Yield() now and then, or move the work to an executor."},
    {"self-waking", "warning", "A task polls.",
     "The task made itself ready again and again, with steps that did nearly nothing.",
     "Wait for the event instead of polling for it."},
    {"oversized-frame", "warning", "The frame of a coroutine is very large.",
     "Each waiting task holds its coroutine frames, with all local variables that live across "
     "an await.",
     "Keep large buffers on the heap."},
    {"executor-delay", "warning", "Work waited long for a thread of its executor.",
     "All threads of an executor were busy: work stood in its queue before it could begin.",
     "More worker threads, shorter jobs, or an executor of its own for the long ones."},
    {"instrument-threw", "warning", "An instrument of the loop threw an exception.",
     "Instruments watch the loop and must not throw; this one was removed.",
     "Catch exceptions inside the instrument."},
    {"async-to-sync-on-loop", "warning", "AsyncToSync() was called on a thread that runs a loop.",
     "It waits for the coroutine and would hold up the loop that may have to run it.",
     "co_await the coroutine here; AsyncToSync() is for threads that run no loop."},
    {"deadlock", "error", "Tasks, threads or executors wait for each other in a circle.",
     "None of those who take part can go on without another: they wait forever.",
     "Let one of them not wait for the next: more threads for the executor, thread_sensitive = "
     "false, or a co_await instead of a call that blocks."},
    {"executor-stuck", "warning", "A function sleeps on the only thread that others wait for.",
     "If who must wake it needs the same thread, this never ends.",
     "Wait in async code, or set thread_sensitive to false for one of them."},
    // Of the adapter for Asio (instrument/adapters/asio_tracking.h).
    {"handler-delay", "warning", "A handler was ready for long before it ran.",
     "The handlers before it kept the thread of the io_context.",
     "Shorten the handlers that kept the thread, or run the io_context on more threads."},
};

}  // namespace

std::span<const RuleInfo> Rules() { return kRules; }

RuleInfo RuleOf(std::string_view id) {
  const auto* const known = std::find_if(std::begin(kRules), std::end(kRules),
                                         [&](const RuleInfo& rule) { return rule.id == id; });
  if (known != std::end(kRules)) return *known;
  return {.id = id,
          .level = "warning",
          .summary = "A library reported this by itself.",
          .description =
              "A library of the watched program reported a mistake in its use, in its "
              "own words.",
          .help = "See the message of the finding and the documentation of the library."};
}

std::string RuleName(std::string_view id) {
  std::string name;
  bool begins_word = true;
  for (const char c : id) {
    if (c == '-') {
      begins_word = true;
      continue;
    }
    name += begins_word && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    begins_word = false;
  }
  return name;
}

}  // namespace loopsan
