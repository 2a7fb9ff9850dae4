// Intent: a host that takes rights, descriptors or resources away from itself
// goes on as it would without loopsan.
//
// Usage: harm_sandbox DIRECTORY SCENARIO; see kScenarios.
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include "tests/programs/harm_loop.h"

namespace {

using harm::BlockForTheReport;
using harm::Loop;
using harm::Require;

// Many turns: a probe that looks for its collector only now and then does so too.
constexpr int kTurns = 600;

void GoOn(Loop& loop) {
  loop.Run(kTurns, [](int turn) {
    if (turn == Loop::kProvingTurns) BlockForTheReport();
  });
}

void GoOn() {
  Loop loop;
  GoOn(loop);
}

void Say(std::string_view text) {
  Require(write(STDOUT_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size()),
          "write");
}

// Kills the process at any other system call.
void AllowFewSystemCalls() {
#define ALLOW(name)                                      \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      ALLOW(read),
      ALLOW(write),
      ALLOW(epoll_wait),
      ALLOW(clock_nanosleep),
      ALLOW(exit_group),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
#undef ALLOW
  const sock_fprog filter{sizeof program / sizeof program[0], program};
  Require(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  Require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0, "seccomp");
}

void FilterBeforeTheFirstWait(const std::string&) {
  Loop loop;
  AllowFewSystemCalls();
  GoOn(loop);
  Say("went on\n");
  _exit(4);
}

void FilterAfterTheFirstWait(const std::string&) {
  Loop loop;
  loop.Run(kTurns, [](int turn) {
    if (turn == 0) AllowFewSystemCalls();
    if (turn == Loop::kProvingTurns) BlockForTheReport();
  });
  Say("went on\n");
  _exit(4);
}

void FilterInALaterStep(const std::string&) {
  Loop loop;
  GoOn(loop);
  loop.RunOnceProven([] { AllowFewSystemCalls(); });
  GoOn(loop);
  Say("went on\n");
  _exit(4);
}

// Stalls are a reason to look harder.
void FilterAndStall(const std::string&) {
  Loop loop;
  loop.Run(100, [](int turn) {
    if (turn == 50) AllowFewSystemCalls();
    if (turn < 60 || turn >= 63) return;
    volatile unsigned work = 0;
    for (unsigned i = 0; i < 800'000'000; ++i) work = work + 1;
  });
  Say("went on\n");
  _exit(4);
}

void LetNoFileGrow() {
  rlimit limit;
  Require(getrlimit(RLIMIT_FSIZE, &limit) == 0, "getrlimit");
  limit.rlim_cur = 0;
  Require(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
}

void NoFileMayGrow(const std::string& directory) {
  LetNoFileGrow();
  GoOn();
  const int fd = open((directory + "/file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  signal(SIGXFSZ, SIG_IGN);
  const bool refused = write(fd, "x", 1) == -1 && errno == EFBIG;
  printf("writing is %s\n", refused ? "refused" : "allowed");
}

void WritingIsTheEnd(const std::string& directory) {
  GoOn();
  LetNoFileGrow();
  GoOn();
  const int fd = open((directory + "/file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (write(fd, "x", 1) == 1) printf("written\n");
}

// Data over the sockets that got the numbers of what was closed.
void TalkOverNewSockets() {
  int sockets[2];
  Require(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "socketpair");
  printf("sockets %d and %d\n", sockets[0], sockets[1]);
  GoOn();
  for (int i = 0; i < 1000; ++i) {
    unsigned char byte = static_cast<unsigned char>(i);
    Require(write(sockets[0], &byte, 1) == 1 && read(sockets[1], &byte, 1) == 1, "talk");
    Require(byte == static_cast<unsigned char>(i), "the same byte");
  }
  char more;
  const ssize_t got = recv(sockets[1], &more, 1, MSG_DONTWAIT);
  printf("behind it: %zd, errno %d\n", got, errno);
}

void CloseAllDescriptors(const std::string&) {
  GoOn();
  Require(close_range(3, ~0U, 0) == 0, "close_range");
  TalkOverNewSockets();
}

void CloseEachDescriptor(const std::string&) {
  Loop loop;
  loop.RunOnceProven([] {
    BlockForTheReport();
    for (int fd = 3; fd < 1024; ++fd) close(fd);
  });
  TalkOverNewSockets();
}

void CloseAllBeforeTheFirstWait(const std::string&) {
  Require(close_range(3, ~0U, 0) == 0, "close_range");
  TalkOverNewSockets();
}

void CloseStandardError(const std::string&) {
  close(STDERR_FILENO);
  GoOn();
  printf("the next descriptor is %d\n", open("/dev/null", O_RDONLY));
}

void AllowFewDescriptors(const std::string&) {
  const rlimit few{8, 8};
  Require(setrlimit(RLIMIT_NOFILE, &few) == 0, "setrlimit");
  GoOn();
  int last = -1;
  for (int fd; (fd = open("/dev/null", O_RDONLY)) >= 0;) last = fd;
  printf("up to %d, errno %d\n", last, errno);
}

void AllowNoMoreDescriptors(const std::string&) {
  Loop loop;
  const rlimit none{0, 0};
  Require(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");
  GoOn(loop);
  printf("open: %d\n", open("/dev/null", O_RDONLY));
}

void AllowLittleMemory(const std::string&) {
  const rlimit little{1 << 30, 1 << 30};
  Require(setrlimit(RLIMIT_AS, &little) == 0, "setrlimit");
  GoOn();
  size_t got = 0;
  while (malloc(1 << 24) != nullptr) ++got;
  printf("%s\n", got > 30 ? "enough" : "too little");
}

void NumberTheFirstDescriptor(const std::string&) {
  const int first = open("/dev/null", O_RDONLY);
  GoOn();
  printf("first %d, after a loop %d\n", first, open("/dev/null", O_RDONLY));
}

void ChangeRoot(const std::string& directory) {
  Require(chroot(directory.c_str()) == 0 && chdir("/") == 0, "chroot");
  GoOn();
  printf("/proc is %s\n", access("/proc", F_OK) == 0 ? "there" : "away");
}

void ChangeUser(const std::string&) {
  GoOn();
  Require(setgroups(0, nullptr) == 0 && setgid(33) == 0 && setuid(33) == 0, "setuid");
  GoOn();
  printf("user %d, dumpable %d\n", static_cast<int>(getuid()), prctl(PR_GET_DUMPABLE));
}

void ChangeUserBeforeTheFirstWait(const std::string&) {
  Require(setgroups(0, nullptr) == 0 && setgid(33) == 0 && setuid(33) == 0, "setuid");
  GoOn();
  printf("user %d\n", static_cast<int>(getuid()));
}

// Fails with EINVAL if the process has a second thread.
void UnshareUser(const std::string&) {
  GoOn();
  Require(unshare(CLONE_NEWUSER) == 0, "unshare");
  GoOn();
  printf("in a namespace of its own\n");
}

void FillTheSharedMemory(const std::string& directory) {
  Require(unshare(CLONE_NEWNS) == 0, "unshare");
  Require(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private");
  for (const char* where : {"/dev/shm", "/tmp", "/run"}) {
    Require(mount("tmpfs", where, "tmpfs", 0, "size=4k") == 0, "mount");
    const int fd = open((std::string(where) + "/full").c_str(), O_CREAT | O_WRONLY, 0600);
    char page[4096] = {};
    while (write(fd, page, sizeof page) > 0) {
    }
    close(fd);
  }
  (void)directory;
  GoOn();
  const int fd = open("/dev/shm/more", O_CREAT | O_WRONLY, 0600);
  printf("one more byte: %zd, errno %d\n", write(fd, "x", 1), errno);
}

// One thread, and no signal that is not as it was.
void CountThreadsAndHandlers(const std::string&) {
  const auto show = [](const char* when) {
    int threads = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      (void)task;
      ++threads;
    }
    printf("%s: %d threads, handlers", when, threads);
    for (int number = 1; number <= SIGRTMAX; ++number) {
      struct sigaction action{};
      if (sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) {
        printf(" %d", number);
      }
    }
    sigset_t blocked;
    sigset_t pending;
    sigprocmask(SIG_SETMASK, nullptr, &blocked);
    sigpending(&pending);
    printf(", %s blocked, %s pending\n", sigisemptyset(&blocked) ? "none" : "some",
           sigisemptyset(&pending) ? "none" : "some");
  };
  show("at first");
  Loop loop;
  loop.RunOnceProven([&] {
    BlockForTheReport();
    // Over the threshold, in the kernel and out of it: a reason to look.
    timespec begun;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (timespec now = begun;
         (now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1'000'000 < 250;) {
      clock_gettime(CLOCK_MONOTONIC, &now);
    }
    show("in a long step");
  });
  show("at last");
}

struct Scenario {
  const char* name;
  void (*run)(const std::string& directory);
};

constexpr Scenario kScenarios[] = {
    {"filter_before_the_first_wait", FilterBeforeTheFirstWait},
    {"filter_after_the_first_wait", FilterAfterTheFirstWait},
    {"filter_in_a_later_step", FilterInALaterStep},
    {"filter_and_stall", FilterAndStall},
    {"no_file_may_grow", NoFileMayGrow},
    {"writing_is_the_end", WritingIsTheEnd},
    {"close_all_descriptors", CloseAllDescriptors},
    {"close_each_descriptor", CloseEachDescriptor},
    {"close_all_before_the_first_wait", CloseAllBeforeTheFirstWait},
    {"close_standard_error", CloseStandardError},
    {"allow_few_descriptors", AllowFewDescriptors},
    {"allow_no_more_descriptors", AllowNoMoreDescriptors},
    {"allow_little_memory", AllowLittleMemory},
    {"number_the_first_descriptor", NumberTheFirstDescriptor},
    {"change_root", ChangeRoot},
    {"change_user", ChangeUser},
    {"change_user_before_the_first_wait", ChangeUserBeforeTheFirstWait},
    {"unshare_user", UnshareUser},
    {"fill_the_shared_memory", FillTheSharedMemory},
    {"count_threads_and_handlers", CountThreadsAndHandlers},
};

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 3, "usage: harm_sandbox DIRECTORY SCENARIO");
  for (const Scenario& scenario : kScenarios) {
    if (std::string_view(scenario.name) != argv[2]) continue;
    scenario.run(argv[1]);
    return 3;
  }
  return 98;
}
