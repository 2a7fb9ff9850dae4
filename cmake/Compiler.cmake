# Flags shared by everything. loopsan_options is for our own code, never exported.
add_library(loopsan_options INTERFACE)
target_include_directories(loopsan_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(loopsan_options INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
# libstdc++ 12 itself calls what it has deprecated (std::stable_sort calls
# std::get_temporary_buffer), and clang warns of it where our code instantiates it.
target_compile_options(loopsan_options INTERFACE
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)
# What nobody will step through needs lines, not variables: such a build takes two thirds
# of the time.
if(LOOPSAN_LINE_TABLES_ONLY)
  target_compile_options(loopsan_options INTERFACE -g1)
endif()
if(LOOPSAN_WARNINGS_AS_ERRORS)
  target_compile_options(loopsan_options INTERFACE -Werror)
endif()

# The preloaded library lives in a stranger's process and is never sanitized.
add_library(loopsan_sanitize INTERFACE)
if(LOOPSAN_SANITIZE)
  target_compile_options(loopsan_sanitize INTERFACE -fsanitize=${LOOPSAN_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(loopsan_sanitize INTERFACE -fsanitize=${LOOPSAN_SANITIZE})
endif()

if(LOOPSAN_BUILD_FUZZERS AND NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
  message(FATAL_ERROR "LOOPSAN_BUILD_FUZZERS needs clang (libFuzzer); "
    "use the preset fuzz or -DCMAKE_CXX_COMPILER=clang++-19")
endif()

# A second build directory, or the next CI run, need not compile the same again.
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(LOOPSAN_CCACHE ccache)
  mark_as_advanced(LOOPSAN_CCACHE)
  if(LOOPSAN_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${LOOPSAN_CCACHE})
    set(CMAKE_C_COMPILER_LAUNCHER ${LOOPSAN_CCACHE})
  endif()
endif()
