// The functions of public event loops, by name: where a known loop's frame is on
// the stack, its steps need no further proof.
#pragma once

#include <string_view>

namespace loopsan {

// True for the function that iterates a loop ("uv_run", "aeMain",
// "boost::asio::detail::scheduler::run(...)"). `name` is demangled.
bool IsLoopFunction(std::string_view name);

// True for a loop library's own functions between its loop and a callback
// ("uv__run_timers"): many callbacks run below one call of them.
bool IsDispatchFunction(std::string_view name);

// True for functions of loops whose threads also wait for work on a condition
// variable: such a wait is idle (an Asio pool).
bool IsPoolWaitFunction(std::string_view name);

// True for CPython's evaluation loop, which is one C frame for all Python code,
// and for the C frames that asyncio puts between its loop and a task.
bool IsPythonEvaluation(std::string_view name);
bool IsPythonTaskStep(std::string_view name, std::string_view module);

}  // namespace loopsan
