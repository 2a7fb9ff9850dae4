// Intent: prints what a program can see of how it was started: descriptors,
// signals, limits, environment. Under loopsan it is the same as without.
#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>

int main() {
  std::set<std::string> descriptors;
  DIR* directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    const int descriptor = std::atoi(entry->d_name);
    if (entry->d_name[0] == '.' || descriptor == dirfd(directory)) continue;
    const std::string target =
        std::filesystem::read_symlink(std::string("/proc/self/fd/") + entry->d_name);
    // The numbers of pipes are new each time.
    descriptors.insert(std::string(entry->d_name) + " " + target.substr(0, target.find('[')));
  }
  closedir(directory);
  for (const std::string& descriptor : descriptors) std::printf("fd %s\n", descriptor.c_str());

  sigset_t mask;
  sigprocmask(SIG_SETMASK, nullptr, &mask);
  for (int number = 1; number <= SIGRTMAX; ++number) {
    struct sigaction action;
    if (sigaction(number, nullptr, &action) != 0) continue;
    const bool blocked = sigismember(&mask, number) == 1;
    const bool ignored = action.sa_handler == SIG_IGN;
    if (blocked || ignored) std::printf("signal %d %d %d\n", number, blocked, ignored);
  }

  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit limit = {};
    getrlimit(static_cast<__rlimit_resource>(resource), &limit);
    std::printf("limit %d %llu %llu\n", resource, static_cast<unsigned long long>(limit.rlim_cur),
                static_cast<unsigned long long>(limit.rlim_max));
  }
  std::printf("umask %o, nice %d, dumpable %d, in %s\n", umask(0), getpriority(PRIO_PROCESS, 0),
              prctl(PR_GET_DUMPABLE), std::filesystem::current_path().c_str());

  std::set<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (!text.starts_with("LD_PRELOAD=") && !text.starts_with("LOOPSAN_SESSION=")) {
      variables.insert(text);
    }
  }
  for (const std::string& variable : variables) std::printf("%s\n", variable.c_str());
}
