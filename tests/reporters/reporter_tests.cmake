find_package(valijson CONFIG REQUIRED)

# One source, built as libraries are found in the wild: with their own debug
# information, with that in a file of its own, and with none.
set(fixture_source ${PROJECT_SOURCE_DIR}/tests/reporters/symbolizer_fixture.cc)
set(fixture_build_id ab0123456789abcdef0123456789abcdef012345)
set(fixture_debug_root ${CMAKE_CURRENT_BINARY_DIR}/symbolizer_debug_root)

function(add_symbolizer_fixture variant)
  add_library(symbolizer_fixture_${variant} MODULE ${fixture_source})
  target_compile_options(symbolizer_fixture_${variant} PRIVATE
    -O2 -g -fvisibility=hidden -fno-sanitize=all)
  target_link_options(symbolizer_fixture_${variant} PRIVATE ${ARGN})
endfunction()

add_symbolizer_fixture(plain LINKER:--build-id=none)

add_symbolizer_fixture(stripped LINKER:--build-id=none LINKER:--strip-all)

add_symbolizer_fixture(build_id LINKER:--build-id=0x${fixture_build_id})
string(SUBSTRING ${fixture_build_id} 0 2 id_folder)
string(SUBSTRING ${fixture_build_id} 2 -1 id_file)
set(id_folder ${fixture_debug_root}/.build-id/${id_folder})
add_custom_command(TARGET symbolizer_fixture_build_id POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E make_directory ${id_folder}
  COMMAND ${CMAKE_OBJCOPY} --only-keep-debug $<TARGET_FILE:symbolizer_fixture_build_id>
          ${id_folder}/${id_file}.debug
  COMMAND ${CMAKE_STRIP} --strip-all $<TARGET_FILE:symbolizer_fixture_build_id>)

add_symbolizer_fixture(debug_link LINKER:--build-id=none)
set(linked $<TARGET_FILE:symbolizer_fixture_debug_link>)
add_custom_command(TARGET symbolizer_fixture_debug_link POST_BUILD
  COMMAND ${CMAKE_OBJCOPY} --only-keep-debug ${linked} ${linked}.debug
  COMMAND ${CMAKE_STRIP} --strip-all ${linked}
  COMMAND ${CMAKE_OBJCOPY} --add-gnu-debuglink=${linked}.debug ${linked})

add_executable(reporter_test
  ${PROJECT_SOURCE_DIR}/tests/reporters/big_report.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/did_you_mean_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/findings_log_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/html_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/json_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/live_tasks_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/perf_map_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/prometheus_metrics_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/run_metrics_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/sample_report.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/source_excerpt_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/status_page_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/suppressions_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/symbolizer_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/text_reporter_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/timeline_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/trace_reporter_test.cc)
target_compile_definitions(reporter_test PRIVATE
  LOOPSAN_VERSION="${PROJECT_VERSION}"
  LOOPSAN_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/reporters/golden"
  LOOPSAN_REPORT_SCHEMA="${PROJECT_SOURCE_DIR}/reporters/schema/report-v1.schema.json"
  SYMBOLIZER_FIXTURE_ID="${fixture_build_id}"
  SYMBOLIZER_DEBUG_ROOT="${fixture_debug_root}"
  SYMBOLIZER_FIXTURE_SOURCE="${fixture_source}"
  SYMBOLIZER_FIXTURE_PLAIN="$<TARGET_FILE:symbolizer_fixture_plain>"
  SYMBOLIZER_FIXTURE_STRIPPED="$<TARGET_FILE:symbolizer_fixture_stripped>"
  SYMBOLIZER_FIXTURE_BUILD_ID="$<TARGET_FILE:symbolizer_fixture_build_id>"
  SYMBOLIZER_FIXTURE_DEBUG_LINK="${linked}")
target_link_libraries(reporter_test PRIVATE
  loopsan_test_options loopsan_reporters loopsan_prometheus_text valijson nlohmann_json::nlohmann_json
  ${CMAKE_DL_LIBS} GTest::gmock GTest::gtest_main)
add_dependencies(reporter_test symbolizer_fixture_plain symbolizer_fixture_stripped
  symbolizer_fixture_build_id symbolizer_fixture_debug_link)
gtest_discover_tests(reporter_test)
