// Bytes that come in at the end and go out at the beginning. Gives memory back
// when it is empty, so that idle connections hold none.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace loopsan::internal {

class ByteBuffer {
 public:
  size_t size() const noexcept { return end_ - begin_; }
  bool empty() const noexcept { return begin_ == end_; }
  std::string_view view() const noexcept { return {bytes_.get() + begin_, size()}; }

  // Room for at least `count` bytes behind the end; Added() makes them part of it.
  char* Room(size_t count) {
    if (capacity_ - end_ < count) Grow(count);
    return bytes_.get() + end_;
  }
  void Added(size_t count) noexcept { end_ += count; }

  void Append(std::string_view bytes) {
    if (bytes.empty()) return;
    memcpy(Room(bytes.size()), bytes.data(), bytes.size());
    Added(bytes.size());
  }
  void Consume(size_t count) noexcept {
    begin_ += count;
    if (begin_ == end_) Clear();
  }
  void Clear() noexcept {
    begin_ = end_ = 0;
    if (capacity_ > kKept) {
      bytes_.reset();
      capacity_ = 0;
    }
  }

 private:
  static constexpr size_t kKept = 1024;

  void Grow(size_t count) {
    const size_t used = size();
    if (capacity_ - used >= count && begin_ >= used) {
      memcpy(bytes_.get(), bytes_.get() + begin_, used);  // they do not overlap
    } else {
      const size_t wanted = used + count;
      const size_t capacity = wanted > capacity_ * 2 ? wanted : capacity_ * 2;
      auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
      if (used != 0) memcpy(bytes.get(), bytes_.get() + begin_, used);
      bytes_ = std::move(bytes);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = used;
  }

  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace loopsan::internal
