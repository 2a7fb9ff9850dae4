// Intent: a library whose functions symbolizer_test knows to the line. It calls
// back from inside two inlined functions; the return address is what is looked
// up. Built with and without debug information, in the places it may lie in.

// x86: each nop is one byte.
asm(".text\n"
    ".globl symbolizer_fixture_sized\n"
    ".type symbolizer_fixture_sized, @function\n"
    "symbolizer_fixture_sized:\n"
    "nop\n nop\n"
    ".size symbolizer_fixture_sized, .-symbolizer_fixture_sized\n"
    "nop\n nop\n"
    ".globl symbolizer_fixture_unsized\n"
    ".type symbolizer_fixture_unsized, @function\n"
    "symbolizer_fixture_unsized:\n"
    "nop\n nop\n nop\n nop\n"
    ".globl __symbolizer_fixture_alias\n"
    ".type __symbolizer_fixture_alias, @function\n"
    "__symbolizer_fixture_alias:\n"
    ".weak symbolizer_fixture_alias\n"
    ".type symbolizer_fixture_alias, @function\n"
    "symbolizer_fixture_alias:\n"
    "nop\n"
    ".size __symbolizer_fixture_alias, 1\n"
    ".size symbolizer_fixture_alias, 1\n");

namespace fixture {

using Callback = void (*)();

// An empty asm after a call keeps it from becoming a jump.
[[gnu::always_inline]] inline void Innermost(Callback callback) {
  callback();  // line: innermost
  asm volatile("");
}

[[gnu::always_inline]] inline void Middle(Callback callback) {
  if (callback != nullptr) {
    Innermost(callback);  // line: middle
  }
  asm volatile("");
}

class Server {
 public:
  void Handle(Callback callback);
};

[[gnu::noinline]] void Server::Handle(Callback callback) {
  Middle(callback);  // line: handle
  asm volatile("");
}

}  // namespace fixture

extern "C" [[gnu::visibility("default")]] void symbolizer_fixture_run(void (*callback)()) {
  fixture::Server().Handle(callback);  // line: run
  asm volatile("");
}
