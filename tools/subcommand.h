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

int Run(const std::vector<std::string>& arguments);      // run.cc
int Tasks(const std::vector<std::string>& arguments);    // tasks.cc
int Collect(const std::vector<std::string>& arguments);  // collect.cc

}  // namespace loopsan
