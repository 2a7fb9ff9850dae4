#include "reporters/metrics_text.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace loopsan {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// The text format 0.0.4. prometheus::TextSerializer writes the same through a stream of
// its own for each number: 1,000 loops took it 80 ms, and a scrape must not take that.
class TextWriter {
 public:
  void Add(const MetricFamily& family) {
    absl::StrAppend(&text_, "# HELP ", family.name, " ", family.help, "\n# TYPE ", family.name, " ",
                    TypeName(family.type), "\n");
    for (const ClientMetric& metric : family.metric) {
      const std::string labels = LabelsOf(metric);
      switch (family.type) {
        case MetricType::Counter:
          AddSample(family.name, "", labels, "", metric.counter.value);
          break;
        case MetricType::Histogram:
          AddHistogram(family.name, labels, metric.histogram);
          break;
        default:
          AddSample(family.name, "", labels, "", metric.gauge.value);
          break;
      }
    }
  }

  std::string Take() && { return std::move(text_); }

 private:
  static const char* TypeName(MetricType type) {
    switch (type) {
      case MetricType::Counter:
        return "counter";
      case MetricType::Histogram:
        return "histogram";
      default:
        return "gauge";
    }
  }

  // What stands between the braces.
  static std::string LabelsOf(const ClientMetric& metric) {
    std::string text;
    for (const ClientMetric::Label& label : metric.label) {
      absl::StrAppend(&text, text.empty() ? "" : ",", label.name, "=\"");
      for (const char c : label.value) {
        if (c == '\n') {
          text += "\\n";
        } else {
          if (c == '\\' || c == '"') text += '\\';
          text += c;
        }
      }
      text += '"';
    }
    return text;
  }

  void AddHistogram(const std::string& name, const std::string& labels,
                    const ClientMetric::Histogram& histogram) {
    AddSample(name, "_count", labels, "", static_cast<double>(histogram.sample_count));
    AddSample(name, "_sum", labels, "", histogram.sample_sum);
    for (const ClientMetric::Bucket& bucket : histogram.bucket) {
      std::string bound = "le=\"";
      AppendNumber(bucket.upper_bound, bound);
      bound += '"';
      AddSample(name, "_bucket", labels, bound, static_cast<double>(bucket.cumulative_count));
    }
  }

  void AddSample(const std::string& name, const char* suffix, const std::string& labels,
                 const std::string& bound, double value) {
    text_.append(name).append(suffix);
    if (!labels.empty() || !bound.empty()) {
      text_.append("{").append(labels);
      if (!labels.empty() && !bound.empty()) text_ += ',';
      text_.append(bound).append("}");
    }
    text_ += ' ';
    AppendNumber(value, text_);
    text_ += '\n';
  }

  static void AppendNumber(double value, std::string& text) {
    if (std::isnan(value)) {
      text += "NaN";
    } else if (std::isinf(value)) {
      text += value > 0 ? "+Inf" : "-Inf";
    } else {
      char digits[32];
      text.append(
          digits,
          std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general).ptr);
    }
  }

  std::string text_;
};

}  // namespace

std::string MetricsText(const std::vector<MetricFamily>& families) {
  TextWriter writer;
  for (const MetricFamily& family : families) writer.Add(family);
  return std::move(writer).Take();
}

}  // namespace loopsan
