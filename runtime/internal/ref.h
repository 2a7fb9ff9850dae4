// A counted reference to an object that counts for itself, of one thread.
#pragma once

#include <cstdint>
#include <utility>

namespace loopsan::internal {

// T derives from it; is made with new and deleted with its last reference.
template <typename T>
class RefCounted {
 public:
  RefCounted& operator=(const RefCounted&) = delete;

  void Ref() noexcept { ++refs_; }
  void Unref() noexcept {
    if (--refs_ == 0) delete static_cast<T*>(this);
  }

 private:
  friend T;
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  ~RefCounted() = default;

  uint32_t refs_ = 0;
};

template <typename T>
class RefPtr {
 public:
  RefPtr() noexcept = default;
  explicit RefPtr(T* object) noexcept : object_(object) {
    if (object_ != nullptr) object_->Ref();
  }
  RefPtr(const RefPtr& other) noexcept : RefPtr(other.object_) {}
  RefPtr(RefPtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  RefPtr& operator=(RefPtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~RefPtr() {
    if (object_ != nullptr) object_->Unref();
  }

  T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

}  // namespace loopsan::internal
