#include "reporters/task_listing.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "reporters/internal/text_paper.h"
#include "reporters/reporter.h"

namespace loopsan {

using namespace text;  // NOLINT: the words of reports for people

namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;
constexpr size_t kMaxDepth = 24;  // of spawners shown by indentation
constexpr size_t kMaxFrames = 64;

std::string TaskName(const LiveTask& task) {
  return task.name.empty() ? Concat("Task-", task.id) : Concat("'", Printable(task.name), "'");
}

std::string ActivityText(const LiveTask& task, const LiveTask* awaited) {
  switch (task.activity) {
    case TaskActivity::kRunning:
      return " is running";
    case TaskActivity::kReady:
      return " is ready";
    case TaskActivity::kWaiting:
      break;
  }
  if (awaited != nullptr) return Concat(" waits for task ", TaskName(*awaited));
  return task.waiting_for.empty() ? " waits" : Concat(" waits for ", Printable(task.waiting_for));
}

// Where the coroutine stands; of the one that runs only where it is defined is known.
const SourcePlace& PlaceOf(const CoroutineFrame& frame) {
  const bool stands = !frame.running && !frame.awaiting_at.file.empty();
  return stands ? frame.awaiting_at : frame.defined_at;
}

class Listing {
 public:
  Listing(const LiveLoop& loop, Paper& paper) : paper_(paper) {
    for (const LiveTask& task : loop.tasks) alive_.emplace(task.id, &task);
    for (const LiveTask& task : loop.tasks) {
      const bool is_root = Alive(task.spawner) == nullptr || task.spawner == task.id;
      spawned_[is_root ? 0 : task.spawner].push_back(&task);
    }
    for (auto& [spawner, tasks] : spawned_) {
      std::sort(tasks.begin(), tasks.end(),
                [](const LiveTask* a, const LiveTask* b) { return a->id < b->id; });
    }
    WriteSpawned(0, 0);
    // Those whose spawners lead in a circle: bytes that make no sense are shown all the same.
    for (const LiveTask& task : loop.tasks) {
      if (written_.insert(task.id).second) Write(task, 0);
    }
  }

 private:
  const LiveTask* Alive(uint64_t id) const {
    const auto found = alive_.find(id);
    return found == alive_.end() ? nullptr : found->second;
  }

  void WriteSpawned(uint64_t spawner, size_t depth) {
    const auto found = spawned_.find(spawner);
    if (found == spawned_.end()) return;
    for (const LiveTask* task : found->second) {
      if (!written_.insert(task->id).second) continue;
      Write(*task, std::min(depth, kMaxDepth));
      if (task->id != 0 && depth < kMaxTasksDeep) WriteSpawned(task->id, depth + 1);
    }
  }

  void Write(const LiveTask& task, size_t depth) {
    const std::string indent(4 * depth, ' ');
    const bool running = task.activity == TaskActivity::kRunning;
    paper_.Add(running ? "* " : "  ", indent,
               paper_.Styled(running ? Style::kBad : Style::kStrong, TaskName(task)),
               ActivityText(task, Alive(task.awaited_task)), ", ", FormatSeconds(task.age_seconds),
               " old");
    if (!task.name.empty()) paper_.Add(", Task-", task.id);
    paper_.Add("\n");
    const size_t shown = std::min(task.chain.size(), kMaxFrames);
    for (size_t i = 0; i < shown; ++i) {
      const CoroutineFrame& frame = task.chain[i];
      const std::string function = CoroutineText(frame.defined_at);
      const std::string line = LineText(PlaceOf(frame));
      paper_.Add("      ", indent, function.empty() ? "a coroutine" : function,
                 line.empty() ? "" : " at ", line, frame.running ? " (defined there)" : "", "\n");
    }
    if (shown < task.chain.size() || task.chain_cut) {
      paper_.Add("      ", indent, "... and more coroutines that wait for these\n");
    }
    if (const std::string line = LineText(task.spawned_at); !line.empty()) {
      paper_.Add("      ", indent, paper_.Styled(Style::kDim, Concat("spawned at ", line)), "\n");
    }
  }

  static constexpr size_t kMaxTasksDeep = 1000;  // of recursion

  Paper& paper_;
  std::map<uint64_t, const LiveTask*> alive_;
  std::map<uint64_t, std::vector<const LiveTask*>> spawned_;
  std::set<uint64_t> written_;
};

Json ToJson(const SourcePlace& place) {
  return {{"function", place.function}, {"file", place.file}, {"line", place.line}};
}

Json ToJson(const LiveTask& task) {
  static constexpr const char* kStates[] = {"ready", "running", "waiting"};
  Json frames = Json::array();
  for (const CoroutineFrame& frame : task.chain) {
    SourcePlace place = PlaceOf(frame);
    place.function = frame.defined_at.function;
    frames.push_back(ToJson(place));
    frames.back()["running"] = frame.running;
  }
  return {
      {"id", task.id},
      {"name", task.name},
      {"state", kStates[static_cast<size_t>(task.activity)]},
      {"waiting_for", task.waiting_for},
      {"waiting_object", task.waiting_object},
      {"awaited_task", task.awaited_task},
      {"age_seconds", task.age_seconds},
      {"spawner", task.spawner},
      {"spawned_at", ToJson(task.spawned_at)},
      {"stack", frames},
      {"stack_cut", task.chain_cut},
  };
}

Json ToJson(const LiveLoop& loop) {
  Json tasks = Json::array();
  for (const LiveTask& task : loop.tasks) tasks.push_back(ToJson(task));
  return {
      {"pid", loop.pid},           {"thread_id", loop.thread_id}, {"name", loop.name},
      {"kind", loop.kind},         {"steady", loop.steady},       {"cut", loop.cut},
      {"tasks", std::move(tasks)},
  };
}

}  // namespace

void WriteTaskListing(const std::vector<LiveLoop>& loops, bool color, std::ostream& out) {
  Paper paper(color);
  for (const LiveLoop& loop : loops) {
    paper.Add("event loop");
    if (!loop.name.empty()) paper.Add(" '", Printable(loop.name), "'");
    if (!loop.kind.empty()) paper.Add(" of ", Printable(loop.kind));
    paper.Add(", thread ", loop.thread_id, " of process ", loop.pid, ": ",
              Count(loop.tasks.size(), "task"), "\n");
    const Listing listing(loop, paper);
    if (loop.cut) paper.Add("  ... and older ones, which are not shown\n");
    if (!loop.steady) {
      paper.Add("  note: the loop went on while its tasks were read; some may be missing\n");
    }
  }
  out.write(paper.text().data(), static_cast<std::streamsize>(paper.text().size()));
}

void WriteTaskListingJson(const std::vector<LiveLoop>& loops, std::ostream& out) {
  Json list = Json::array();
  for (const LiveLoop& loop : loops) list.push_back(ToJson(loop));
  const Json all = {{"schema", kSchema}, {"loops", std::move(list)}};
  const std::string text = all.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.put('\n');
}

}  // namespace loopsan
