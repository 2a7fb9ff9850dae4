// What `loopsan` can do: one subcommand, one file, one row in the table in
// main.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace loopsan {

struct Subcommand {
  std::string_view name;
  std::string_view summary;                               // for `loopsan --help`; "" hides it
  int (*run)(const std::vector<std::string>& arguments);  // returns the exit status
};

int Run(const std::vector<std::string>& arguments);             // run.cc
int Tasks(const std::vector<std::string>& arguments);           // tasks.cc
int Collect(const std::vector<std::string>& arguments);         // collect.cc
int ShowReport(const std::vector<std::string>& arguments);      // report.cc
int CheckReport(const std::vector<std::string>& arguments);     // check.cc
int RecordBaseline(const std::vector<std::string>& arguments);  // baseline.cc
int DiffFiles(const std::vector<std::string>& arguments);       // diff.cc
int PrintDashboard(const std::vector<std::string>& arguments);  // dashboard.cc
int MergeFiles(const std::vector<std::string>& arguments);      // merge.cc

}  // namespace loopsan
