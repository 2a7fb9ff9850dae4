#include "runtime/dns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <string>
#include <vector>

#include "runtime/executor.h"
#include "tests/runtime/real_loop.h"

namespace loopsan::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;

std::vector<std::string> Texts(const std::vector<Address>& addresses) {
  std::vector<std::string> texts;
  for (const Address& address : addresses) texts.push_back(address.ToString());
  return texts;
}

TEST(GetAddressInfo, AnswersNumericAddressesWithoutAThread) {
  const auto main = []() -> Task<> {
    const std::vector<Address> v4 = co_await GetAddressInfo("127.0.0.1", 80);
    EXPECT_THAT(Texts(v4), ElementsAre("127.0.0.1:80"));
    const std::vector<Address> v6 = co_await GetAddressInfo("::1", 443);
    EXPECT_THAT(Texts(v6), ElementsAre("[::1]:443"));
    const std::vector<Address> scoped = co_await GetAddressInfo("fe80::1%7", 1);
    EXPECT_THAT(Texts(scoped), ElementsAre("[fe80::1%7]:1"));
    const std::vector<Address> here = co_await GetAddressInfo("", 2);
    EXPECT_THAT(Texts(here), ElementsAre("127.0.0.1:2", "[::1]:2"));
    AddressOptions passive;
    passive.passive = true;
    const std::vector<Address> any = co_await GetAddressInfo("", 3, passive);
    EXPECT_THAT(Texts(any), ElementsAre("0.0.0.0:3", "[::]:3"));
    EXPECT_EQ(EventLoop::Running().DefaultExecutor().stats().threads, 0U);
  };
  RunReal(main());
}

TEST(GetAddressInfo, LooksNamesUpOnTheExecutor) {
  const auto main = []() -> Task<> {
    AddressOptions v4;
    v4.family = AF_INET;
    const std::vector<Address> found = co_await GetAddressInfo("localhost", 8080, v4);
    EXPECT_THAT(Texts(found), Contains("127.0.0.1:8080"));
    EXPECT_EQ(EventLoop::Running().DefaultExecutor().stats().begun, 1U);
  };
  RunReal(main());
}

TEST(GetAddressInfo, SaysThatANameIsUnknown) {
  const auto main = []() -> Task<> { co_await GetAddressInfo("no such name.invalid", 1); };
  EXPECT_THROW(RunReal(main()), DnsError);
}

TEST(GetAddressInfo, RefusesAnAddressOfTheOtherFamily) {
  const auto main = []() -> Task<int> {
    AddressOptions v6;
    v6.family = AF_INET6;
    int code = 0;
    try {
      co_await GetAddressInfo("127.0.0.1", 1, v6);
    } catch (const DnsError& error) {
      code = error.code();
    }
    co_return code;
  };
  EXPECT_EQ(RunReal(main()), EAI_ADDRFAMILY);
}

TEST(Address, IsNotMadeOfNames) {
  EXPECT_FALSE(Address::Parse("localhost", 1));
  EXPECT_FALSE(Address::Parse("1.2.3", 1));
  EXPECT_FALSE(Address::Parse("::1%no-such-interface", 1));
}

TEST(Address, OfAPathTellsIt) {
  EXPECT_EQ(Address::Path("/run/x").ToString(), "/run/x");
  EXPECT_EQ(Address::Path(std::string("\0abstract", 9)).ToString(), "@abstract");
  EXPECT_EQ(Address::Path(std::string("\0abstract", 9)).path(), std::string("\0abstract", 9));
  EXPECT_EQ(Address().ToString(), "unnamed");
  EXPECT_THROW(Address::Path(std::string(108, 'x')), std::invalid_argument);
}

}  // namespace
}  // namespace loopsan::testing
