# The victims are built as programs in the wild are: optimized, no frame pointers.
foreach(variant IN ITEMS pie no_pie other)
  add_executable(unwind_victim_${variant} ${PROJECT_SOURCE_DIR}/tests/programs/unwind_victim.cc)
  target_link_libraries(unwind_victim_${variant} PRIVATE loopsan_options Threads::Threads)
  target_compile_options(unwind_victim_${variant} PRIVATE
    -O2 -fomit-frame-pointer -fno-sanitize=all)
  target_link_options(unwind_victim_${variant} PRIVATE LINKER:--build-id=sha1)
endforeach()
target_compile_options(unwind_victim_pie PRIVATE -fPIE)
target_link_options(unwind_victim_pie PRIVATE -pie)
target_compile_options(unwind_victim_no_pie PRIVATE -fno-pie)
target_link_options(unwind_victim_no_pie PRIVATE -no-pie)
# The same program with another build-id and another layout.
target_compile_options(unwind_victim_other PRIVATE -fPIE -O1)
target_link_options(unwind_victim_other PRIVATE -pie)

add_executable(unwinder_test
  ${PROJECT_SOURCE_DIR}/tests/reporters/elf_image_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/process_image_test.cc
  ${PROJECT_SOURCE_DIR}/tests/reporters/unwinder_test.cc)
target_compile_definitions(unwinder_test PRIVATE
  UNWIND_VICTIM="$<TARGET_FILE:unwind_victim_pie>"
  UNWIND_VICTIM_NO_PIE="$<TARGET_FILE:unwind_victim_no_pie>"
  UNWIND_VICTIM_OTHER="$<TARGET_FILE:unwind_victim_other>")
target_link_libraries(unwinder_test PRIVATE
  loopsan_reporters ${CMAKE_DL_LIBS} GTest::gmock GTest::gtest_main)
add_dependencies(unwinder_test unwind_victim_pie unwind_victim_no_pie unwind_victim_other)
gtest_discover_tests(unwinder_test)
