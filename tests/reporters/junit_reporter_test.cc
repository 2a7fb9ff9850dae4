#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlschemas.h>

#include <memory>
#include <set>

#include "tests/reporters/format_report.h"
#include "tests/reporters/sample_report.h"

namespace loopsan {
namespace {

using testing::HasSubstr;

// An element of a document, read by libxml2, which accepts well-formed XML only.
class Element {
 public:
  explicit Element(xmlNode* node) : node_(node) {}

  std::string name() const { return reinterpret_cast<const char*>(node_->name); }

  std::string operator[](const char* attribute) const {
    return Taken(xmlGetProp(node_, reinterpret_cast<const xmlChar*>(attribute)));
  }

  std::string text() const { return Taken(xmlNodeGetContent(node_)); }

  void Remove(const char* attribute) const {
    xmlUnsetProp(node_, reinterpret_cast<const xmlChar*>(attribute));
  }

  std::vector<Element> children(const std::string& name = "") const {
    std::vector<Element> found;
    for (xmlNode* child = node_->children; child != nullptr; child = child->next) {
      if (child->type != XML_ELEMENT_NODE) continue;
      if (name.empty() || Element(child).name() == name) found.emplace_back(child);
    }
    return found;
  }

 private:
  static std::string Taken(xmlChar* text) {
    const std::unique_ptr<xmlChar, void (*)(void*)> owner(text, xmlFree);
    return text == nullptr ? "" : reinterpret_cast<const char*>(text);
  }

  xmlNode* node_;
};

class Junit {
 public:
  explicit Junit(const Report& report)
      : text_(WriteAs("junit", report, {.source_root = "/srv"})),
        document_(xmlReadMemory(text_.data(), static_cast<int>(text_.size()), "junit.xml", nullptr,
                                XML_PARSE_NONET | XML_PARSE_HUGE),
                  xmlFreeDoc) {
    if (document_ == nullptr) throw std::runtime_error("not well-formed: " + text_);
  }

  Element suites() const { return Element(xmlDocGetRootElement(document_.get())); }
  Element suite() const { return suites().children("testsuite").at(0); }
  std::vector<Element> cases() const { return suite().children("testcase"); }
  xmlDoc* document() const { return document_.get(); }
  // That of the only finding, after the loop's.
  Element finding_case() const { return cases().at(1); }

 private:
  std::string text_;
  std::unique_ptr<xmlDoc, void (*)(xmlDoc*)> document_;
};

// The schema that Jenkins' xunit plugin checks files with.
class JunitSchema {
 public:
  JunitSchema()
      : parser_(xmlSchemaNewParserCtxt(LOOPSAN_SCHEMA_DIR "/junit-10.xsd"),
                xmlSchemaFreeParserCtxt),
        schema_(xmlSchemaParse(parser_.get()), xmlSchemaFree) {
    if (schema_ == nullptr) throw std::runtime_error("junit-10.xsd cannot be read");
  }

  // What does not fit, one sentence each.
  std::vector<std::string> Complaints(const Junit& junit) {
    std::vector<std::string> complaints;
    const std::unique_ptr<xmlSchemaValidCtxt, void (*)(xmlSchemaValidCtxt*)> validation(
        xmlSchemaNewValidCtxt(schema_.get()), xmlSchemaFreeValidCtxt);
    xmlSchemaSetValidStructuredErrors(
        validation.get(),
        [](void* list, auto* error) {  // const with newer releases
          static_cast<std::vector<std::string>*>(list)->emplace_back(error->message);
        },
        &complaints);
    const int result = xmlSchemaValidateDoc(validation.get(), junit.document());
    EXPECT_EQ(result != 0, !complaints.empty()) << result;
    return complaints;
  }

 private:
  std::unique_ptr<xmlSchemaParserCtxt, void (*)(xmlSchemaParserCtxt*)> parser_;
  std::unique_ptr<xmlSchema, void (*)(xmlSchema*)> schema_;
};

// GitLab reads testcase@file, which Jenkins' schema does not have.
Junit WithoutFiles(Junit junit) {
  for (const Element& test : junit.cases()) test.Remove("file");
  return junit;
}

TEST(Junit, HasAPassingCaseForALoop) {
  const Junit junit(CleanReport());
  ASSERT_EQ(junit.cases().size(), 1u);
  EXPECT_EQ(junit.cases()[0]["name"], "event loop of server, thread io");
  EXPECT_EQ(junit.cases()[0]["time"], "0.500");
  EXPECT_TRUE(junit.cases()[0].children("failure").empty());
  EXPECT_EQ(junit.suite()["failures"], "0");
}

TEST(Junit, HasAFailureForAFinding) {
  const Junit junit(SleepReport());
  const Element found = junit.finding_case();
  EXPECT_EQ(found["classname"], "loopsan.blocking-call");
  EXPECT_EQ(found["name"], "nanosleep in app::Serve() [0123456789abcdef]");
  EXPECT_EQ(found["file"], "src/serve.cc");
  const Element failure = found.children("failure").at(0);
  EXPECT_EQ(failure["type"], "blocking-call");
  EXPECT_EQ(failure["message"], SleepFinding().message);
  EXPECT_THAT(failure.text(), HasSubstr("#0 app::Serve() /srv/src/serve.cc:12"));
  EXPECT_THAT(failure.text(), HasSubstr("instead: await a timer"));
  EXPECT_EQ(junit.suite()["tests"], "2");
  EXPECT_EQ(junit.suite()["failures"], "1");
}

TEST(Junit, SkipsWhatTheBaselineKnows) {
  Report report = SleepReport();
  report.findings[0].baseline_state = "unchanged";
  const Junit junit(report);
  EXPECT_TRUE(junit.finding_case().children("failure").empty());
  EXPECT_EQ(junit.finding_case().children("skipped").size(), 1u);
  EXPECT_EQ(junit.suite()["skipped"], "1");
}

TEST(Junit, PassesANote) {
  Report report = SleepReport();
  report.findings[0].level = "note";
  const Junit junit(report);
  EXPECT_TRUE(junit.finding_case().children("failure").empty());
  EXPECT_THAT(junit.finding_case().children("system-out").at(0).text(), HasSubstr("nanosleep"));
}

TEST(Junit, DoesNotPassIfNoLoopWasWatched) {
  const Junit junit((Report()));
  ASSERT_EQ(junit.cases().size(), 1u);
  EXPECT_EQ(junit.cases()[0].children("skipped").size(), 1u);
}

TEST(Junit, IsWellFormedWhateverTheProgramIsCalled) {
  const Junit junit(HostileReport());
  EXPECT_EQ(junit.cases().size(), 8u + 30u);
}

TEST(Junit, KeepsHostileTextReadable) {
  Report report = SleepReport();
  report.findings[0].message = "a ]]> <b> & \"c\" 'd' \x1b[0m \uffff";
  EXPECT_EQ(Junit(report).finding_case().children("failure").at(0)["message"],
            "a ]]> <b> & \"c\" 'd' \\x1b[0m \\u{ffff}");
}

TEST(Junit, FitsTheSchemaOfJenkins) {
  JunitSchema schema;
  for (const Report& report : {SampleReport(), HostileReport(), CleanReport(), Report()}) {
    EXPECT_THAT(schema.Complaints(WithoutFiles(Junit(report))), testing::IsEmpty());
  }
}

TEST(Junit, DiffersFromTheSchemaOfJenkinsByTheFileOnly) {
  JunitSchema schema;
  EXPECT_THAT(schema.Complaints(Junit(SleepReport())),
              testing::ElementsAre(AllOf(HasSubstr("'testcase'"), HasSubstr("'file'"))));
}

TEST(Junit, CountsWhatIsThere) {
  for (const Report& report : {SampleReport(), LargeReport()}) {
    const Junit junit(report);
    size_t failures = 0;
    for (const Element& test : junit.cases()) failures += test.children("failure").size();
    EXPECT_EQ(junit.suite()["tests"], std::to_string(junit.cases().size()));
    EXPECT_EQ(junit.suite()["failures"], std::to_string(failures));
  }
}

// GitLab drops the second of two cases with the same names.
TEST(Junit, GivesEachCaseANameOfItsOwn) {
  Report report = LargeReport();
  report.processes[0].loops.assign(3, report.processes[0].loops[0]);
  std::set<std::string> names;
  const Junit junit(report);
  for (const Element& test : junit.cases()) names.insert(test["classname"] + test["name"]);
  EXPECT_EQ(names.size(), junit.cases().size());
}

TEST(Junit, NamesTheCaseAlikeInEveryRun) {
  Report report = SleepReport();
  const std::string name = Junit(report).finding_case()["name"];
  report.findings[0].message = "nanosleep blocked the event loop for 0.700 s in app::Serve()";
  report.findings[0].pid = report.findings[0].thread_id = 99;
  report.findings[0].stack[0].line = 99;
  EXPECT_EQ(Junit(report).finding_case()["name"], name);
}

}  // namespace
}  // namespace loopsan
