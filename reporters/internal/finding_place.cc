#include "reporters/internal/finding_place.h"

#include <algorithm>
#include <filesystem>

#include "reporters/reporter.h"

namespace loopsan {
namespace {

bool HasFile(const SourcePlace& place) { return !place.file.empty(); }

SourcePlace PlaceOf(const ReportFrame& frame) {
  return {.function = frame.function, .file = frame.file, .line = frame.line};
}

// The own frame, if its file is known; else the next one outwards of which it is.
SourcePlace OwnPlace(const std::vector<ReportFrame>& stack) {
  if (const ReportFrame* own = OwnFrame(stack); own != nullptr && !own->file.empty()) {
    return PlaceOf(*own);
  }
  const auto found = std::find_if(stack.begin(), stack.end(), [](const ReportFrame& frame) {
    return !frame.file.empty() && OwnerOf(frame).library.empty();
  });
  return found == stack.end() ? SourcePlace() : PlaceOf(*found);
}

SourcePlace AwaitPlace(const std::vector<SourcePlace>& places) {
  const auto found = std::find_if(places.begin(), places.end(), HasFile);
  return found == places.end() ? SourcePlace() : *found;
}

SourcePlace MemberPlace(const std::vector<FindingMember>& members) {
  for (const FindingMember& member : members) {
    if (HasFile(member.where)) return member.where;
    if (SourcePlace own = OwnPlace(member.stack); HasFile(own)) return own;
  }
  return {};
}

// "/srv/./src/../src/a.cc" -> "/srv/src/a.cc".
std::string Normal(std::string_view path) {
  return std::filesystem::path(path).lexically_normal().string();
}

}  // namespace

SourcePlace PlaceToAnnotate(const Finding& finding) {
  for (const SourcePlace& place :
       {finding.where, OwnPlace(finding.stack), AwaitPlace(finding.async_stack),
        MemberPlace(finding.members), finding.task.spawned_at}) {
    if (HasFile(place)) return place;
  }
  return {};
}

FileName NameFrom(std::string_view root, std::string_view file) {
  // Node.js names modules so.
  if (file.starts_with("file:///")) file.remove_prefix(std::string_view("file://").size());
  std::string path = Normal(file);
  if (!path.starts_with('/')) return {path, !path.empty() && !path.starts_with("..")};
  if (root.empty()) return {path, false};
  std::string folder = Normal(root);
  if (!folder.ends_with('/')) folder += '/';
  if (!path.starts_with(folder) || path.size() == folder.size()) return {path, false};
  return {path.substr(folder.size()), true};
}

std::string PercentEncoded(std::string_view path) {
  static constexpr std::string_view kPlain = "-._~/";
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string uri;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      uri += c;
    } else {
      uri += '%';
      uri += kDigits[byte >> 4];
      uri += kDigits[byte & 0xf];
    }
  }
  return uri;
}

}  // namespace loopsan
