# Programs that a preloaded library could disturb, and the tests that it does not.
enable_language(C)
set(harm_dir ${CMAKE_CURRENT_LIST_DIR})
set(harm_programs_dir ${harm_dir}/../programs)

foreach(program harm_blocked harm_errno harm_memory harm_missed harm_plugin_host harm_processes
                harm_sandbox harm_signals)
  loopsan_victim(${program} ${harm_programs_dir}/${program}.cc FLAGS -O2
    LIBRARIES ${CMAKE_DL_LIBS})
endforeach()
loopsan_victim(harm_old_condition ${harm_programs_dir}/harm_old_condition.c FLAGS -O2)
foreach(sanitizer address thread)
  foreach(program harm_processes harm_signals)
    loopsan_victim(${program}_${sanitizer} ${harm_programs_dir}/${program}.cc
      FLAGS -O1 -fsanitize=${sanitizer} LIBRARIES -fsanitize=${sanitizer})
    list(APPEND harm_sanitized ${program}_${sanitizer})
  endforeach()
endforeach()
add_library(harm_plugin MODULE ${harm_programs_dir}/harm_plugin.c)
target_compile_options(harm_plugin PRIVATE -g)

add_library(harm_run STATIC ${harm_dir}/harm_run.cc)
target_link_libraries(harm_run PUBLIC loopsan_test_support)
target_compile_definitions(harm_run PUBLIC
  LOOPSAN_COMMAND="${CMAKE_BINARY_DIR}/bin/loopsan"
  LOOPSAN_PROBE="$<TARGET_FILE:loopsan_probe>"
  HARM_PLUGIN="$<TARGET_FILE:harm_plugin>")
add_dependencies(harm_run loopsan_cli loopsan_probe harm_plugin harm_blocked harm_errno harm_memory
  harm_missed harm_old_condition harm_plugin_host harm_processes harm_sandbox harm_signals
  ${harm_sanitized})

foreach(test harm_test harm_blocked_test harm_file_limit_test harm_preload_test harm_shell_test
             known_misses_test)
  add_executable(${test} ${harm_dir}/${test}.cc)
  target_link_libraries(${test} PRIVATE loopsan_test_options harm_run GTest::gmock_main)
  gtest_discover_tests(${test} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS real TIMEOUT 180)
endforeach()
add_dependencies(harm_file_limit_test victim_epoll_O2)

# Gives its rights away, too.
add_executable(arena_test ${harm_dir}/../reporters/arena_test.cc)
target_link_libraries(arena_test PRIVATE loopsan_reporters GTest::gmock_main)
gtest_discover_tests(arena_test)
