# The functions of LoopsanTest.cmake take no misspelt keyword for an argument.
#
#   cmake -DMODULE=<LoopsanTest.cmake> -DWORK=<scratch directory> -P keywords_test.cmake

# Evaluates one call, and prints what add_test() is given.
function(call output_variable status_variable text)
  file(WRITE ${WORK}/call.cmake "
    set(LOOPSAN_COMMAND loopsan)
    function(add_test)
      message(NOTICE \"add_test: \${ARGN}\")
    endfunction()
    include(${MODULE})
    ${text}")
  execute_process(COMMAND ${CMAKE_COMMAND} -P ${WORK}/call.cmake
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")  # CMake wraps errors
  set(${output_variable} "${output}" PARENT_SCOPE)
  set(${status_variable} "${status}" PARENT_SCOPE)
endfunction()

function(is_refused text expected)
  call(output status "${text}")
  string(FIND "${output}" "${expected}" at)
  if(status EQUAL 0 OR at LESS 0)
    message(SEND_ERROR "${text}\nwas not refused with '${expected}':\n${output}")
  endif()
endfunction()

function(is_taken text expected)
  call(output status "${text}")
  string(FIND "${output}" "${expected}" at)
  if(NOT status EQUAL 0 OR at LESS 0)
    message(SEND_ERROR "${text}\ndid not give '${expected}':\n${output}")
  endif()
endfunction()

set(add_test_keywords "The keywords are NAME, WORKING_DIRECTORY, REPORTS, FAIL_ON, BASELINE, COMMAND, SUPPRESSIONS, BUDGETS, OPTIONS.")
is_refused("loopsan_add_test(NAME a COMMAND b SUPPRESION x)"
  "loopsan_add_test: unknown keyword SUPPRESION; did you mean SUPPRESSIONS? ${add_test_keywords}")
is_refused("loopsan_add_test(NAME a COMMAND b --fast REPORT x)" "did you mean REPORTS?")
is_refused("loopsan_add_test(NAME a COMMAND b WORKING_DIR x)" "did you mean WORKING_DIRECTORY?")
is_refused("loopsan_add_test(NAME a COMAND b)" "did you mean COMMAND?")
is_refused("loopsan_add_test(NAME a COMMAND b SUPPRESSIONS x BUDGET worst-stall=1s)"
  "did you mean BUDGETS?")
is_refused("loopsan_add_test(NAME a fast COMMAND b)" "unknown arguments: fast. ${add_test_keywords}")
is_refused("loopsan_watch_tests(TARGETS a OPTION --quiet)"
  "did you mean OPTIONS? The keywords are FAIL_ON, BASELINE, TARGETS, SUPPRESSIONS, BUDGETS, OPTIONS.")

is_taken("loopsan_add_test(NAME a COMMAND b GET /NAME FAST --REPORT=1 DEBUG report)"
  "--;b;GET;/NAME;FAST;--REPORT=1;DEBUG;report")
is_taken("loopsan_add_test(NAME a COMMAND b $<1:REPORT> SUPPRESSIONS x)"
  "--suppressions=x;--;b;$<1:REPORT>")
