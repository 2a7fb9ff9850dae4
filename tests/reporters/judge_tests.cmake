add_executable(judge_test
  reporters/judge_exact_test.cc
  reporters/judge_test.cc
  reporters/placement_test.cc
  reporters/segment_reader_test.cc
  reporters/step_context_test.cc
)
target_link_libraries(judge_test PRIVATE loopsan_test_options loopsan_reporters GTest::gmock_main)
gtest_discover_tests(judge_test)
