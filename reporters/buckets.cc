#include "reporters/buckets.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "instrument/segment.h"

namespace loopsan {
namespace {

constexpr double kShort[] = {1e-6, 2e-6, 5e-6};
constexpr double kLong[] = {20, 50, 100};
constexpr size_t kMost = segment::kBuckets - 1 - std::size(kShort) - std::size(kLong);

}  // namespace

std::vector<double> DefaultMetricsBuckets() {
  return {1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01,
          0.02, 0.05, 0.1,  0.2,  0.5,  1,    2,    5,    10};
}

absl::Status CheckMetricsBuckets(const std::vector<double>& bounds) {
  if (bounds.size() > kMost) {
    return absl::InvalidArgumentError(
        absl::StrCat(bounds.size(), " buckets are too many; give at most ", kMost));
  }
  for (size_t i = 1; i < bounds.size(); ++i) {
    if (bounds[i] > bounds[i - 1]) continue;
    return absl::InvalidArgumentError(absl::StrCat("the buckets must grow, but ", bounds[i],
                                                   " s comes after ", bounds[i - 1], " s"));
  }
  return absl::OkStatus();
}

std::vector<double> HistogramBounds(const std::vector<double>& metrics_buckets) {
  std::vector<double> bounds = metrics_buckets;
  bounds.insert(bounds.end(), std::begin(kShort), std::end(kShort));
  bounds.insert(bounds.end(), std::begin(kLong), std::end(kLong));
  std::sort(bounds.begin(), bounds.end());
  bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
  return bounds;
}

}  // namespace loopsan
