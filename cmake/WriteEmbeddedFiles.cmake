# The build step of loopsan_embed_files(): OUTPUT, HEADER, SOURCE_DIR and
# ITEMS ("NAME;FILE;NAME;FILE") are given.
set(text "// Made by cmake/WriteEmbeddedFiles.cmake.\n#include \"${HEADER}\"\n\nnamespace loopsan {\nnamespace {\n\n")
set(definitions "")
while(ITEMS)
  list(POP_FRONT ITEMS name file)
  file(READ ${SOURCE_DIR}/${file} bytes HEX)
  string(REGEX REPLACE "(................................................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND text "constexpr unsigned char ${name}Bytes[] = {\n${bytes}};\n\n")
  string(APPEND definitions "const std::string_view ${name}(reinterpret_cast<const char*>(${name}Bytes),\n  sizeof ${name}Bytes);\n")
endwhile()
file(WRITE ${OUTPUT} "${text}}  // namespace\n\n${definitions}\n}  // namespace loopsan\n")
