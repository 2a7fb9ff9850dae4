#include "reporters/process_image.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "reporters/elf_image.h"

namespace loopsan {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kPageBytes = 4096;
constexpr std::chrono::milliseconds kPauseAfterUselessRefresh{50};
constexpr char kVdso[] = "[vdso]";
constexpr char kDeleted[] = " (deleted)";
// A vdso is two pages or so.
constexpr uint64_t kMaxVdsoBytes = 64 * 1024;

// One line of /proc/PID/maps.
struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t offset = 0;
  dev_t device = 0;
  ino_t inode = 0;
  bool executable = false;
  bool deleted = false;
  std::string path;  // empty if anonymous
};

// What the maps say of the file behind a module, beyond MappedModule.
struct Backing {
  dev_t device = 0;
  ino_t inode = 0;
  bool deleted = false;
  std::string map_file;  // its name below /proc/PID/map_files
  friend bool operator==(const Backing&, const Backing&) = default;
};

std::string ReadAll(int descriptor) {
  std::string text;
  size_t used = 0;
  for (;;) {
    text.resize(used + 64 * 1024);
    const ssize_t count = read(descriptor, text.data() + used, text.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    used += static_cast<size_t>(count);
  }
  text.resize(used);
  return text;
}

bool TakeHex(std::string_view& text, uint64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, 16);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool TakeCharacter(std::string_view& text, char character) {
  if (text.empty() || text.front() != character) return false;
  text.remove_prefix(1);
  return true;
}

// "55d0-55e0 r-xp 00001000 08:01 1234      /usr/bin/x (deleted)"
std::optional<Mapping> ParseMapping(std::string_view line) {
  Mapping mapping;
  uint64_t major = 0;
  uint64_t minor = 0;
  if (!TakeHex(line, &mapping.start) || !TakeCharacter(line, '-') || !TakeHex(line, &mapping.end) ||
      !TakeCharacter(line, ' ') || line.size() < 5) {
    return std::nullopt;
  }
  mapping.executable = line[2] == 'x';
  line.remove_prefix(4);
  if (!TakeCharacter(line, ' ') || !TakeHex(line, &mapping.offset) || !TakeCharacter(line, ' ') ||
      !TakeHex(line, &major) || !TakeCharacter(line, ':') || !TakeHex(line, &minor) ||
      !TakeCharacter(line, ' ')) {
    return std::nullopt;
  }
  mapping.device = makedev(static_cast<unsigned>(major), static_cast<unsigned>(minor));
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), mapping.inode);
  if (error != std::errc()) return std::nullopt;
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  while (TakeCharacter(line, ' ')) {
  }
  if (mapping.inode != 0 && line.ends_with(kDeleted)) {
    line.remove_suffix(std::strlen(kDeleted));
    mapping.deleted = true;
  }
  // The kernel writes a newline in a path as \012, and nothing else so.
  mapping.path =
      absl::StrReplaceAll(absl::string_view(line.data(), line.size()), {{"\\012", "\n"}});
  return mapping;
}

bool IsOneModule(const Mapping& a, const Mapping& b) {
  return a.inode == b.inode && a.device == b.device && a.path == b.path && b.offset >= a.offset;
}

// The vdso of this process is the vdso of every other one on this kernel.
std::vector<char> OwnVdso() {
  const auto* bytes = reinterpret_cast<const char*>(getauxval(AT_SYSINFO_EHDR));
  if (bytes == nullptr) return {};
  Elf64_Ehdr header;
  std::memcpy(&header, bytes, sizeof(header));
  uint64_t size = header.e_shoff + uint64_t{header.e_shnum} * header.e_shentsize;
  size = (size + kPageBytes - 1) / kPageBytes * kPageBytes;
  return size <= kMaxVdsoBytes ? std::vector<char>(bytes, bytes + size) : std::vector<char>();
}

std::string Describe(const std::vector<uint8_t>& build_id) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(build_id.data()), build_id.size()));
}

}  // namespace

struct ProcessImage::Private {
  explicit Private(ProcessImage* image) : self(image), memory_id(image->pid_) {}

  std::string ReadMaps();
  bool FindThreadWithMemory(std::string* maps);
  void TakeMappings(std::vector<Mapping> found);
  bool DescribeModule(const Mapping& head, const Mapping& code, const Backing& backing,
                      MappedModule* module);
  std::vector<uint8_t> ReadBuildId(const ElfImage& image, uint64_t load_bias);
  const MappedModule* Lookup(uint64_t address) const;
  bool IsKnownExecutable(uint64_t address) const;
  bool RefreshFor(uint64_t address);
  const Backing* FindBacking(const MappedModule& module) const;
  std::unique_ptr<ElfImage> OpenFile(const MappedModule& module, const Backing* backing,
                                     std::string* problem);
  std::unique_ptr<ElfImage> OpenVdso(const MappedModule& module);
  void AddExecutable(uint64_t start, uint64_t end);
  void Warn(std::string sentence);

  ProcessImage* self;
  int directory = -1;  // /proc/PID: stays this process even if the number is reused
  pid_t memory_id;     // a thread that still has the process's memory
  bool gone = false;
  std::vector<Mapping> mappings;         // sorted
  std::vector<AddressRange> executable;  // sorted
  std::map<uint64_t, Backing> backings;  // by MappedModule::start; adopted modules have none
  std::map<std::string, std::unique_ptr<ElfImage>> files;  // null: it was tried
  std::set<std::string> warned;

  std::unordered_set<uint64_t> pages_without_answer;
  Clock::time_point forget_pages_at{};
  Clock::time_point quiet_until{};
};

ProcessImage::ProcessImage(pid_t pid) : pid_(pid), private_(std::make_unique<Private>(this)) {
  private_->directory = open(absl::StrCat("/proc/", pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  private_->gone = private_->directory < 0;
}

ProcessImage::~ProcessImage() {
  if (private_->directory >= 0) close(private_->directory);
}

absl::Status ProcessImage::Refresh() {
  if (private_->gone) return absl::NotFoundError(absl::StrCat("process ", pid_, " is gone"));
  ++refreshes_;
  errno = 0;
  const std::string text = private_->ReadMaps();
  if (text.empty()) {
    const int error = errno;
    if (error == EACCES || error == EPERM) {
      return absl::PermissionDeniedError(absl::StrCat("cannot read /proc/", pid_,
                                                      "/maps; run loopsan as the user of process ",
                                                      pid_, " or with CAP_SYS_PTRACE"));
    }
    if (error != 0 && error != ENOENT && error != ESRCH) {
      return absl::ErrnoToStatus(error, absl::StrCat("cannot read /proc/", pid_, "/maps"));
    }
    private_->gone = true;
    return absl::NotFoundError(absl::StrCat("process ", pid_, " is gone"));
  }
  std::vector<Mapping> found;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t length = std::min(rest.find('\n'), rest.size());
    if (std::optional<Mapping> mapping = ParseMapping(rest.substr(0, length))) {
      found.push_back(*std::move(mapping));
    }
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  private_->TakeMappings(std::move(found));
  return absl::OkStatus();
}

// Empty if there are none; errno then says why (0: a zombie).
std::string ProcessImage::Private::ReadMaps() {
  const int descriptor = openat(directory, "maps", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return {};
  errno = 0;
  std::string text = ReadAll(descriptor);
  close(descriptor);
  if (!text.empty()) return text;

  FindThreadWithMemory(&text);
  errno = 0;
  return text;
}

// The main thread may have left with pthread_exit while others run on: then the
// process shows no memory under its own number, but under theirs.
bool ProcessImage::Private::FindThreadWithMemory(std::string* maps) {
  const int tasks = openat(directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* listing = tasks < 0 ? nullptr : fdopendir(tasks);
  if (listing == nullptr) {
    if (tasks >= 0) close(tasks);
    return false;
  }
  while (const dirent* entry = readdir(listing)) {
    int thread = 0;
    if (!absl::SimpleAtoi(entry->d_name, &thread)) continue;
    const int file =
        openat(dirfd(listing), absl::StrCat(thread, "/maps").c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    *maps = ReadAll(file);
    close(file);
    if (maps->empty()) continue;
    memory_id = thread;
    break;
  }
  closedir(listing);
  return !maps->empty();
}

void ProcessImage::Private::TakeMappings(std::vector<Mapping> found) {
  std::sort(found.begin(), found.end(),
            [](const Mapping& a, const Mapping& b) { return a.start < b.start; });
  std::vector<AddressRange> old_executable = std::move(executable);
  executable.clear();
  mappings = std::move(found);
  std::vector<MappedModule> modules;
  std::map<uint64_t, Backing> new_backings;
  for (size_t first = 0; first < mappings.size();) {
    const Mapping& head = mappings[first];
    const bool can_be_module = head.inode != 0 || head.path == kVdso;
    // A module's own anonymous pages (.bss) may lie between its file mappings.
    size_t last = first;
    for (size_t next = first + 1; head.inode != 0 && next < mappings.size(); ++next) {
      if (IsOneModule(mappings[last], mappings[next])) {
        last = next;
      } else if (!mappings[next].path.empty()) {
        break;
      }
    }
    const Mapping* code = nullptr;
    for (size_t i = first; i <= last; ++i) {
      if (!mappings[i].executable) continue;
      AddExecutable(mappings[i].start, mappings[i].end);
      if (code == nullptr && mappings[i].path == head.path) code = &mappings[i];
    }
    if (can_be_module && code != nullptr) {
      const Backing backing{head.device, head.inode, head.deleted,
                            absl::StrCat(absl::Hex(head.start), "-", absl::Hex(head.end))};
      MappedModule module;
      module.path = head.path;
      module.start = head.start;
      module.end = mappings[last].end;
      if (DescribeModule(head, *code, backing, &module)) {
        new_backings.emplace(module.start, backing);
        modules.push_back(std::move(module));
      }
    }
    first = last + 1;
  }
  const auto is_same = [](const MappedModule& a, const MappedModule& b) {
    return a.start == b.start && a.end == b.end && a.load_bias == b.load_bias && a.path == b.path &&
           a.build_id == b.build_id;
  };
  const bool same_modules =
      backings == new_backings && std::equal(modules.begin(), modules.end(), self->modules_.begin(),
                                             self->modules_.end(), is_same);
  const bool same_code =
      std::equal(executable.begin(), executable.end(), old_executable.begin(), old_executable.end(),
                 [](const AddressRange& a, const AddressRange& b) {
                   return a.start == b.start && a.end == b.end;
                 });
  backings = std::move(new_backings);
  if (!same_modules || !same_code) pages_without_answer.clear();
  if (!same_modules) {
    self->modules_ = std::move(modules);
    ++self->generation_;
  }
}

// Fills in load_bias and build_id. False if this is no ELF file at all, but
// code that something generated into a file (a memfd).
bool ProcessImage::Private::DescribeModule(const Mapping& head, const Mapping& code,
                                           const Backing& backing, MappedModule* module) {
  for (const MappedModule& known : self->modules_) {
    const Backing* known_backing = FindBacking(known);
    if (known.start == module->start && known.path == module->path && known_backing != nullptr &&
        *known_backing == backing) {
      module->load_bias = known.load_bias;
      module->build_id = known.build_id;
      return true;
    }
  }
  module->load_bias = head.start - head.offset;
  // The process's own copy of the headers is the truth; the file at that path
  // may be another one by now.
  std::vector<char> bytes(kPageBytes);
  if (head.offset == 0 && self->ReadMemory(head.start, bytes.data(), bytes.size())) {
    absl::StatusOr<std::unique_ptr<ElfImage>> image =
        ElfImage::FromBytes(head.path, std::move(bytes));
    if (!image.ok()) return false;
    module->load_bias = (*image)
                            ->LoadBias(code.start, code.offset, /*executable=*/true)
                            .value_or(module->load_bias);
    module->build_id = ReadBuildId(**image, module->load_bias);
    return true;
  }
  std::string problem;
  if (std::unique_ptr<ElfImage> image = OpenFile(*module, &backing, &problem)) {
    module->load_bias =
        image->LoadBias(code.start, code.offset, /*executable=*/true).value_or(module->load_bias);
    module->build_id = image->build_id();
  }
  return true;
}

std::vector<uint8_t> ProcessImage::Private::ReadBuildId(const ElfImage& image, uint64_t load_bias) {
  if (!image.build_id().empty()) return image.build_id();
  for (const auto& [address, bytes] : image.notes()) {
    std::vector<char> note(bytes);
    if (!self->ReadMemory(load_bias + address, note.data(), note.size())) continue;
    std::vector<uint8_t> build_id = ElfImage::FindBuildId(note.data(), note.size());
    if (!build_id.empty()) return build_id;
  }
  return {};
}

void ProcessImage::Private::AddExecutable(uint64_t start, uint64_t end) {
  const auto at = std::upper_bound(
      executable.begin(), executable.end(), start,
      [](uint64_t value, const AddressRange& range) { return value < range.start; });
  executable.insert(at, {start, end});
}

void ProcessImage::Adopt(const std::vector<MappedModule>& modules) {
  bool changed = false;
  for (MappedModule module : modules) {
    if (module.start >= module.end) continue;
    const bool overlaps =
        std::any_of(modules_.begin(), modules_.end(), [&](const MappedModule& known) {
          return known.start < module.end && module.start < known.end;
        });
    if (overlaps) continue;
    if (module.path.empty()) {
      char path[4096];
      const ssize_t length = readlinkat(private_->directory, "exe", path, sizeof(path));
      if (length > 0) {
        module.path = std::string(
            absl::StripSuffix(absl::string_view(path, static_cast<size_t>(length)), kDeleted));
      }
    }
    const ElfImage* image = FindElf(module);
    if (image == nullptr) {
      private_->AddExecutable(module.start, module.end);
    } else {
      for (const ElfImage::Segment& segment : image->segments()) {
        const uint64_t start = module.load_bias + segment.address;
        if (segment.executable && start >= module.start && start < module.end) {
          private_->AddExecutable(start, std::min(start + segment.memory_bytes, module.end));
        }
      }
    }
    const auto at = std::upper_bound(
        modules_.begin(), modules_.end(), module.start,
        [](uint64_t value, const MappedModule& known) { return value < known.start; });
    modules_.insert(at, std::move(module));
    changed = true;
  }
  if (changed) ++generation_;
}

const MappedModule* ProcessImage::Private::Lookup(uint64_t address) const {
  const std::vector<MappedModule>& modules = self->modules_;
  auto after = std::upper_bound(
      modules.begin(), modules.end(), address,
      [](uint64_t value, const MappedModule& module) { return value < module.start; });
  if (after == modules.begin()) return nullptr;
  --after;
  return address < after->end ? &*after : nullptr;
}

bool ProcessImage::Private::IsKnownExecutable(uint64_t address) const {
  auto after = std::upper_bound(
      executable.begin(), executable.end(), address,
      [](uint64_t value, const AddressRange& range) { return value < range.start; });
  return after != executable.begin() && address < std::prev(after)->end;
}

// True if the maps were read again.
bool ProcessImage::Private::RefreshFor(uint64_t address) {
  if (gone) return false;
  const Clock::time_point now = Clock::now();
  if (now < quiet_until) return false;
  if (now >= forget_pages_at) {
    // A library may have come to lie on a page that once had no answer.
    pages_without_answer.clear();
    forget_pages_at = now + std::chrono::seconds(1);
  }
  if (pages_without_answer.contains(address / kPageBytes)) return false;
  if (!self->Refresh().ok()) {
    quiet_until = now + kPauseAfterUselessRefresh;
    return false;
  }
  if (Lookup(address) == nullptr && !IsKnownExecutable(address)) {
    pages_without_answer.insert(address / kPageBytes);
    quiet_until = now + kPauseAfterUselessRefresh;
  }
  return true;
}

const MappedModule* ProcessImage::FindModule(uint64_t address) {
  if (const MappedModule* module = private_->Lookup(address)) return module;
  if (private_->IsKnownExecutable(address)) return nullptr;  // JIT
  return private_->RefreshFor(address) ? private_->Lookup(address) : nullptr;
}

bool ProcessImage::IsExecutable(uint64_t address) {
  if (private_->IsKnownExecutable(address)) return true;
  return private_->RefreshFor(address) && private_->IsKnownExecutable(address);
}

std::optional<AddressRange> ProcessImage::FindMapping(uint64_t address) const {
  const std::vector<Mapping>& mappings = private_->mappings;
  auto after = std::upper_bound(
      mappings.begin(), mappings.end(), address,
      [](uint64_t value, const Mapping& mapping) { return value < mapping.start; });
  if (after == mappings.begin() || address >= std::prev(after)->end) return std::nullopt;
  return AddressRange{std::prev(after)->start, std::prev(after)->end};
}

const Backing* ProcessImage::Private::FindBacking(const MappedModule& module) const {
  const auto found = backings.find(module.start);
  return found == backings.end() ? nullptr : &found->second;
}

void ProcessImage::Private::Warn(std::string sentence) {
  if (warned.insert(sentence).second) self->warnings_.push_back(std::move(sentence));
}

ElfImage* ProcessImage::FindElf(const MappedModule& module) {
  const Backing* backing = private_->FindBacking(module);
  std::string key = absl::StrCat(module.path, "|", Describe(module.build_id));
  if (backing != nullptr) {
    absl::StrAppend(&key, "|", uint64_t{backing->device}, "|", uint64_t{backing->inode});
  }
  const auto found = private_->files.find(key);
  if (found != private_->files.end()) return found->second.get();

  std::unique_ptr<ElfImage> image;
  if (module.path == kVdso) {
    image = private_->OpenVdso(module);
  } else {
    std::string problem;
    image = private_->OpenFile(module, backing, &problem);
    if (image == nullptr) {
      private_->Warn(absl::StrCat(problem, ": stacks of process ", pid_,
                                  " end there and its functions have no names"));
    }
  }
  return private_->files.emplace(std::move(key), std::move(image)).first->second.get();
}

std::unique_ptr<ElfImage> ProcessImage::Private::OpenVdso(const MappedModule& module) {
  const uint64_t bytes = module.end - module.start;
  std::vector<char> copy(bytes <= kMaxVdsoBytes ? bytes : 0);
  if (copy.empty() || !self->ReadMemory(module.start, copy.data(), copy.size())) copy = OwnVdso();
  absl::StatusOr<std::unique_ptr<ElfImage>> image = ElfImage::FromBytes(kVdso, std::move(copy));
  if (!image.ok()) return nullptr;
  const bool is_other = !module.build_id.empty() && (*image)->build_id() != module.build_id;
  return is_other ? nullptr : *std::move(image);
}

// Tries every way to the file that the process had mapped, and takes the first
// that is it: by build-id, else by device and inode, else (overlay file systems
// show other numbers in the maps than in stat) by its first page.
std::unique_ptr<ElfImage> ProcessImage::Private::OpenFile(const MappedModule& module,
                                                          const Backing* backing,
                                                          std::string* problem) {
  const std::string proc = absl::StrCat("/proc/", self->pid_);
  std::vector<std::string> candidates;
  if (!module.path.empty() && module.path.front() == '/') {
    candidates.push_back(module.path);
    // Another mount namespace: a container.
    if (!gone) candidates.push_back(absl::StrCat(proc, "/root", module.path));
  }
  if (!gone && backing != nullptr) {
    candidates.push_back(absl::StrCat(proc, "/map_files/", backing->map_file));
    // Unlike map_files, exe needs no privilege.
    struct stat executable_file;
    if (fstatat(directory, "exe", &executable_file, 0) == 0 &&
        executable_file.st_ino == backing->inode) {
      candidates.push_back(absl::StrCat(proc, "/exe"));
    }
  }
  const auto is_it = [&](ElfImage& image) {
    if (!module.build_id.empty()) return image.build_id() == module.build_id;
    if (backing == nullptr) return true;  // nothing to compare with
    struct stat status;
    const bool same_inode =
        fstat(image.file_descriptor(), &status) == 0 && status.st_ino == backing->inode;
    if (same_inode && status.st_dev == backing->device) return true;
    char in_memory[kPageBytes];
    char in_file[kPageBytes];
    if (!self->ReadMemory(module.start, in_memory, sizeof(in_memory))) return same_inode;
    return image.ReadFile(0, in_file, sizeof(in_file)) &&
           std::memcmp(in_memory, in_file, sizeof(in_file)) == 0;
  };
  *problem = absl::StrCat(module.path.empty() ? "the executable" : module.path, " cannot be found");
  for (const std::string& candidate : candidates) {
    absl::StatusOr<std::unique_ptr<ElfImage>> image = ElfImage::Open(candidate);
    if (!image.ok()) {
      if (!absl::IsNotFound(image.status())) *problem = std::string(image.status().message());
      continue;
    }
    if (!is_it(**image)) {
      *problem = absl::StrCat(module.path, " was replaced after the process had mapped it");
      continue;
    }
    if (backing != nullptr && candidate != module.path && backing->deleted) {
      Warn(
          absl::StrCat(module.path, " was deleted or replaced while process ", self->pid_,
                       " runs it; names come from the deleted file, as long as the process lives"));
    }
    return *std::move(image);
  }
  return nullptr;
}

bool ProcessImage::ReadMemory(uint64_t address, void* to, size_t bytes) {
  if (private_->gone) return false;
  const iovec local{to, bytes};
  const iovec remote{reinterpret_cast<void*>(address), bytes};
  const auto read = [&] { return process_vm_readv(private_->memory_id, &local, 1, &remote, 1, 0); };
  ssize_t count = read();
  if (count < 0 && errno == ESRCH) {
    std::string maps;
    if (!private_->FindThreadWithMemory(&maps)) {
      private_->gone = true;  // and may its number be another process's from now on
      return false;
    }
    count = read();
  }
  return count == static_cast<ssize_t>(bytes);
}

}  // namespace loopsan
