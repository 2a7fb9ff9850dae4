// What the HTML report is made of, from reporters/html/: in the command itself.
#pragma once

#include <string_view>

namespace loopsan {

extern const std::string_view kReportScript;
extern const std::string_view kReportStyle;

}  // namespace loopsan
