// A file for https://www.speedscope.app, whose schema is in the npm package
// speedscope: a sampled profile for each loop's thread. A sample is a finding, its
// weight the time that it took.
#include <algorithm>
#include <map>
#include <tuple>

#include "reporters/internal/finding_place.h"
#include "reporters/internal/json_text.h"
#include "reporters/internal/lost_time.h"
#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {
namespace {

constexpr size_t kMaxPathBytes = 1000;

// The frames of all profiles, each once.
class FrameTable {
 public:
  explicit FrameTable(std::string_view source_root) : source_root_(source_root) {}

  size_t IndexOf(const FlameFrame& frame) {
    const auto [entry, is_new] =
        indices_.try_emplace({frame.name, frame.file, frame.line}, indices_.size());
    if (is_new) frames_.push_back(ToJson(frame));
    return entry->second;
  }

  const Json& frames() const { return frames_; }

 private:
  Json ToJson(const FlameFrame& frame) const {
    Json json = {{"name", frame.name}};
    if (!frame.file.empty()) {
      const std::string path = NameFrom(source_root_, frame.file).path;
      json["file"] = Printable(text::Clipped(path, kMaxPathBytes));
      if (frame.line > 0) json["line"] = frame.line;
    }
    return json;
  }

  std::string_view source_root_;
  std::map<std::tuple<std::string, std::string, int>, size_t> indices_;
  Json frames_ = Json::array();
};

Json EmptyProfile(std::string_view name) {
  return {
      {"type", "sampled"},        {"name", name},  {"unit", "microseconds"},
      {"startValue", 0},          {"endValue", 0}, {"samples", Json::array()},
      {"weights", Json::array()},
  };
}

void AddSample(const LostTime& time, FrameTable& table, Json& profile) {
  Json sample = Json::array();
  for (const FlameFrame& frame : time.frames) sample.push_back(table.IndexOf(frame));
  profile["samples"].push_back(std::move(sample));
  profile["weights"].push_back(time.microseconds);
  profile["endValue"] = profile["endValue"].get<uint64_t>() + time.microseconds;
}

}  // namespace

void WriteSpeedscope(const Report& report, const ReporterOptions& options, std::ostream& out) {
  FrameTable table(options.source_root);
  std::map<std::pair<pid_t, int>, size_t> profile_of_thread;
  Json profiles = Json::array();
  for (const LostTime& time : LostTimes(report)) {
    const auto [entry, is_new] =
        profile_of_thread.try_emplace({time.pid, time.thread_id}, profiles.size());
    if (is_new) {
      profiles.push_back(
          EmptyProfile(text::Concat("time lost by ", time.process, " ", time.thread)));
    }
    AddSample(time, table, profiles[entry->second]);
  }
  // Without any profile speedscope says that the file is broken.
  if (profiles.empty()) profiles.push_back(EmptyProfile("no time was lost"));
  WriteJsonText(
      {
          {"$schema", "https://www.speedscope.app/file-format-schema.json"},
          {"exporter", "loopsan " LOOPSAN_VERSION},
          {"name", "time that event loops lost"},
          {"activeProfileIndex", 0},
          {"shared", {{"frames", table.frames()}}},
          {"profiles", std::move(profiles)},
      },
      /*indent=*/1, out);
}

}  // namespace loopsan
