// Context variables: values that follow a task, as Python's contextvars.
//
//   ContextVar<std::string> request_id("request_id", "none");
//   request_id.Set("42");          // seen by this task and what it spawns from now on
//
// A task gets the context of who spawned it at that moment; what it sets later is
// its own. Callbacks run in the context of who scheduled them. Outside of loops a
// thread has a context of its own.
//
// Threads: a ContextVar may be used from any thread, and must outlive its uses;
// each thread sees the context of what runs on it.
#pragma once

#include <any>
#include <atomic>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace loopsan {

namespace internal {

// Immutable once shared; a change makes a copy.
struct ContextData {
  struct Entry {
    const void* variable;
    std::any value;
    uint64_t change;  // a number of its own for each Set()
  };
  std::atomic<uint32_t> refs{1};
  std::vector<Entry> entries;
};

}  // namespace internal

// A snapshot of all context variables. Copying costs a count.
class Context {
 public:
  Context() noexcept = default;
  Context(const Context& other) noexcept : data_(other.data_) {
    if (data_ != nullptr) data_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  Context(Context&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Context& operator=(Context other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~Context() {
    // Release/acquire: the last owner sees what the others did.
    if (data_ != nullptr && data_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete data_;
  }

  // The context of what runs on this thread.
  static Context& Current() noexcept;

  const std::any* Find(const void* variable) const noexcept;
  void Set(const void* variable, std::any value);
  void Erase(const void* variable);

  // Takes over what is different in `changed` from `before`, of which it began as a copy.
  void Merge(const Context& before, const Context& changed);

 private:
  void Own();

  internal::ContextData* data_ = nullptr;
};

template <typename T>
class ContextVar {
 public:
  // What Set() returns: Reset() brings back the value before it.
  class Token {
   private:
    friend ContextVar;
    explicit Token(std::optional<T> old) : old_(std::move(old)) {}
    std::optional<T> old_;
    bool used_ = false;
  };

  explicit ContextVar(std::string name) : name_(std::move(name)) {}
  ContextVar(std::string name, T initial) : name_(std::move(name)), initial_(std::move(initial)) {}
  ContextVar(const ContextVar&) = delete;
  ContextVar& operator=(const ContextVar&) = delete;

  const std::string& name() const noexcept { return name_; }

  // The value here, else the initial one. Throws std::out_of_range if there is neither.
  T Get() const {
    if (const std::any* value = Context::Current().Find(this))
      return std::any_cast<const T&>(*value);
    if (initial_) return *initial_;
    throw std::out_of_range("context variable '" + name_ + "' has no value here");
  }
  T Get(T fallback) const {
    if (const std::any* value = Context::Current().Find(this))
      return std::any_cast<const T&>(*value);
    return fallback;
  }

  // The value in another context than the current one; none if it was not set there.
  std::optional<T> In(const Context& context) const {
    if (const std::any* value = context.Find(this)) return std::any_cast<const T&>(*value);
    return std::nullopt;
  }
  void SetIn(Context& context, T value) const { context.Set(this, std::any(std::move(value))); }

  Token Set(T value) {
    Context& context = Context::Current();
    std::optional<T> old;
    if (const std::any* found = context.Find(this)) old = std::any_cast<const T&>(*found);
    context.Set(this, std::any(std::move(value)));
    return Token(std::move(old));
  }

  // Throws std::logic_error if the token was used before.
  void Reset(Token& token) {
    if (token.used_) throw std::logic_error("the token of '" + name_ + "' was used before");
    token.used_ = true;
    if (token.old_) {
      Context::Current().Set(this, std::any(std::move(*token.old_)));
    } else {
      Context::Current().Erase(this);
    }
  }

 private:
  const std::string name_;
  const std::optional<T> initial_;
};

}  // namespace loopsan
