// Intent: a plugin that is loaded, called in steps of a loop and unloaded again
// works with every way of binding its symbols.
//
// Usage: harm_plugin_host PLUGIN
#include <dlfcn.h>
#include <fcntl.h>
#include <time.h>

#include "tests/programs/harm_loop.h"

int main(int argc, char** argv) {
  harm::Require(argc == 2, "usage: harm_plugin_host PLUGIN");
  int pipe_ends[2];
  harm::Require(pipe2(pipe_ends, O_CLOEXEC) == 0, "pipe2");
  int wrong = 0;
  harm::Loop loop;
  loop.Run(120, [&](int turn) {
    if (turn == 110) harm::BlockForTheReport();
    const int mode = turn % 3 == 0   ? RTLD_NOW | RTLD_DEEPBIND
                     : turn % 3 == 1 ? RTLD_LAZY | RTLD_LOCAL
                                     : RTLD_LAZY | RTLD_DEEPBIND | RTLD_GLOBAL;
    void* plugin = dlopen(argv[1], mode);
    harm::Require(plugin != nullptr, "dlopen");
    auto* read_byte = reinterpret_cast<int (*)(int)>(dlsym(plugin, "PluginRead"));
    const char sent = static_cast<char>(turn);
    harm::Require(write(pipe_ends[1], &sent, 1) == 1, "write");
    wrong += read_byte(pipe_ends[0]) != sent;
    wrong += dlclose(plugin) != 0;
  });
  printf("%d wrong, unloaded: %s\n", wrong,
         dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == nullptr ? "yes" : "no");
  return 3;
}
