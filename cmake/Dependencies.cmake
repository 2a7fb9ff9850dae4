# Every library the project uses, as Debian 12 packages it (tools/install-deps.sh).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(nlohmann_json 3.11 CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(civetweb CONFIG REQUIRED)
pkg_check_modules(LIBDW REQUIRED IMPORTED_TARGET libdw)
pkg_check_modules(LIBELF REQUIRED IMPORTED_TARGET libelf)
# The remote API lives in libunwind-generic; plain libunwind is for oneself.
pkg_check_modules(LIBUNWIND REQUIRED IMPORTED_TARGET libunwind-generic libunwind)

if(LOOPSAN_BUILD_TESTS)
  find_package(GTest CONFIG REQUIRED)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  find_package(LibXml2 REQUIRED)
  # Loops that the test programs run on.
  find_package(Boost 1.74 REQUIRED)
  pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv)
  # Debian's libevent has no CMake package.
  pkg_check_modules(LIBEVENT REQUIRED IMPORTED_TARGET libevent)
  pkg_check_modules(GLIB REQUIRED IMPORTED_TARGET glib-2.0)
endif()

if(LOOPSAN_BUILD_BENCH)
  find_package(benchmark CONFIG REQUIRED)
endif()
