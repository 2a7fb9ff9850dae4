# Tests that fail when they block an event loop. find_package(loopsan) brings these.
#
#   loopsan_add_test(NAME server COMMAND server_test --fast
#                    BASELINE ${CMAKE_SOURCE_DIR}/loopsan-baseline.json)
#
#     add_test() with the command under `loopsan run`. It fails with the command, or with 66 when
#     the gate does. A COMMAND that begins with a target of this project is its program.
#
#   loopsan_watch_tests(TARGETS unit_tests io_tests SUPPRESSIONS ${CMAKE_SOURCE_DIR}/loopsan.supp)
#
#     The same for tests that exist already: each test whose command is one of these
#     targets, by add_test(), gtest_discover_tests() or catch_discover_tests(). Call it before those.
#     A custom command that runs the target runs it under loopsan, too.
#
# Both take
#
#   FAIL_ON new|error|warning|none   what fails a test; without it error, or with a BASELINE new
#   BASELINE FILE         findings that are known: made by `loopsan baseline REPORT...`
#   SUPPRESSIONS FILE...  findings that are meant
#   BUDGETS KEY=VALUE...  e.g. worst-stall=50ms
#   OPTIONS FLAG...       further flags of `loopsan run`, e.g. --require-loop
#
# and loopsan_add_test() also
#
#   WORKING_DIRECTORY DIR
#   REPORTS DIR           a JSON report of the test in DIR; `loopsan merge DIR/*.json` makes one of all
#
# The program's own LOOPSAN_OPTIONS are kept; flags win.
include_guard(GLOBAL)

# The words before the test's own command.
function(_loopsan_launcher output)
  cmake_parse_arguments(PARSE_ARGV 1 GATE "" "FAIL_ON;BASELINE" "SUPPRESSIONS;BUDGETS;OPTIONS")
  if(NOT LOOPSAN_COMMAND)
    message(FATAL_ERROR "LOOPSAN_COMMAND is not set: find_package(loopsan) sets it, "
      "or set it to the path of the loopsan command")
  endif()
  if(NOT GATE_FAIL_ON AND GATE_BASELINE)
    set(GATE_FAIL_ON new)
  elseif(NOT GATE_FAIL_ON)
    set(GATE_FAIL_ON error)
  endif()
  set(launcher ${LOOPSAN_COMMAND} run --quiet --fail-on=${GATE_FAIL_ON})
  if(GATE_BASELINE)
    list(APPEND launcher --baseline=${GATE_BASELINE})
  endif()
  foreach(file IN LISTS GATE_SUPPRESSIONS)
    list(APPEND launcher --suppressions=${file})
  endforeach()
  foreach(budget IN LISTS GATE_BUDGETS)
    list(APPEND launcher --budget=${budget})
  endforeach()
  set(${output} ${launcher} ${GATE_OPTIONS} PARENT_SCOPE)
endfunction()

set(_loopsan_gate_values FAIL_ON BASELINE)
set(_loopsan_gate_lists SUPPRESSIONS BUDGETS OPTIONS)

# The gate's arguments as they were given.
macro(_loopsan_collect_gate prefix)
  set(gate "")
  foreach(key IN LISTS _loopsan_gate_values _loopsan_gate_lists)
    if(DEFINED ${prefix}_${key})
      list(APPEND gate ${key} ${${prefix}_${key}})
    endif()
  endforeach()
endmacro()

macro(_loopsan_check_arguments prefix function)
  if(${prefix}_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${function}: unknown arguments: ${${prefix}_UNPARSED_ARGUMENTS}")
  endif()
  if(${prefix}_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "${function}: no value for ${${prefix}_KEYWORDS_MISSING_VALUES}")
  endif()
endmacro()

function(loopsan_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 TEST ""
    "NAME;WORKING_DIRECTORY;REPORTS;${_loopsan_gate_values}" "COMMAND;${_loopsan_gate_lists}")
  _loopsan_check_arguments(TEST loopsan_add_test)
  if(NOT TEST_NAME OR NOT TEST_COMMAND)
    message(FATAL_ERROR "loopsan_add_test: needs NAME and COMMAND")
  endif()
  _loopsan_collect_gate(TEST)
  _loopsan_launcher(launcher ${gate})
  if(TEST_REPORTS)
    file(MAKE_DIRECTORY ${TEST_REPORTS})
    string(REGEX REPLACE "[^A-Za-z0-9_.-]" "_" file "${TEST_NAME}")
    list(APPEND launcher --json=${TEST_REPORTS}/${file}.json)
  endif()
  list(POP_FRONT TEST_COMMAND program)
  if(TARGET ${program})
    set(program $<TARGET_FILE:${program}>)
  endif()
  set(directory "")
  if(TEST_WORKING_DIRECTORY)
    set(directory WORKING_DIRECTORY ${TEST_WORKING_DIRECTORY})
  endif()
  add_test(NAME ${TEST_NAME} COMMAND ${launcher} -- ${program} ${TEST_COMMAND} ${directory})
endfunction()

function(loopsan_watch_tests)
  cmake_parse_arguments(PARSE_ARGV 0 WATCH "" "${_loopsan_gate_values}"
    "TARGETS;${_loopsan_gate_lists}")
  _loopsan_check_arguments(WATCH loopsan_watch_tests)
  if(NOT WATCH_TARGETS)
    message(FATAL_ERROR "loopsan_watch_tests: needs TARGETS")
  endif()
  _loopsan_collect_gate(WATCH)
  _loopsan_launcher(launcher ${gate})
  foreach(target IN LISTS WATCH_TARGETS)
    # TEST_LAUNCHER is for CMake 3.29 and later. Before, the emulator is what CTest and the
    # modules that discover tests put before a program.
    set_target_properties(${target} PROPERTIES
      TEST_LAUNCHER "${launcher};--" CROSSCOMPILING_EMULATOR "${launcher};--")
  endforeach()
endfunction()
