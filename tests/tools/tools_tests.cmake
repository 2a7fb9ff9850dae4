# The command with a collector and a probe that do nothing, in a bin and a lib of
# its own, as the real ones lie.
set(tools_tests_dir ${CMAKE_CURRENT_LIST_DIR})
set(fake_prefix ${CMAKE_BINARY_DIR}/fake)

add_library(loopsan_fake_probe MODULE ${tools_tests_dir}/fake_probe.cc)
set_target_properties(loopsan_fake_probe PROPERTIES
  OUTPUT_NAME loopsan LIBRARY_OUTPUT_DIRECTORY ${fake_prefix}/lib)

add_executable(loopsan_fake_cli
  ${tools_tests_dir}/../../tools/main.cc ${tools_tests_dir}/fake_collector.cc)
set_target_properties(loopsan_fake_cli PROPERTIES
  OUTPUT_NAME loopsan RUNTIME_OUTPUT_DIRECTORY ${fake_prefix}/bin)
target_compile_definitions(loopsan_fake_cli PRIVATE LOOPSAN_VERSION="${PROJECT_VERSION}")
target_link_libraries(loopsan_fake_cli PRIVATE loopsan_tools absl::strings)
add_dependencies(loopsan_fake_cli loopsan_fake_probe)

# ... and one whose probe is missing.
add_custom_command(TARGET loopsan_fake_cli POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E make_directory ${fake_prefix}/nolib/bin
  COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:loopsan_fake_cli> ${fake_prefix}/nolib/bin/)

add_executable(static_program ${tools_tests_dir}/trivial_program.cc)
target_link_options(static_program PRIVATE -static)
add_executable(look_around ${tools_tests_dir}/look_around.cc)
target_link_libraries(look_around PRIVATE loopsan_options)
set_target_properties(static_program look_around PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${fake_prefix}/programs)

add_executable(options_test ${tools_tests_dir}/../reporters/options_test.cc)
target_link_libraries(options_test PRIVATE loopsan_test_options loopsan_reporters GTest::gmock_main)
gtest_discover_tests(options_test)

add_executable(tools_test
  ${tools_tests_dir}/command_check_test.cc
  ${tools_tests_dir}/command_line_test.cc
  ${tools_tests_dir}/exit_status_test.cc
  ${tools_tests_dir}/output_test.cc
  ${tools_tests_dir}/probe_library_test.cc
  ${tools_tests_dir}/report_outputs_test.cc
  ${tools_tests_dir}/signals_test.cc
  ${tools_tests_dir}/suppression_files_test.cc
)
target_compile_definitions(tools_test PRIVATE
  STATIC_PROGRAM="$<TARGET_FILE:static_program>"
  LOOPSAN_RULE_PACKS="${PROJECT_SOURCE_DIR}/tools/suppressions"
  LOOPSAN_INSTALL_LIBDIR="${CMAKE_INSTALL_LIBDIR}")
target_link_libraries(tools_test PRIVATE
  loopsan_test_options loopsan_tools loopsan_test_support absl::strings GTest::gmock_main)
add_dependencies(tools_test static_program)
gtest_discover_tests(tools_test)

add_executable(run_test
  ${tools_tests_dir}/collect_test.cc
  ${tools_tests_dir}/gate_commands_test.cc
  ${tools_tests_dir}/../reporters/sample_report.cc
  ${tools_tests_dir}/run_test.cc
  ${tools_tests_dir}/run_signals_test.cc
)
target_compile_definitions(run_test PRIVATE
  FAKE_LOOPSAN="$<TARGET_FILE:loopsan_fake_cli>"
  FAKE_PROBE="$<TARGET_FILE:loopsan_fake_probe>"
  LOOPSAN_WITHOUT_PROBE="${fake_prefix}/nolib/bin/loopsan"
  STATIC_PROGRAM="$<TARGET_FILE:static_program>"
  LOOK_AROUND="$<TARGET_FILE:look_around>"
  LOOPSAN_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/reporters/golden"
  LOOPSAN_VERSION="${PROJECT_VERSION}")
target_link_libraries(run_test PRIVATE
  loopsan_test_options loopsan_tools loopsan_test_support GTest::gmock_main util)
add_dependencies(run_test loopsan_fake_cli static_program look_around)
gtest_discover_tests(run_test)

add_test(NAME LoopsanTest.RefusesAMisspeltKeyword COMMAND ${CMAKE_COMMAND}
  -DMODULE=${PROJECT_SOURCE_DIR}/cmake/LoopsanTest.cmake -DWORK=${fake_prefix}/keywords
  -P ${tools_tests_dir}/keywords_test.cmake)
add_executable(dashboard_test ${tools_tests_dir}/dashboard_test.cc)
target_compile_definitions(dashboard_test PRIVATE
  FAKE_LOOPSAN="$<TARGET_FILE:loopsan_fake_cli>" LOOPSAN_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
  LOOPSAN_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/reporters/golden")
target_link_libraries(dashboard_test PRIVATE loopsan_test_options loopsan_test_support GTest::gmock_main)
add_dependencies(dashboard_test loopsan_fake_cli)
gtest_discover_tests(dashboard_test)

if(TARGET loopsan_probe)
  add_test(NAME Install.WorksAfterItHasBeenMoved COMMAND ${CMAKE_COMMAND}
    -DBUILD=${loopsan_BINARY_DIR} -DWORK=${fake_prefix}/install -DVERSION=${PROJECT_VERSION}
    -DLIBDIR=${CMAKE_INSTALL_LIBDIR} -DGENERATOR=${CMAKE_GENERATOR} -DCXX=${CMAKE_CXX_COMPILER}
    -DSANITIZE=${LOOPSAN_SANITIZE} -DCONSUMER=${PROJECT_SOURCE_DIR}/tests/consumer
    -P ${tools_tests_dir}/install_test.cmake)
endif()
