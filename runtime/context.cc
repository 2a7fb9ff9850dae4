#include "runtime/context.h"

#include <algorithm>

#include "runtime/internal/task_state.h"

namespace loopsan {

namespace {
thread_local Context t_outside;

// Relaxed: two changes never have one number, in whatever order.
std::atomic<uint64_t> g_changes{0};

const internal::ContextData::Entry* FindEntry(const internal::ContextData* data,
                                              const void* variable) {
  if (data == nullptr) return nullptr;
  for (const auto& entry : data->entries) {
    if (entry.variable == variable) return &entry;
  }
  return nullptr;
}
}  // namespace

Context& Context::Current() noexcept {
  if (internal::TaskState* task = internal::t_runner.task) return task->context;
  if (Context* context = internal::CallbackContext()) return *context;
  return t_outside;
}

const std::any* Context::Find(const void* variable) const noexcept {
  const auto* const entry = FindEntry(data_, variable);
  return entry != nullptr ? &entry->value : nullptr;
}

void Context::Own() {
  if (data_ == nullptr) {
    data_ = new internal::ContextData;
  } else if (data_->refs.load(std::memory_order_acquire) != 1) {
    auto* copy = new internal::ContextData;
    copy->entries = data_->entries;
    *this = Context();
    data_ = copy;
  }
}

void Context::Set(const void* variable, std::any value) {
  Own();
  const uint64_t change = g_changes.fetch_add(1, std::memory_order_relaxed) + 1;
  for (auto& entry : data_->entries) {
    if (entry.variable == variable) {
      entry.value = std::move(value);
      entry.change = change;
      return;
    }
  }
  data_->entries.push_back({variable, std::move(value), change});
}

void Context::Erase(const void* variable) {
  if (Find(variable) == nullptr) return;
  Own();
  std::erase_if(data_->entries, [&](const auto& entry) { return entry.variable == variable; });
}

void Context::Merge(const Context& before, const Context& changed) {
  if (before.data_ == changed.data_) return;
  if (data_ == before.data_) {
    *this = changed;
    return;
  }
  if (changed.data_ != nullptr) {
    for (const auto& entry : changed.data_->entries) {
      const auto* const old = FindEntry(before.data_, entry.variable);
      if (old == nullptr || old->change != entry.change) Set(entry.variable, entry.value);
    }
  }
  if (before.data_ != nullptr) {
    for (const auto& entry : before.data_->entries) {
      if (changed.Find(entry.variable) == nullptr) Erase(entry.variable);
    }
  }
}

}  // namespace loopsan
