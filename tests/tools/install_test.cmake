# What is installed works, and still does after the tree has been moved.
#
#   cmake -DBUILD=<build tree> -DWORK=<scratch directory> -DVERSION=<x.y.z>
#         -DLIBDIR=<lib> -DGENERATOR=<name> -DCXX=<compiler> -DSANITIZE=<list>
#         -DCONSUMER=<source folder of a project> -P install_test.cmake

function(check_run output_variable)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE error RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\nended with ${status}\n${output}${error}")
  endif()
  set(${output_variable} "${output}" PARENT_SCOPE)
endfunction()

function(check_equal actual expected)
  if(NOT actual STREQUAL expected)
    message(FATAL_ERROR "expected '${expected}', got '${actual}'")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
check_run(ignored ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/first)
file(RENAME ${WORK}/first ${WORK}/moved)
file(REAL_PATH ${WORK}/moved prefix)

check_run(version ${prefix}/bin/loopsan --version)
check_equal("${version}" "loopsan ${VERSION}\n")
check_run(preload ${prefix}/bin/loopsan run --quiet -- sh -c "echo \"$LD_PRELOAD\"")
check_equal("${preload}" "${prefix}/${LIBDIR}/libloopsan.so\n")

check_run(packs ${prefix}/bin/loopsan run --rule-pack=list)
if(NOT packs MATCHES "(^|\n)node +Node.js")
  message(FATAL_ERROR "the rule packs are not found: ${packs}")
endif()

# A stranger's project finds them through the package, builds on the runtime, and
# watches itself.
set(FLAGS "")
if(SANITIZE)
  set(FLAGS -fsanitize=${SANITIZE})
endif()
check_run(ignored ${CMAKE_COMMAND} -G ${GENERATOR} -S ${CONSUMER} -B ${WORK}/consumer-build
  -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_CXX_FLAGS=${FLAGS})
file(READ ${WORK}/consumer-build/found found)
check_equal("${found}" "${prefix}/${LIBDIR}/libloopsan.so\n${prefix}/bin/loopsan\n")
check_run(ignored ${CMAKE_COMMAND} --build ${WORK}/consumer-build)
if(NOT SANITIZE)  # a sanitizer wants to be the first library of a program
  check_run(ignored ${CMAKE_CTEST_COMMAND} --test-dir ${WORK}/consumer-build --output-on-failure)
  # Both failed for what blocks, and not for another reason.
  foreach(report reports/fails.json watched.json)
    file(READ ${WORK}/consumer-build/${report} found)
    if(NOT found MATCHES "usleep")
      message(FATAL_ERROR "${report} has no usleep: ${found}")
    endif()
  endforeach()
endif()
check_run(answer ${WORK}/consumer-build/consumer)
check_equal("${answer}" "42\n")
if(NOT SANITIZE)  # whose runtime wants to be the first library of a program
execute_process(COMMAND ${CMAKE_COMMAND} -E env LOOPSAN=1 ${WORK}/consumer-build/consumer_debug
  OUTPUT_VARIABLE answer ERROR_VARIABLE report RESULT_VARIABLE status)
check_equal("${status}" "0")
check_equal("${answer}" "42\n")
if(NOT report MATCHES "never-awaited" OR NOT report MATCHES "main.cc")
  message(FATAL_ERROR "the program did not report its coroutine: ${report}")
endif()
endif()

if(NOT EXISTS ${prefix}/share/doc/loopsan/LICENSE)
  message(FATAL_ERROR "the licence is not installed")
endif()
