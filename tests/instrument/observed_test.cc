// Observed<Promise> around promises of every make, with a probe that only notes what
// it is told.
#include "instrument/adapters/observed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using loopsan::Observed;
using loopsan::observed::ShortName;
using loopsan::observed::t_thread;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// ---- the probe ----------------------------------------------------------------

std::vector<std::string> g_told;
std::vector<std::string> g_findings;
loopsan_loop* g_loop = nullptr;
bool g_is_known = true;  // a loop was seen on this thread

int LoopBegin(loopsan_loop* loop) {
  if (!g_is_known && (loop->flags & LOOPSAN_LOOP_IF_KNOWN) != 0) return 0;
  g_loop = loop;
  return 1;
}
void LoopEnd(loopsan_loop*) { g_loop = nullptr; }
uint64_t Step(loopsan_loop*, const loopsan_task* task, const loopsan_source*) {
  g_told.push_back(std::string("step of ") + task->name);
  return 0;
}
uint64_t Idle(loopsan_loop*) {
  g_told.emplace_back("idle");
  return 0;
}
uint64_t Now() { return 0; }
int TakeFinding(const loopsan_finding* finding) {
  g_findings.emplace_back(finding->message);
  return 1;
}
void AllowBlocking(loopsan_loop*, int) {}
loopsan_loop* ThisLoop() { return g_loop; }

// Who runs, and who awaits whom, as a collector would read it.
std::vector<std::string> Chain() {
  std::vector<std::string> chain;
  if (g_loop == nullptr || g_loop->root == nullptr) return chain;
  for (const loopsan_async_frame* frame = g_loop->root->top_frame; frame != nullptr;
       frame = frame->parent) {
    chain.emplace_back(ShortName(frame->defined_at->function));
  }
  return chain;
}

class ObservedPromise : public ::testing::Test {
 protected:
  ObservedPromise() {
    g_told.clear();
    g_findings.clear();
    g_loop = nullptr;
    g_is_known = true;
    t_thread = {};
  }
  ~ObservedPromise() override {
    EXPECT_EQ(t_thread.depth, 0u) << "nothing runs any more";
    EXPECT_EQ(t_thread.root.top_frame, nullptr);
    EXPECT_FALSE(t_thread.step_open);
  }
};

// ---- coroutine types ------------------------------------------------------------

// What a test resumes.
class Event {
 public:
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) { handle_ = handle; }
  void await_resume() {}
  std::coroutine_handle<> handle() const { return handle_; }
  void Fire() { std::exchange(handle_, nullptr).resume(); }

 private:
  std::coroutine_handle<> handle_;
};

template <typename Promise>
struct GoOn {
  bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    return handle.promise().continuation;
  }
  void await_resume() noexcept {}
};

// Starts when it is awaited.
class Lazy {
 public:
  struct Promise final {  // final, as most libraries have it
    Lazy get_return_object() { return Lazy(std::coroutine_handle<Promise>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    GoOn<Promise> final_suspend() noexcept { return {}; }
    void return_value(int result) { value = result; }
    void unhandled_exception() { error = std::current_exception(); }

    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr error;
    int value = 0;
  };
  using promise_type = Observed<Promise>;

  Lazy(Lazy&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Lazy() {
    if (handle_) handle_.destroy();
  }
  void Start() { handle_.resume(); }

  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) {
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  int await_resume() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return handle_.promise().value;
  }

 private:
  explicit Lazy(std::coroutine_handle<Promise> handle) : handle_(handle) {}
  std::coroutine_handle<Promise> handle_;
};

// Starts at once; has virtual functions, and resumes its awaiter itself.
class Eager {
 public:
  struct Promise {
    Eager get_return_object() { return Eager(std::coroutine_handle<Promise>::from_promise(*this)); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Awaiter {
        bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
          if (handle.promise().awaiting) handle.promise().awaiting.resume();
        }
        void await_resume() noexcept {}
      };
      return Awaiter{};
    }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
    std::coroutine_handle<> awaiting;
  };
  using promise_type = Observed<Promise>;

  Eager(Eager&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  virtual ~Eager() {
    if (handle_) handle_.destroy();
  }
  void ForgetAwaiter() { handle_.promise().awaiting = nullptr; }
  auto operator co_await() {
    struct Awaiter {
      bool await_ready() { return handle.done(); }
      void await_suspend(std::coroutine_handle<> awaiting) { handle.promise().awaiting = awaiting; }
      void await_resume() {}
      std::coroutine_handle<Promise> handle;
    };
    return Awaiter{handle_};
  }

 private:
  explicit Eager(std::coroutine_handle<Promise> handle) : handle_(handle) {}
  std::coroutine_handle<Promise> handle_;
};

// Nobody awaits it; it goes when it ends. Passes exceptions to whoever resumed it.
struct Detached {
  struct Promise {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  using promise_type = Observed<Promise>;
};

// ---- steps ----------------------------------------------------------------------

Detached WaitTwice(Event& event) {
  co_await event;
  EXPECT_THAT(Chain(), ElementsAre("WaitTwice"));
  co_await event;
}

TEST_F(ObservedPromise, TellsAStepForEachTimeThatItIsResumed) {
  Event event;
  WaitTwice(event);
  event.Fire();
  event.Fire();
  EXPECT_THAT(g_told, ElementsAre("step of WaitTwice", "idle", "step of WaitTwice", "idle",
                                  "step of WaitTwice", "idle"));
}

TEST_F(ObservedPromise, TellsNothingOnAThreadThatIsNotKnownToRunALoop) {
  g_is_known = false;
  Event event;
  WaitTwice(event);
  EXPECT_THAT(g_told, IsEmpty());
  g_is_known = true;  // its first wait has been seen
  event.Fire();
  EXPECT_THAT(g_told, ElementsAre("step of WaitTwice", "idle"));
  event.Fire();
}

TEST_F(ObservedPromise, IsToldOnAThreadThatIsSaidToRunALoop) {
  g_is_known = false;
  Event event;
  {
    const loopsan::ObservedLoop loop("main");
    EXPECT_STREQ(g_loop->name, "main");
    WaitTwice(event);
    EXPECT_THAT(g_told, ElementsAre("step of WaitTwice", "idle"));
  }
  EXPECT_EQ(g_loop, nullptr);
  g_is_known = true;
  event.Fire();
  event.Fire();
}

Detached ThrowAfter(Event& event) {
  co_await event;
  throw std::runtime_error("not today");
}

TEST_F(ObservedPromise, EndsTheStepOfACoroutineThatThrowsAtWhoResumedIt) {
  Event event;
  ThrowAfter(event);
  const std::coroutine_handle<> coroutine = event.handle();
  EXPECT_THROW(event.Fire(), std::runtime_error);
  EXPECT_THAT(g_told.back(), "idle");
  // Suspended at its end, where nothing but its handle can destroy it.
  EXPECT_TRUE(coroutine.done());
  coroutine.destroy();
}

struct Refuses {
  bool await_ready() { return false; }
  bool await_suspend(std::coroutine_handle<>) { return false; }
  void await_resume() {}
};
struct Fails {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<>) { throw std::runtime_error("full"); }
  void await_resume() {}
};

Detached DoesNotSuspend() {
  co_await Refuses{};
  EXPECT_THAT(Chain(), ElementsAre("DoesNotSuspend"));
  bool failed = false;
  try {
    co_await Fails{};
  } catch (const std::runtime_error&) {
    failed = true;
  }
  EXPECT_TRUE(failed);
  EXPECT_THAT(Chain(), ElementsAre("DoesNotSuspend"));
  co_await std::suspend_never{};
}

TEST_F(ObservedPromise, GoesOnInItsStepIfItDoesNotSuspend) {
  DoesNotSuspend();
  EXPECT_THAT(g_told, ElementsAre("step of DoesNotSuspend", "idle"));
}

// Resumes the coroutine before await_suspend has returned, and destroys it with that.
struct ResumesAtOnce {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> handle) { handle.resume(); }
  void await_resume() {}
};

Detached EndsInsideItsSuspension() { co_await ResumesAtOnce{}; }

TEST_F(ObservedPromise, MayBeGoneBeforeItsSuspensionReturns) {
  EndsInsideItsSuspension();
  EXPECT_THAT(g_told, ElementsAre("step of EndsInsideItsSuspension", "idle"));
}

Detached WaitOnce(Event& event) { co_await event; }
Detached FiresAnother(Event& event, Event& other) {
  co_await event;
  other.Fire();
  EXPECT_THAT(Chain(), ElementsAre("FiresAnother"));
}

TEST_F(ObservedPromise, CountsWhatItResumesItselfAsItsOwnStep) {
  Event event;
  Event other;
  WaitOnce(other);
  FiresAnother(event, other);
  g_told.clear();
  event.Fire();
  EXPECT_THAT(g_told, ElementsAre("step of FiresAnother", "idle"));
}

// ---- who awaits whom --------------------------------------------------------------

Lazy Inner(Event& event) {
  EXPECT_THAT(Chain(), ElementsAre("Inner", "Middle", "Outer"));
  co_await event;
  EXPECT_THAT(Chain(), ElementsAre("Inner", "Middle", "Outer"));
  co_return 1;
}
Lazy Middle(Event& event) {
  const int inner = co_await Inner(event);
  EXPECT_THAT(Chain(), ElementsAre("Middle", "Outer"));
  co_return inner + 1;
}
Lazy Outer(Event& event) {
  Lazy middle = Middle(event);
  const int inner = co_await middle;
  EXPECT_THAT(Chain(), ElementsAre("Outer"));
  co_return inner + 1;
}

TEST_F(ObservedPromise, ShowsAllThatAwaitTheRunningOne) {
  Event event;
  Lazy outer = Outer(event);
  outer.Start();
  event.Fire();
  EXPECT_EQ(outer.await_resume(), 3);
  EXPECT_THAT(g_told, ElementsAre("step of Outer", "idle", "step of Outer", "idle"))
      << "transfers between them begin no step";
}

Lazy Throws(Event& event) {
  co_await event;
  throw std::runtime_error("no");
}
Lazy Catches(Event& event) {
  int result = 0;
  try {
    result = co_await Throws(event);
  } catch (const std::runtime_error&) {
    EXPECT_THAT(Chain(), ElementsAre("Catches"));
    result = 7;
  }
  co_return result;
}

TEST_F(ObservedPromise, HandsExceptionsOnAsBefore) {
  Event event;
  Lazy catches = Catches(event);
  catches.Start();
  event.Fire();
  EXPECT_EQ(catches.await_resume(), 7);
}

Eager Started(Event& event) {
  co_await event;
  EXPECT_THAT(Chain(), ElementsAre("Started", "AwaitsLater"));
}
Lazy AwaitsLater(Event& event) {
  Eager started = Started(event);
  EXPECT_THAT(Chain(), ElementsAre("AwaitsLater")) << "what it calls is seen on the stack";
  co_await started;
  co_return 0;
}

TEST_F(ObservedPromise, KnowsACoroutineThatBeganBeforeItWasAwaited) {
  Event event;
  Lazy later = AwaitsLater(event);
  later.Start();
  event.Fire();
}

Eager GoesOnAlone(Event& event) {
  co_await event;
  EXPECT_THAT(Chain(), ElementsAre("GoesOnAlone"));
}
Lazy GivesUp(Eager& other) {
  co_await other;
  co_return 0;
}

TEST_F(ObservedPromise, ForgetsAnAwaiterThatIsDestroyed) {
  Event event;
  Eager alone = GoesOnAlone(event);
  {
    Lazy gives_up = GivesUp(alone);
    gives_up.Start();
  }
  alone.ForgetAwaiter();
  event.Fire();
}

TEST_F(ObservedPromise, MayBeDestroyedWhileItAwaits) {
  Event event;
  {
    Lazy outer = Outer(event);
    outer.Start();
  }
  EXPECT_THAT(g_told, ElementsAre("step of Outer", "idle"));
}

// Larger than a pointer: what it holds is for it to say.
class Large {
 public:
  struct Promise {
    Large get_return_object() { return Large(std::coroutine_handle<Promise>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    GoOn<Promise> final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
    std::coroutine_handle<> continuation = std::noop_coroutine();
  };
  using promise_type = Observed<Promise>;

  Large(const Large&) = delete;
  ~Large() { handle.destroy(); }
  bool await_ready() { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) {
    handle.promise().continuation = awaiting;
    return handle;
  }
  void await_resume() {}

  std::coroutine_handle<Promise> handle;

 private:
  explicit Large(std::coroutine_handle<Promise> made) : handle(made) {}
  [[maybe_unused]] int more_[4] = {};
};

}  // namespace

template <>
struct loopsan::ObservedCoroutine<Large> {
  static std::coroutine_handle<Large::promise_type> In(const Large& large) noexcept {
    return std::coroutine_handle<Large::promise_type>::from_address(large.handle.address());
  }
};

namespace {

Large InALargeOne(bool& ran) {
  EXPECT_THAT(Chain(), ElementsAre("InALargeOne", "AwaitsALargeOne"));
  ran = true;
  co_return;
}
Lazy AwaitsALargeOne(bool& ran) {
  co_await InALargeOne(ran);
  co_return 0;
}

TEST_F(ObservedPromise, AsksATypeThatIsMoreThanAPointer) {
  bool ran = false;
  Lazy awaits = AwaitsALargeOne(ran);
  awaits.Start();
  EXPECT_TRUE(ran);
}

TEST_F(ObservedPromise, LeavesTheLoopOfAnotherLibraryAloneAndShowsItsCoroutines) {
  loopsan_loop others{};
  g_loop = &others;
  Event event;
  Lazy outer = Outer(event);
  outer.Start();
  event.Fire();
  EXPECT_THAT(g_told, IsEmpty());
  EXPECT_EQ(others.root, nullptr);
}

// ---- threads -----------------------------------------------------------------------

// Resumes what comes to it, on its own thread.
class Worker {
 public:
  Worker() : thread_([this] { Run(); }) {}
  ~Worker() {
    Push(nullptr);
    thread_.join();
  }
  auto Hop() {
    struct Awaiter {
      bool await_ready() { return false; }
      void await_suspend(std::coroutine_handle<> handle) { worker.Push(handle); }
      void await_resume() {}
      Worker& worker;
    };
    return Awaiter{*this};
  }

 private:
  void Push(std::coroutine_handle<> handle) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(handle);
    changed_.notify_one();
  }
  void Run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !queue_.empty(); });
      const std::coroutine_handle<> next = queue_.front();
      queue_.pop_front();
      lock.unlock();
      if (!next) return;
      next.resume();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::coroutine_handle<>> queue_;
  std::thread thread_;
};

Lazy HopsInside(Worker& first, Worker& second) {
  co_await first.Hop();
  co_await second.Hop();
  co_return 1;
}
Detached HopsOften(Worker& first, Worker& second, std::promise<int>& done) {
  int hops = 0;
  for (int i = 0; i < 1000; ++i) hops += co_await HopsInside(first, second);
  done.set_value(hops);
}

TEST_F(ObservedPromise, MayGoFromThreadToThread) {
  g_is_known = false;  // the probe of this test is for one thread
  std::promise<int> done;
  Worker first;
  Worker second;
  HopsOften(first, second, done);
  EXPECT_EQ(done.get_future().get(), 1000);
}

// ---- promises with members of their own ---------------------------------------------

struct Tag {};

// Chooses what may be awaited, and takes handles of its own type only.
struct Choosy {
  struct Promise {
    Promise(const std::string& text, Event&, std::string&) : name(text) {}
    Choosy get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
    auto await_transform(Tag) {
      struct Awaiter {
        bool await_ready() { return false; }
        bool await_suspend(std::coroutine_handle<Promise> handle) {
          name = handle.promise().name;
          return false;
        }
        std::string await_resume() { return name; }
        std::string name;
      };
      return Awaiter{};
    }
    Event& await_transform(Event& event) { return event; }
    std::string name;
  };
  using promise_type = Observed<Promise>;
};

Choosy AsksForItsName([[maybe_unused]] const std::string& name, Event& event, std::string& result) {
  co_await event;
  result = co_await Tag{};
}

TEST_F(ObservedPromise, MayTransformWhatIsAwaitedAndTakeParameters) {
  Event event;
  std::string result;
  AsksForItsName("hannah", event, result);
  event.Fire();
  EXPECT_EQ(result, "hannah");
}

// Yields to whoever resumes it.
class Numbers {
 public:
  struct Promise {
    Numbers get_return_object() {
      return Numbers(std::coroutine_handle<Promise>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int number) {
      value = number;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
    int value = 0;
  };
  using promise_type = Observed<Promise>;

  ~Numbers() { handle_.destroy(); }
  int Next() {
    handle_.resume();
    return handle_.promise().value;
  }

 private:
  explicit Numbers(std::coroutine_handle<Promise> handle) : handle_(handle) {}
  std::coroutine_handle<Promise> handle_;
};

Numbers Count() {
  co_yield 1;
  co_yield 2;
}

TEST_F(ObservedPromise, EndsItsStepWhereItYields) {
  Numbers numbers = Count();
  EXPECT_EQ(numbers.Next(), 1);
  EXPECT_EQ(numbers.Next(), 2);
  EXPECT_THAT(g_told, ElementsAre("step of Count", "idle", "step of Count", "idle"));
}

// ---- never awaited --------------------------------------------------------------------

TEST_F(ObservedPromise, IsReportedIfItIsDestroyedWithoutHavingBegun) {
  Event event;
  {
    Lazy forgotten = Outer(event);
  }
  EXPECT_THAT(g_findings, ElementsAre("coroutine Outer was never awaited: none of it ran"));
}

TEST_F(ObservedPromise, IsNotReportedOnceItHasBegun) {
  Event event;
  {
    Lazy begun = Catches(event);
    begun.Start();
  }
  EXPECT_THAT(g_findings, IsEmpty());
}

TEST(ShortName, IsWhatPeopleCallAFunction) {
  EXPECT_EQ(ShortName("by_hand::Task {anonymous}::One(by_hand::Loop&)"), "One");
  EXPECT_EQ(ShortName("Task (anonymous namespace)::Foo()"), "Foo");
  EXPECT_EQ(ShortName("task<std::pair<int, int> > a::b::Read(std::function<void(int)>)"),
            "a::b::Read");
  EXPECT_EQ(ShortName("Task Foo() [with T = int; U = void(int)]"), "Foo");
  EXPECT_EQ(ShortName("main()::<lambda(int)>"), "main()::<lambda(int)>");
  EXPECT_EQ(ShortName("main"), "main");
  EXPECT_EQ(ShortName(""), "");
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const loopsan_annotations*
loopsan_annotations_v1() {
  static const loopsan_annotations kAnnotations = {
      LOOPSAN_ANNOTATIONS_VERSION,
      sizeof(loopsan_annotations),
      LoopBegin,
      LoopEnd,
      Step,
      Idle,
      Now,
      TakeFinding,
      AllowBlocking,
      ThisLoop,
  };
  return &kAnnotations;
}
