#include "reporters/findings_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <streambuf>

#include "tests/reporters/golden.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const absl::Time kNow = absl::FromUnixMillis(1'800'000'000'250);

Finding Sleep(uint64_t count, double total) {
  Finding finding;
  finding.rule = "blocking-call";
  finding.level = "error";
  finding.call = "nanosleep";
  finding.cause = "blocking-call";
  finding.fingerprint = "0123456789abcdef";
  finding.executable = "/srv/server";
  finding.pid = 10;
  finding.count = count;
  finding.total_seconds = total;
  finding.max_seconds = 0.5;
  return finding;
}

Report ReportOf(std::vector<Finding> findings) {
  Report report;
  report.findings = std::move(findings);
  return report;
}

class Log {
 public:
  std::vector<json> Write(const Report& report) {
    out_.str("");
    EXPECT_TRUE(log_.Write(report, kNow).ok());
    std::vector<json> lines;
    std::istringstream text(out_.str());
    for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
    return lines;
  }

 private:
  std::ostringstream out_;
  FindingsLog log_{&out_};
};

// Takes `lines` writes, then fails as a full disk does.
class FullDisk : public std::streambuf {
 public:
  explicit FullDisk(size_t lines) : room_(lines) {}
  std::vector<std::string> writes;

 private:
  std::streamsize xsputn(const char* bytes, std::streamsize size) override {
    if (writes.size() == room_) {
      errno = ENOSPC;
      return 0;
    }
    writes.emplace_back(bytes, static_cast<size_t>(size));
    return size;
  }
  int_type overflow(int_type /*c*/) override { return traits_type::eof(); }

  size_t room_;
};

TEST(FindingsLog, WritesALineForEachFinding) {
  std::ostringstream out;
  FindingsLog log(&out);
  ASSERT_TRUE(log.Write(SampleReport(), kNow).ok());
  ExpectGolden("findings_log.jsonl", out.str());
}

TEST(FindingsLog, LeavesThreadsOutThatMayBeNoLoops) {
  Report report;
  report.unproven_findings = {Sleep(1, 0.5)};
  EXPECT_THAT(Log().Write(report), IsEmpty());
}

TEST(FindingsLog, SaysNothingOfAFindingThatDidNotGrow) {
  Log log;
  EXPECT_THAT(log.Write(ReportOf({Sleep(1, 0.5)})), SizeIs(1));
  EXPECT_THAT(log.Write(ReportOf({Sleep(1, 0.5)})), IsEmpty());
  EXPECT_THAT(log.Write(ReportOf({})), IsEmpty());
}

TEST(FindingsLog, SaysByHowMuchAFindingGrew) {
  Log log;
  const json first = log.Write(ReportOf({Sleep(1, 0.5)})).at(0);
  EXPECT_EQ(first["event"], "new");
  EXPECT_EQ(first["count_delta"], 1);
  EXPECT_EQ(first["total_seconds_delta"], 0.5);
  const json second = log.Write(ReportOf({Sleep(4, 0.75)})).at(0);
  EXPECT_EQ(second["event"], "again");
  EXPECT_EQ(second["count"], 4);
  EXPECT_EQ(second["count_delta"], 3);
  EXPECT_EQ(second["total_seconds"], 0.75);
  EXPECT_EQ(second["total_seconds_delta"], 0.25);
  EXPECT_EQ(second["time"], "2027-01-15T08:00:00.250000Z");
}

TEST(FindingsLog, TellsAStallThatGoesOn) {
  Log log;
  log.Write(ReportOf({Sleep(1, 0.5)}));
  const json line = log.Write(ReportOf({Sleep(1, 2.5)})).at(0);
  EXPECT_EQ(line["count_delta"], 0);
  EXPECT_EQ(line["total_seconds_delta"], 2.0);
}

TEST(FindingsLog, NeverSinks) {
  Log log;
  log.Write(ReportOf({Sleep(5, 1.5)}));
  EXPECT_THAT(log.Write(ReportOf({Sleep(2, 0.5)})), IsEmpty());
  const json more = log.Write(ReportOf({Sleep(6, 1.25)})).at(0);
  EXPECT_EQ(more["count_delta"], 1);
  EXPECT_EQ(more["total_seconds"], 1.5);
  EXPECT_EQ(more["total_seconds_delta"], 0.0);
  const json last = log.Write(ReportOf({Sleep(6, 1.75)})).at(0);
  EXPECT_EQ(last["total_seconds_delta"], 0.25);
}

TEST(FindingsLog, KnowsAFindingByFingerprintAndProgram) {
  Log log;
  Finding other_process = Sleep(2, 0.75);
  other_process.pid = 11;
  Finding other_program = Sleep(1, 0.5);
  other_program.executable = "/srv/worker";
  log.Write(ReportOf({Sleep(1, 0.5)}));
  const std::vector<json> lines = log.Write(ReportOf({other_process, other_program}));
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0]["event"], "again");
  EXPECT_EQ(lines[1]["event"], "new");
  EXPECT_EQ(lines[1]["process"], "worker");
}

TEST(FindingsLog, AddsUpFindingsThatShareAFingerprint) {
  Log log;
  const std::vector<json> lines = log.Write(ReportOf({Sleep(3, 0.75), Sleep(1, 0.25)}));
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["count"], 4);
  EXPECT_EQ(lines[0]["total_seconds"], 1.0);
  EXPECT_THAT(log.Write(ReportOf({Sleep(3, 0.75), Sleep(1, 0.25)})), IsEmpty());
}

TEST(FindingsLog, WritesEachLineAtOnceAndKeepsItBounded) {
  for (const char* piece : {"\x01", "\\", "\"", "\xff", "\xe2\x80\xae", "\U0001F600"}) {
    std::string hostile;
    while (hostile.size() < 100'000) hostile += piece;
    Finding finding = Sleep(std::numeric_limits<uint64_t>::max(), 1e300);
    for (std::string* text :
         {&finding.rule, &finding.level, &finding.cause, &finding.category, &finding.call,
          &finding.fingerprint, &finding.executable, &finding.thread_name, &finding.message,
          &finding.remedy, &finding.task.name, &finding.where.function, &finding.where.file}) {
      *text = hostile;
    }
    FullDisk disk(10);
    std::ostream out(&disk);
    FindingsLog log(&out);
    ASSERT_TRUE(log.Write(ReportOf({finding}), kNow).ok());
    ASSERT_THAT(disk.writes, SizeIs(1));
    const std::string& line = disk.writes[0];
    EXPECT_LE(line.size(), FindingsLog::kMaxLineBytes) << piece;
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_FALSE(json::parse(line)["message"].get<std::string>().empty());
  }
}

TEST(FindingsLog, EndsAtAFullDiskAndSaysSoOnce) {
  FullDisk disk(1);
  std::ostream out(&disk);
  FindingsLog log(&out);
  Finding other = Sleep(1, 0.5);
  other.fingerprint = "fedcba9876543210";
  const absl::Status status = log.Write(ReportOf({Sleep(1, 0.5), other}), kNow);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("No space left on device"));
  EXPECT_TRUE(log.Write(ReportOf({Sleep(2, 1.5), other}), kNow).ok());
  EXPECT_THAT(disk.writes, SizeIs(1));
}

TEST(FindingsLog, EndsAtARealFullDevice) {
  std::ofstream full("/dev/full");
  ASSERT_TRUE(full.is_open());
  FindingsLog log(&full);
  const absl::Status status = log.Write(ReportOf({Sleep(1, 0.5)}), kNow);
  EXPECT_THAT(std::string(status.message()), HasSubstr("No space left on device"));
}

TEST(FindingsLog, WritesTheSameBytesInAGermanLocale) {
  std::ostringstream expected;
  ASSERT_TRUE(FindingsLog(&expected).Write(SampleReport(), kNow).ok());
  const GermanNumbers german;
  std::ostringstream out;
  out << std::hex << std::showbase;
  ASSERT_TRUE(FindingsLog(&out).Write(SampleReport(), kNow).ok());
  EXPECT_EQ(out.str(), expected.str());
}

}  // namespace
}  // namespace loopsan
