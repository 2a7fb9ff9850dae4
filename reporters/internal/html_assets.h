// What the HTML report and the status page are made of, from reporters/html/: in the
// command itself.
#pragma once

#include <string_view>

namespace loopsan {

extern const std::string_view kReportScript;
extern const std::string_view kReportStyle;
extern const std::string_view kStatusScript;
extern const std::string_view kStatusStyle;

}  // namespace loopsan
