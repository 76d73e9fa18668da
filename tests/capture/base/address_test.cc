// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/base/address.h"

#include <gtest/gtest.h>

namespace spantape {
namespace {

TEST(IpAddress, ReadsAndWritesBothFamilies) {
    EXPECT_EQ(IpAddress::parse("192.0.2.1")->to_string(), "192.0.2.1");
    EXPECT_TRUE(IpAddress::parse("192.0.2.1")->is_v4());
    EXPECT_EQ(IpAddress::parse("2001:db8::1")->to_string(), "2001:db8::1");
    EXPECT_FALSE(IpAddress::parse("2001:db8::1")->is_v4());
}

TEST(IpAddress, RefusesWhatIsNone) {
    for (const char* text :
         {"", "192.0.2", "192.0.2.256", "example.com", "[::1]", "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17"})
        EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(IpAddress, KnowsTheUnspecifiedAddressOfBothFamilies) {
    EXPECT_TRUE(IpAddress::parse("0.0.0.0")->is_unspecified());
    EXPECT_TRUE(IpAddress::parse("::")->is_unspecified());
    EXPECT_FALSE(IpAddress::parse("0.0.0.1")->is_unspecified());
}

TEST(Endpoint, WritesPortsUnambiguously) {
    EXPECT_EQ((Endpoint{*IpAddress::parse("192.0.2.1"), 5060}.to_string()), "192.0.2.1:5060");
    EXPECT_EQ((Endpoint{*IpAddress::parse("2001:db8::1"), 5060}.to_string()), "[2001:db8::1]:5060");
}

}  // namespace
}  // namespace spantape
