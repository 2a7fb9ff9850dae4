loopsan_victim(signal_calls programs/signal_calls.cc FLAGS -O2 -D_FORTIFY_SOURCE=2)
loopsan_victim(signal_exec programs/signal_exec.cc FLAGS -O2)

add_executable(sampling_signal_test real/sampling_signal_test.cc)
target_link_libraries(sampling_signal_test
  PRIVATE loopsan_test_support loopsan_reporters GTest::gmock_main)
target_compile_definitions(sampling_signal_test PRIVATE
  LOOPSAN_SCENARIOS="${PROJECT_SOURCE_DIR}/tests/programs/scenarios.h"
  LOOPSAN_PROBE="$<TARGET_FILE:loopsan_probe>")
add_dependencies(sampling_signal_test
  loopsan_cli loopsan_probe victim_epoll_O2 signal_calls signal_exec)
gtest_discover_tests(sampling_signal_test DISCOVERY_TIMEOUT 60
  PROPERTIES LABELS real RUN_SERIAL TRUE TIMEOUT 180)
