#include "reporters/placement.h"

#include <algorithm>
#include <unordered_map>

namespace loopsan {

uint64_t FrameAddress(const UnwoundStack& stack, size_t index) {
  return index + 1 < stack.frames.size() ? stack.frames[index + 1].sp : ~0ULL;
}

CommonActivation FindCommonActivation(const UnwoundStack& wait, const UnwoundStack& stack,
                                      const SameFunction& same_function) {
  CommonActivation result;
  if (wait.frames.empty() || stack.frames.empty()) {
    return result;
  }
  std::unordered_map<uint64_t, size_t> wait_depths;
  for (size_t i = 0; i < wait.frames.size(); ++i) {
    wait_depths.emplace(FrameAddress(wait, i), i);
  }
  // Align at the outermost depth that both have.
  size_t s = stack.frames.size();
  size_t w = 0;
  while (s > 0) {
    --s;
    const auto found = wait_depths.find(FrameAddress(stack, s));
    if (found != wait_depths.end() && same_function(wait.frames[found->second], stack.frames[s])) {
      w = found->second;
      result.found = true;
      break;
    }
  }
  if (!result.found) {
    return result;
  }
  for (;;) {
    result.wait_index = w;
    result.stack_index = s;
    result.same_pc = wait.frames[w].pc == stack.frames[s].pc;
    // A frame at another instruction has begun another call: what is deeper
    // belongs to other activations, even at the same depth.
    if (!result.same_pc || w == 0 || s == 0 ||
        FrameAddress(wait, w - 1) != FrameAddress(stack, s - 1) ||
        !same_function(wait.frames[w - 1], stack.frames[s - 1])) {
      return result;
    }
    --w;
    --s;
  }
}

bool IsOneCallback(const UnwoundStack& first, size_t first_callback, const UnwoundStack& second,
                   size_t second_callback, uint64_t shallowest_sp,
                   const SameFunction& same_function) {
  if (first_callback >= first.frames.size() || second_callback >= second.frames.size()) {
    return false;
  }
  return FrameAddress(first, first_callback) == FrameAddress(second, second_callback) &&
         same_function(first.frames[first_callback], second.frames[second_callback]) &&
         shallowest_sp <
             std::min(first.frames[first_callback].sp, second.frames[second_callback].sp);
}

}  // namespace loopsan
