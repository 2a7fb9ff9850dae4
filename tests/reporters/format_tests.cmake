find_package(valijson CONFIG REQUIRED)

add_executable(format_test
  ${PROJECT_SOURCE_DIR}/tests/reporters/every_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/finding_place_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/folded_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/format_report.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/github_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/gitlab_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/junit_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/markdown_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/rules_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/sample_report.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/sarif_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/speedscope_reporter_test.cc)
target_compile_definitions(format_test PRIVATE
  LOOPSAN_VERSION="${PROJECT_VERSION}"
  LOOPSAN_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/reporters/golden"
  LOOPSAN_SCHEMA_DIR="${PROJECT_SOURCE_DIR}/tests/reporters/schemas")
target_link_libraries(format_test PRIVATE
  loopsan_test_options loopsan_reporters valijson nlohmann_json::nlohmann_json LibXml2::LibXml2
  GTest::gmock GTest::gtest_main)
gtest_discover_tests(format_test)
