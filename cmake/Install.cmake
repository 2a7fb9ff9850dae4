# cmake --install: the command, the probe, the CMake package, the licence. The
# command finds the probe, and the probe the command, by their places relative to
# each other, so the tree may be moved as a whole.
include(CMakePackageConfigHelpers)

install(TARGETS loopsan_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS loopsan_probe LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

# The rule packs, where the command looks for them.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/tools/suppressions
  DESTINATION ${CMAKE_INSTALL_DATADIR}/loopsan FILES_MATCHING PATTERN "*.supp")

# The runtime with its headers, and what loopsan::debug is made of.
install(TARGETS loopsan_runtime EXPORT loopsanTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT loopsanTargets NAMESPACE loopsan::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/loopsan)
install(TARGETS loopsan_debug loopsan_reporters loopsan_prometheus
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/loopsan
  FILES_MATCHING PATTERN "*.h" PATTERN "*.inc")
install(FILES ${PROJECT_SOURCE_DIR}/instrument/annotate.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/loopsan/instrument)
install(FILES ${PROJECT_SOURCE_DIR}/reporters/metrics_collectable.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/loopsan/reporters)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/instrument/adapters
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/loopsan/instrument FILES_MATCHING PATTERN "*.h")

set(LOOPSAN_COMMAND_FILE ${CMAKE_INSTALL_BINDIR}/loopsan)
set(LOOPSAN_PROBE_FILE ${CMAKE_INSTALL_LIBDIR}/libloopsan.so)
set(LOOPSAN_LIBRARY_DIR ${CMAKE_INSTALL_LIBDIR})
set(LOOPSAN_HEADER_DIR ${CMAKE_INSTALL_INCLUDEDIR}/loopsan)
set(LOOPSAN_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/loopsan)
configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/loopsanConfig.cmake.in ${CMAKE_BINARY_DIR}/loopsanConfig.cmake
  INSTALL_DESTINATION ${LOOPSAN_PACKAGE_DIR}
  PATH_VARS LOOPSAN_COMMAND_FILE LOOPSAN_PROBE_FILE LOOPSAN_LIBRARY_DIR LOOPSAN_HEADER_DIR)
write_basic_package_version_file(
  ${CMAKE_BINARY_DIR}/loopsanConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/loopsanConfig.cmake ${CMAKE_BINARY_DIR}/loopsanConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/LoopsanTest.cmake
  DESTINATION ${LOOPSAN_PACKAGE_DIR})

# What CI systems are given.
install(PROGRAMS ${PROJECT_SOURCE_DIR}/tools/ci/run.sh
  DESTINATION ${CMAKE_INSTALL_DATADIR}/loopsan/ci)
install(FILES ${PROJECT_SOURCE_DIR}/tools/ci/action.yml ${PROJECT_SOURCE_DIR}/tools/ci/gitlab.yml
  DESTINATION ${CMAKE_INSTALL_DATADIR}/loopsan/ci)

# Of the libraries in the HTML report.
install(FILES ${PROJECT_SOURCE_DIR}/reporters/html/LICENSES.txt
  DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSES-html-report.txt)

foreach(file LICENSE NOTICE)
  if(EXISTS ${PROJECT_SOURCE_DIR}/${file})
    install(FILES ${PROJECT_SOURCE_DIR}/${file} DESTINATION ${CMAKE_INSTALL_DOCDIR})
  endif()
endforeach()
