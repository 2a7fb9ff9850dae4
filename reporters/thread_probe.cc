#include "reporters/thread_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/auxvec.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace loopsan {
namespace {

std::string ReadAt(int fd) {
  if (fd < 0) return "";
  char buffer[1024];
  const ssize_t bytes = pread(fd, buffer, sizeof buffer, 0);
  return bytes > 0 ? std::string(buffer, static_cast<size_t>(bytes)) : "";
}

FileDescriptor OpenThreadFile(pid_t pid, pid_t tid, const char* name) {
  return FileDescriptor(
      open(absl::StrCat("/proc/", pid, "/task/", tid, "/", name).c_str(), O_RDONLY | O_CLOEXEC));
}

// perf_event_open(2): the register numbers of <asm/perf_regs.h>, in which order
// the kernel writes them.
constexpr uint64_t kRegisterMask = (1U << 6) | (1U << 7) | (1U << 8);  // bp, sp, ip
constexpr uint32_t kStackBytes = 65528;  // the largest multiple of 8 that fits 16 bits
constexpr size_t kRingPages = 32;

FileDescriptor OpenPerfEvent(pid_t tid) {
  static const bool refused = getenv("LOOPSAN_TEST_NO_PERF") != nullptr;
  if (refused) {
    errno = EACCES;
    return FileDescriptor();
  }
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_CPU_CLOCK;
  attributes.sample_period = 500'000;  // nanoseconds on a processor
  attributes.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
  attributes.sample_regs_user = kRegisterMask;
  attributes.sample_stack_user = kStackBytes;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  attributes.wakeup_events = 1;
  return FileDescriptor(static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, tid, -1, -1, PERF_FLAG_FD_CLOEXEC)));
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

ThreadProbe::ThreadProbe(pid_t pid, pid_t tid)
    : pid_(pid),
      tid_(tid),
      system_call_(OpenThreadFile(pid, tid, "syscall")),
      schedstat_(OpenThreadFile(pid, tid, "schedstat")),
      stat_(OpenThreadFile(pid, tid, "stat")) {}

bool ThreadProbe::Exists() const {
  return access(absl::StrCat("/proc/", pid_, "/task/", tid_).c_str(), F_OK) == 0;
}

std::string ThreadProbe::Name() const {
  std::string name = ReadSmallFile(absl::StrCat("/proc/", pid_, "/task/", tid_, "/comm"));
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

SchedulingState ThreadProbe::Scheduling() const {
  SchedulingState result;
  const std::string stat = ReadAt(stat_.get());
  const size_t behind_name = stat.rfind(')');  // the name may contain anything
  if (behind_name == std::string::npos || behind_name + 2 >= stat.size()) {
    return result;
  }
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(stat).substr(behind_name + 2), ' ');
  if (fields.size() < 10 || fields[0].empty()) {
    return result;
  }
  result.state = fields[0][0];
  (void)absl::SimpleAtoi(fields[9], &result.major_faults);
  const std::string schedstat = ReadAt(schedstat_.get());
  const std::vector<absl::string_view> times =
      absl::StrSplit(schedstat, ' ', absl::SkipWhitespace());
  result.valid = times.size() >= 2 && absl::SimpleAtoi(times[0], &result.run_nanoseconds) &&
                 absl::SimpleAtoi(times[1], &result.wait_nanoseconds);
  return result;
}

std::optional<ProcessorTimes> ThreadProbe::Times() const {
  unsigned long long ran = 0;
  unsigned long long waited = 0;
  if (sscanf(ReadAt(schedstat_.get()).c_str(), "%llu %llu", &ran, &waited) != 2) {
    return std::nullopt;
  }
  return ProcessorTimes{ran, waited};
}

std::optional<SystemCallState> ThreadProbe::SystemCall() const {
  const std::string text = ReadAt(system_call_.get());
  if (text.empty()) {
    return std::nullopt;
  }
  SystemCallState result;
  if (text.rfind("running", 0) == 0) {
    result.running = true;
    return result;
  }
  unsigned long long a[6] = {};
  unsigned long long sp = 0;
  unsigned long long pc = 0;
  long number = -1;
  if (sscanf(text.c_str(), "%ld %llx %llx %llx %llx %llx %llx %llx %llx", &number, &a[0], &a[1],
             &a[2], &a[3], &a[4], &a[5], &sp, &pc) != 9) {
    return std::nullopt;  // "-1 SP PC": blocked, but not in a system call
  }
  result.number = number;
  std::copy(a, a + 3, result.arguments);
  result.sp = sp;
  result.pc = pc;
  return result;
}

bool ThreadProbe::PerfPermitted(std::string& error) const {
  if (OpenPerfEvent(tid_) || (errno != EPERM && errno != EACCES && errno != ENOSYS)) {
    return true;
  }
  error = absl::StrCat("perf_event_open: ", strerror(errno));
  return false;
}

std::optional<RawStack> ThreadProbe::PerfSample(int milliseconds, uint64_t stack_high,
                                                std::string& error) {
  const FileDescriptor event = OpenPerfEvent(tid_);
  if (!event) {
    error = absl::StrCat("perf_event_open: ", strerror(errno));
    return std::nullopt;
  }
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t bytes = (1 + kRingPages) * page;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, event.get(), 0);
  if (memory == MAP_FAILED) {
    error = absl::StrCat("mmap of a perf event: ", strerror(errno));
    return std::nullopt;
  }
  std::optional<RawStack> result;
  pollfd ready{event.get(), POLLIN, 0};
  poll(&ready, 1, milliseconds);
  const auto* control = static_cast<const perf_event_mmap_page*>(memory);
  const uint64_t head = __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE);
  // The first record of a fresh ring starts at its beginning and does not wrap.
  const char* record = static_cast<const char*>(memory) + page;
  size_t at = 0;
  while (at + sizeof(perf_event_header) <= head && head <= kRingPages * page) {
    perf_event_header header;
    memcpy(&header, record + at, sizeof header);
    if (header.size < sizeof header || at + header.size > head) break;
    if (header.type != PERF_RECORD_SAMPLE) {
      at += header.size;
      continue;
    }
    const char* body = record + at + sizeof header;
    const char* end = record + at + header.size;
    uint64_t words[5];  // abi, bp, sp, ip, stack size
    if (end - body < static_cast<ptrdiff_t>(sizeof words)) break;
    memcpy(words, body, sizeof words);
    if (words[0] == PERF_SAMPLE_REGS_ABI_NONE) break;  // a kernel thread, or exiting
    RawStack stack;
    stack.source = StackSource::kPerfEvent;
    stack.registers = {words[3], words[2], words[1]};
    stack.base = words[2];
    body += sizeof words;
    const uint64_t copied = words[4];
    if (copied > 0 && end - body >= static_cast<ptrdiff_t>(copied + sizeof(uint64_t))) {
      uint64_t filled = 0;
      memcpy(&filled, body + copied, sizeof filled);
      stack.bytes.assign(body, body + std::min(filled, copied));
    }
    result = std::move(stack);
    break;
  }
  munmap(memory, bytes);
  if (!result) {
    error = "the thread was not on a processor in user mode";
    return std::nullopt;
  }
  const uint64_t copied_to = result->base + result->bytes.size();
  if (result->bytes.size() + 4096 > kStackBytes - 4096 && copied_to < stack_high) {
    // Deeper than the kernel copies: the outer frames hardly change meanwhile.
    std::vector<char> rest(std::min<uint64_t>(stack_high - copied_to, 192 * 1024));
    rest.resize(CopyMemory(pid_, copied_to, rest.data(), rest.size()));
    result->bytes.insert(result->bytes.end(), rest.begin(), rest.end());
  }
  return result;
}

size_t CopyMemory(pid_t pid, uint64_t address, void* to, size_t bytes) {
  iovec local{to, bytes};
  iovec remote{reinterpret_cast<void*>(address), bytes};
  const ssize_t copied = process_vm_readv(pid, &local, 1, &remote, 1, 0);
  return copied > 0 ? static_cast<size_t>(copied) : 0;
}

RawStack CopyStack(pid_t pid, const Registers& registers, uint64_t high, size_t limit) {
  RawStack stack;
  stack.source = StackSource::kHookRegisters;
  stack.registers = registers;
  stack.base = registers.rsp;
  const size_t wanted =
      high > registers.rsp ? std::min<uint64_t>(high - registers.rsp, limit) : limit / 8;
  stack.bytes.resize(wanted);
  stack.bytes.resize(CopyMemory(pid, registers.rsp, stack.bytes.data(), wanted));
  return stack;
}

DescriptorInfo ReadDescriptor(pid_t pid, int fd) {
  DescriptorInfo result;
  if (fd < 0) return result;
  result.target = ReadLink(absl::StrCat("/proc/", pid, "/fd/", fd));
  const std::string info = ReadSmallFile(absl::StrCat("/proc/", pid, "/fdinfo/", fd));
  const size_t at = info.find("flags:");
  if (result.target.empty() || at == std::string::npos) return result;
  const unsigned long flags = strtoul(info.c_str() + at + 6, nullptr, 8);
  result.nonblocking = (flags & O_NONBLOCK) != 0;
  result.valid = true;
  return result;
}

int CountEpollTargets(pid_t pid, int fd) {
  const std::string info = ReadSmallFile(absl::StrCat("/proc/", pid, "/fdinfo/", fd));
  if (info.empty()) return -1;
  int count = 0;
  for (size_t at = info.find("tfd:"); at != std::string::npos; at = info.find("tfd:", at + 4)) {
    ++count;
  }
  return count;
}

bool FindMapping(pid_t pid, uint64_t address, uint64_t& low, uint64_t& high) {
  FILE* maps = fopen(absl::StrCat("/proc/", pid, "/maps").c_str(), "re");
  if (maps == nullptr) return false;
  char line[512];
  bool found = false;
  while (!found && fgets(line, sizeof line, maps) != nullptr) {
    unsigned long long begin = 0;
    unsigned long long end = 0;
    if (sscanf(line, "%llx-%llx", &begin, &end) == 2 && begin <= address && address < end) {
      low = begin;
      high = end;
      found = true;
    }
  }
  fclose(maps);
  return found;
}

pid_t ProcessOfThread(pid_t tid) {
  const std::string status = ReadSmallFile(absl::StrCat("/proc/", tid, "/status"));
  const size_t at = status.find("\nTgid:");
  return at == std::string::npos ? 0 : static_cast<pid_t>(atoi(status.c_str() + at + 6));
}

std::string StartedAs(pid_t pid) {
  const std::string vector = ReadSmallFile(absl::StrCat("/proc/", pid, "/auxv"));
  for (size_t at = 0; at + 2 * sizeof(uint64_t) <= vector.size(); at += 2 * sizeof(uint64_t)) {
    uint64_t entry[2];
    memcpy(entry, vector.data() + at, sizeof entry);
    if (entry[0] != AT_EXECFN) continue;
    char name[4096];
    const size_t bytes = CopyMemory(pid, entry[1], name, sizeof name);
    const std::string path(name, strnlen(name, bytes));
    // A descriptor (fexecve) is no name.
    const bool is_name =
        path.size() < bytes && !path.starts_with("/dev/fd/") && !path.starts_with("/proc/");
    return is_name ? path : "";
  }
  return "";
}

std::string ReadLink(const std::string& path) {
  char buffer[4096];
  const ssize_t bytes = readlink(path.c_str(), buffer, sizeof buffer);
  return bytes > 0 ? std::string(buffer, static_cast<size_t>(bytes)) : "";
}

std::string ReadSmallFile(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return "";
  std::string result;
  char buffer[4096];
  ssize_t bytes = 0;
  while (result.size() < 256 * 1024 && (bytes = read(file.get(), buffer, sizeof buffer)) > 0) {
    result.append(buffer, static_cast<size_t>(bytes));
  }
  return result;
}

}  // namespace loopsan
