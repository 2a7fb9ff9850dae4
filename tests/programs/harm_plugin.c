// Intent: a plugin that sleeps and reads through libc.
#include <time.h>
#include <unistd.h>

int PluginRead(int fd) {
  const struct timespec moment = {0, 1000};
  nanosleep(&moment, 0);
  char byte = 0;
  return read(fd, &byte, 1) == 1 ? byte : -1;
}
