// A JSON Schema in a file, and what fits it.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "tests/reporters/golden.h"

namespace loopsan {

class JsonSchema {
 public:
  explicit JsonSchema(const std::string& path) {
    const nlohmann::json document = nlohmann::json::parse(ReadFile(path));
    valijson::SchemaParser(valijson::SchemaParser::kDraft7)
        .populateSchema(valijson::adapters::NlohmannJsonAdapter(document), schema_);
  }

  bool Accepts(const nlohmann::json& value) { return Validate(value, nullptr); }

  // Says what does not fit, and where.
  testing::AssertionResult Fits(const nlohmann::json& value) {
    valijson::ValidationResults results;
    if (Validate(value, &results)) return testing::AssertionSuccess();
    testing::AssertionResult failure = testing::AssertionFailure();
    valijson::ValidationResults::Error error;
    while (results.popError(error)) {
      for (const std::string& part : error.context) failure << part;
      failure << ": " << error.description << "\n";
    }
    return failure;
  }

 private:
  bool Validate(const nlohmann::json& value, valijson::ValidationResults* results) {
    return valijson::Validator().validate(schema_, valijson::adapters::NlohmannJsonAdapter(value),
                                          results);
  }

  valijson::Schema schema_;
};

}  // namespace loopsan
