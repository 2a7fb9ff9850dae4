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
#
# A word in capitals that is nearly one of these keywords is an error, because it would be taken
# as an argument of the command. Write $<1:REPORT> for an argument that is meant to be REPORT.
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

# How many letters must be inserted, removed or replaced.
function(_loopsan_distance output first second)
  string(LENGTH "${first}" rows)
  string(LENGTH "${second}" columns)
  set(above "")
  foreach(column RANGE ${columns})
    list(APPEND above ${column})
  endforeach()
  foreach(row RANGE 1 ${rows})
    math(EXPR at "${row} - 1")
    string(SUBSTRING "${first}" ${at} 1 letter)
    set(left ${row})
    set(current ${row})
    foreach(column RANGE 1 ${columns})
      math(EXPR at "${column} - 1")
      string(SUBSTRING "${second}" ${at} 1 other)
      list(GET above ${at} best)  # replaced, or the same
      if(NOT letter STREQUAL other)
        math(EXPR best "${best} + 1")
      endif()
      list(GET above ${column} removed)
      foreach(step IN ITEMS ${removed} ${left})
        math(EXPR step "${step} + 1")
        if(step LESS best)
          set(best ${step})
        endif()
      endforeach()
      list(APPEND current ${best})
      set(left ${best})
    endforeach()
    set(above ${current})
  endforeach()
  set(${output} ${left} PARENT_SCOPE)
endfunction()

# What comes behind `function` and its keywords are the arguments of a call. One that is
# nearly a keyword, or the beginning of one, is misspelt.
function(_loopsan_check_keywords function keywords)
  foreach(word IN LISTS ARGN)
    list(FIND keywords "${word}" index)  # projects of before CMake 3.3 have no IN_LIST
    if(NOT word MATCHES "^[A-Z][A-Z_][A-Z_][A-Z_]+$" OR NOT index LESS 0)
      continue()
    endif()
    foreach(keyword IN LISTS keywords)
      string(FIND "${keyword}" "${word}" at)
      _loopsan_distance(distance "${word}" "${keyword}")
      if(at EQUAL 0 OR distance EQUAL 1 OR (distance EQUAL 2 AND word MATCHES "^......"))
        list(JOIN keywords ", " known)
        message(FATAL_ERROR "${function}: unknown keyword ${word}; did you mean ${keyword}? "
          "The keywords are ${known}. If it is an argument of the command, write $<1:${word}>.")
      endif()
    endforeach()
  endforeach()
endfunction()

macro(_loopsan_check_arguments prefix function keywords)
  _loopsan_check_keywords(${function} "${keywords}" ${ARGN})
  if(${prefix}_UNPARSED_ARGUMENTS)
    list(JOIN ${prefix}_UNPARSED_ARGUMENTS " " unknown)
    string(REPLACE ";" ", " known "${keywords}")
    message(FATAL_ERROR "${function}: unknown arguments: ${unknown}. The keywords are ${known}.")
  endif()
  if(${prefix}_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "${function}: no value for ${${prefix}_KEYWORDS_MISSING_VALUES}")
  endif()
endmacro()

function(loopsan_add_test)
  set(values NAME WORKING_DIRECTORY REPORTS ${_loopsan_gate_values})
  set(lists COMMAND ${_loopsan_gate_lists})
  cmake_parse_arguments(PARSE_ARGV 0 TEST "" "${values}" "${lists}")
  _loopsan_check_arguments(TEST loopsan_add_test "${values};${lists}" ${ARGN})
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
  set(lists TARGETS ${_loopsan_gate_lists})
  cmake_parse_arguments(PARSE_ARGV 0 WATCH "" "${_loopsan_gate_values}" "${lists}")
  _loopsan_check_arguments(WATCH loopsan_watch_tests "${_loopsan_gate_values};${lists}" ${ARGN})
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
