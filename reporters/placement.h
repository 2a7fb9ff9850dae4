// Where a stack stands relative to a loop's own wait: the pure part of judging.
//
//   wait stack W          stack S in a step      after the loop was left
//   epoll_wait            nanosleep              compute
//   aeProcessEvents  <--> aeProcessEvents        |
//   aeMain           ==== aeMain                 |
//   main             ==== main              <--> main
//
// Walking inwards from the outermost frame, activations of the same call are
// alike in address and depth; the first that stands at another instruction is
// the deepest activation that both stacks share. In a step it is the loop's
// dispatch frame; after the loop has returned it is one of the loop's callers.
#pragma once

#include <cstddef>
#include <functional>

#include "reporters/stack.h"

namespace loopsan {

struct CommonActivation {
  bool found = false;
  size_t wait_index = 0;   // the shared frame in the wait's stack; 0 called the wait
  size_t stack_index = 0;  // the same frame in the other stack
  bool same_pc = false;    // it stands at the same instruction in both
};

// Tells whether two addresses lie in the same function.
using SameFunction = std::function<bool(const StackFrame&, const StackFrame&)>;

// The deepest activation that both stacks share. Either may be cut off at its
// outer end; they are aligned at the outermost depth that occurs in both.
CommonActivation FindCommonActivation(const UnwoundStack& wait, const UnwoundStack& stack,
                                      const SameFunction& same_function);

// The depth that identifies an activation: its canonical frame address, which
// is the stack pointer of its caller. Unlike its own stack pointer it does not
// move while arguments are pushed. ~0 for the outermost frame.
uint64_t FrameAddress(const UnwoundStack& stack, size_t index);

// Two looks at one step: true if the callback that runs directly below the
// dispatch frame (at `callback_index`, counted as in `first`/`second`) ran all
// the time between them. `shallowest_sp` is the shallowest depth from which a
// hook was called in between: a new callback of the same kind would have
// announced itself by a call from its own depth or from the dispatcher's.
bool IsOneCallback(const UnwoundStack& first, size_t first_callback, const UnwoundStack& second,
                   size_t second_callback, uint64_t shallowest_sp,
                   const SameFunction& same_function);

}  // namespace loopsan
