# loopsan_embed_files(OUTPUT HEADER NAME FILE [NAME FILE...])
#
# Makes OUTPUT, a C++ source that defines loopsan::NAME, the content of FILE, as
# HEADER declares it: extern const std::string_view NAME.
function(loopsan_embed_files output header)
  set(files "")
  set(arguments ${ARGN})
  set(is_file FALSE)
  foreach(argument IN LISTS arguments)
    if(is_file)
      list(APPEND files ${CMAKE_CURRENT_SOURCE_DIR}/${argument})
    endif()
    if(is_file)
      set(is_file FALSE)
    else()
      set(is_file TRUE)
    endif()
  endforeach()
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DHEADER=${header} "-DITEMS=${arguments}"
            -DSOURCE_DIR=${CMAKE_CURRENT_SOURCE_DIR}
            -P ${PROJECT_SOURCE_DIR}/cmake/WriteEmbeddedFiles.cmake
    DEPENDS ${files} ${PROJECT_SOURCE_DIR}/cmake/WriteEmbeddedFiles.cmake
    COMMENT "Embedding files in ${output}"
    VERBATIM)
endfunction()
