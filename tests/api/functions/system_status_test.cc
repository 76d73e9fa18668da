// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/system_status.h"

#include <gtest/gtest.h>

namespace spantape::api {
namespace {

TEST(SystemStatus, ProcessorsAreToldAsTheKernelTellsThem) {
    const auto processors = processor_elements(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 15\nmodel name\t: Xeon: fast\n"
        "stepping\t: 11\ncpu MHz\t\t: 2393.998\n\nprocessor\t: 1\nBogoMIPS\t: 50.00\nmodel name\t: Cortex\n");
    ASSERT_EQ(processors.size(), 2U);
    EXPECT_EQ(processors[0].name, "PROCESSOR0");
    EXPECT_EQ(processors[0].children[0].text, "2394MHz");
    EXPECT_EQ(processors[0].children[1].text, "x86 Family 6 Model 15 Stepping 11");
    EXPECT_EQ(processors[1].children[0].text, "0MHz");
    EXPECT_EQ(processors[1].children[1].text, "Cortex");
    EXPECT_TRUE(processor_elements("").empty());
}

TEST(SystemStatus, UptimeIsWrittenAsTheManualDoes) {
    EXPECT_EQ(uptime_text(66'277), "0 days, 18 hours, 24 minutes, 37 seconds.");
    EXPECT_EQ(uptime_text(3 * 86'400 + 61), "3 days, 0 hours, 1 minutes, 1 seconds.");
}

}  // namespace
}  // namespace spantape::api
