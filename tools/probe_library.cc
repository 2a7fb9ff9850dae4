#include "tools/probe_library.h"

#include <unistd.h>

#include <climits>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "instrument/segment.h"

namespace loopsan {
namespace {

constexpr char kLibrary[] = "libloopsan.so";

}  // namespace

std::vector<std::string> ProbeLibraryPlaces(const std::string& executable_directory) {
  std::vector<std::string> places;
  if (!executable_directory.empty()) {
    const std::string prefix = std::filesystem::path(executable_directory).parent_path();
    places.push_back(absl::StrCat(prefix, "/lib/", kLibrary));
    places.push_back(absl::StrCat(prefix, "/" LOOPSAN_INSTALL_LIBDIR "/", kLibrary));
  }
  places.push_back(absl::StrCat(LOOPSAN_INSTALL_FULL_LIBDIR "/", kLibrary));
  for (size_t i = places.size() - 1; i > 0; --i) {
    if (places[i] == places[i - 1]) places.erase(places.begin() + static_cast<ptrdiff_t>(i));
  }
  return places;
}

absl::StatusOr<std::string> FindProbeLibrary(const std::vector<std::string>& places) {
  for (const std::string& place : places) {
    if (access(place.c_str(), R_OK) != 0) continue;
    // The loader splits the variable there, and knows no quotes.
    if (place.find_first_of(" :") != std::string::npos) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot preload ", place,
                       ": LD_PRELOAD cannot hold a path with a space or a colon; install loopsan "
                       "in a directory without"));
    }
    return place;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("cannot find the probe ", kLibrary, "; looked at ", absl::StrJoin(places, ", "),
                   "; install loopsan again, keeping bin and lib together"));
}

std::string ExecutableDirectory() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "" : self.parent_path().string();
}

std::vector<std::string> WatchedEnvironment(const char* const* environment,
                                            const std::string& library,
                                            const std::string& session) {
  constexpr std::string_view kPreload = "LD_PRELOAD=";
  const std::string session_key = absl::StrCat(segment::kSessionVariable, "=");
  std::vector<std::string> result;
  std::string preload = library;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (entry.starts_with(kPreload)) {
      const std::string_view value = entry.substr(kPreload.size());
      if (!value.empty()) preload = absl::StrCat(library, ":", std::string(value));
    } else if (!entry.starts_with(session_key)) {
      result.emplace_back(entry);
    }
  }
  result.push_back(absl::StrCat("LD_PRELOAD=", preload));
  result.push_back(absl::StrCat(session_key, session));
  return result;
}

}  // namespace loopsan
