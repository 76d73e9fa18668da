// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/running_blackouts.h"

#include <fstream>

#include <gtest/gtest.h>

#include "tests/storage/index/temporary_directory.h"

namespace spantape {
namespace {

using index_test::TemporaryDirectory;

class RunningBlackoutsTest : public ::testing::Test {
protected:
    [[nodiscard]] std::string path() const { return directory_.sub("blackouts.json"); }
    TemporaryDirectory directory_;
};

TEST_F(RunningBlackoutsTest, WhatWasSavedIsLoaded) {
    EXPECT_TRUE(load_running_blackouts(path())->empty());
    const std::vector<RunningBlackout> blackouts = {
        {.device_id = "1111", .window = {1'700'000'000'000'000'001, INT64_MAX}},
        {.of_agent = true, .stop_known = true, .agent = 7, .window = {-5, 1'800'000'000'000'000'003}},
        {.of_agent = true, .device_alias = "a\"b\n", .sys_user = "jörg", .crm_user = "c", .window = {1, 2}}};
    ASSERT_TRUE(save_running_blackouts(path(), blackouts));
    EXPECT_EQ(*load_running_blackouts(path()), blackouts);
    ASSERT_TRUE(save_running_blackouts(path(), {}));
    EXPECT_TRUE(load_running_blackouts(path())->empty());
}

TEST_F(RunningBlackoutsTest, ADamagedFileIsNamed) {
    for (const char* text : {"", "{", "[]", R"({"blackouts":[{"of_agent":1}]})", R"({"blackouts":{}})"}) {
        std::ofstream(path(), std::ios::trunc) << text;
        const auto loaded = load_running_blackouts(path());
        ASSERT_FALSE(loaded) << text;
        EXPECT_NE(loaded.error().message.find("blackouts.json"), std::string::npos);
    }
}

TEST_F(RunningBlackoutsTest, ADirectoryThatIsGoneIsAnError) {
    EXPECT_FALSE(save_running_blackouts(directory_.sub("none/blackouts.json"), {}));
}

}  // namespace
}  // namespace spantape
