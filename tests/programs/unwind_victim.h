// What unwind_victim writes to its stdout before it waits.
#pragma once

#include <cstdint>

struct VictimReport {
  uint64_t registers[3];  // rip (a return address), rsp, rbp
  // Of the functions that noted theirs, outermost first. The innermost of them
  // returns to the caller of the frame that `registers` describe.
  uint64_t return_addresses[16];
  uint64_t count;
  uint64_t epilogue;        // the ret of a function that has popped rbp
  uint64_t generated_code;  // start of the page without unwind information, or 0
};
