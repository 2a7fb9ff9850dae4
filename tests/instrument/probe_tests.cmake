# The probe as a file. What it does in a process is tested in real/harm_test.cc.
set(probe_tests_dir ${CMAKE_CURRENT_LIST_DIR})

execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libc.so.6
  OUTPUT_VARIABLE probe_tests_libc OUTPUT_STRIP_TRAILING_WHITESPACE)

add_executable(probe_library_test ${probe_tests_dir}/probe_library_test.cc)
target_link_libraries(probe_library_test PRIVATE loopsan_test_support GTest::gmock_main)
target_compile_definitions(probe_library_test PRIVATE
  PROBE="$<TARGET_FILE:loopsan_probe>" LIBC_PATH="${probe_tests_libc}")
add_dependencies(probe_library_test loopsan_probe)
gtest_discover_tests(probe_library_test)

# The adapters, in programs that bring a probe of their own.
add_executable(observed_promise_test ${probe_tests_dir}/observed_test.cc)
target_link_libraries(observed_promise_test PRIVATE loopsan_options loopsan_sanitize
  GTest::gmock_main)
set_target_properties(observed_promise_test PROPERTIES ENABLE_EXPORTS ON)
gtest_discover_tests(observed_promise_test PROPERTIES LABELS runtime)  # TSan runs these
