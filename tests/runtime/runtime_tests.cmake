# One test program per header of runtime/, each a line at the end of this file, with
# properties of its tests behind the name.
add_custom_target(runtime_tests)  # all of them

function(loopsan_add_runtime_test name)
  add_executable(runtime_${name} ${PROJECT_SOURCE_DIR}/tests/runtime/${name}.cc)
  target_link_libraries(runtime_${name} PRIVATE
    loopsan_options loopsan_sanitize loopsan::runtime GTest::gmock_main)
  add_dependencies(runtime_tests runtime_${name})
  gtest_discover_tests(runtime_${name} DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS runtime TIMEOUT 120 ${ARGN})
endfunction()

loopsan_add_runtime_test(task_test)
loopsan_add_runtime_test(task_tree_test)
loopsan_add_runtime_test(timeout_test)
loopsan_add_runtime_test(shield_test)
loopsan_add_runtime_test(foreign_test)
loopsan_add_runtime_test(mutex_test)
loopsan_add_runtime_test(executor_test)
loopsan_add_runtime_test(gather_test)
loopsan_add_runtime_test(when_any_test)
loopsan_add_runtime_test(as_completed_test)
loopsan_add_runtime_test(task_group_test)
loopsan_add_runtime_test(event_loop_test)
loopsan_add_runtime_test(stress_test)
loopsan_add_runtime_test(spawn_test)
loopsan_add_runtime_test(cancellation_test)
loopsan_add_runtime_test(future_test)
loopsan_add_runtime_test(run_test)
loopsan_add_runtime_test(event_test)
loopsan_add_runtime_test(semaphore_test)
loopsan_add_runtime_test(condition_test)
loopsan_add_runtime_test(barrier_test)
loopsan_add_runtime_test(queue_test)
loopsan_add_runtime_test(async_generator_test)
loopsan_add_runtime_test(async_scope_test)
loopsan_add_runtime_test(context_test)
loopsan_add_runtime_test(deadlock_test)
loopsan_add_runtime_test(wait_graph_test)
loopsan_add_runtime_test(timer_heap_test)
loopsan_add_runtime_test(intrusive_test)
loopsan_add_runtime_test(remote_queue_test)

# The bridge between sync and async code.
loopsan_add_runtime_test(bridge_sync_to_async_test)
loopsan_add_runtime_test(bridge_async_to_sync_test)
loopsan_add_runtime_test(bridge_threads_test)
loopsan_add_runtime_test(bridge_cancellation_test)
loopsan_add_runtime_test(bridge_nested_task_test)
loopsan_add_runtime_test(bridge_context_test)
loopsan_add_runtime_test(bridge_stress_test)
# The child starts threads, which ThreadSanitizer allows only if it is told to.
loopsan_add_runtime_test(bridge_fork_test ENVIRONMENT "TSAN_OPTIONS=die_after_fork=0")

# What must not compile, and what the compiler then says.
function(loopsan_add_refused_test name expected)
  add_test(NAME Refused.${name} COMMAND ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only
    -I${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tests/runtime/refused/${name}.cc)
  set_tests_properties(Refused.${name} PROPERTIES LABELS runtime
    PASS_REGULAR_EXPRESSION "${expected}")
endfunction()

loopsan_add_refused_test(callback_returns_task "this callback returns a Task, which would never run")
loopsan_add_refused_test(task_awaited_as_lvalue "awaited once, as an rvalue: co_await std::move")
set(not_async "SyncToAsync\\(\\) is for functions that block: this one returns a Task")
loopsan_add_refused_test(sync_to_async_of_a_coroutine "${not_async}")
loopsan_add_refused_test(sync_to_async_of_a_coroutine_lambda "${not_async}")
loopsan_add_refused_test(sync_to_async_of_a_coroutine_object "${not_async}")
loopsan_add_refused_test(sync_to_async_of_a_partial_coroutine "${not_async}")
loopsan_add_refused_test(sync_to_async_of_a_task "block, not for a Task: co_await it instead")
loopsan_add_refused_test(sync_to_async_of_a_number "wraps something that can be called")
loopsan_add_refused_test(async_to_sync_of_a_function "is for functions that return a Task")
loopsan_add_refused_test(async_to_sync_of_a_number "wraps something that can be called and returns")
loopsan_add_refused_test(async_to_sync_of_a_task "wants the coroutine function, not its Task")

loopsan_add_runtime_test(debug_mode_test)
loopsan_add_runtime_test(debugger_root_test)
loopsan_add_runtime_test(readiness_test)
loopsan_add_runtime_test(stream_test)
loopsan_add_runtime_test(server_test)
loopsan_add_runtime_test(datagram_test)
loopsan_add_runtime_test(dns_test)
loopsan_add_runtime_test(pipe_test)
loopsan_add_runtime_test(subprocess_test)
loopsan_add_runtime_test(echo_test RUN_SERIAL TRUE)  # it ends within a second
target_compile_definitions(runtime_echo_test PRIVATE
  LOOPSAN_ECHO_SERVER="$<TARGET_FILE:echo_server>" LOOPSAN_ECHO_LOAD="$<TARGET_FILE:echo_load>")
add_dependencies(runtime_echo_test echo_server echo_load)

# Each public header compiles alone, and with all others.
file(GLOB runtime_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/runtime/*.h ${PROJECT_SOURCE_DIR}/runtime/testing/*.h)
set(header_sources)
set(includes)
foreach(header ${runtime_headers})
  string(MAKE_C_IDENTIFIER ${header} name)
  set(source ${CMAKE_BINARY_DIR}/runtime_headers/${name}.cc)
  set(include "#include \"${header}\"\n")
  file(GENERATE OUTPUT ${source} CONTENT ${include})
  list(APPEND header_sources ${source})
  string(APPEND includes ${include})
endforeach()
set(source ${CMAKE_BINARY_DIR}/runtime_headers/all.cc)
file(GENERATE OUTPUT ${source} CONTENT ${includes})
list(APPEND header_sources ${source})
add_library(runtime_headers OBJECT ${header_sources})
target_link_libraries(runtime_headers PRIVATE loopsan_options loopsan::runtime)
# And without the warnings that users may have turned on.
target_compile_options(runtime_headers PRIVATE -Wpedantic -Wshadow -Wconversion)
