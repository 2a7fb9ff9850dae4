# Reading reports back, and what is decided with them.
set(gate_tests_dir ${CMAKE_CURRENT_LIST_DIR})
add_executable(gate_test
  ${gate_tests_dir}/baseline_test.cc
  ${gate_tests_dir}/diff_test.cc
  ${gate_tests_dir}/finding_facts_test.cc
  ${gate_tests_dir}/gate_test.cc
  ${gate_tests_dir}/json_reader_test.cc
  ${gate_tests_dir}/merge_test.cc
  ${gate_tests_dir}/sample_report.cc)
target_compile_definitions(gate_test PRIVATE
  LOOPSAN_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/reporters/golden")
target_link_libraries(gate_test PRIVATE
  loopsan_test_options loopsan_reporters loopsan_test_support nlohmann_json::nlohmann_json
  GTest::gmock_main)
gtest_discover_tests(gate_test)
