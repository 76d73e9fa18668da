// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/retention.h"

#include <gtest/gtest.h>

namespace spantape {
namespace {

TEST(Retention, RoomRunsShortBelowTheReserveAndOutBelowHalfOfIt) {
    EXPECT_EQ(space_of(51, 1000, 5, Space::enough), Space::enough);
    EXPECT_EQ(space_of(49, 1000, 5, Space::enough), Space::low);
    EXPECT_EQ(space_of(24, 1000, 5, Space::enough), Space::none);
    EXPECT_EQ(space_of(0, 1000, 0, Space::enough), Space::enough) << "no reserve is wanted";
    EXPECT_EQ(space_of(0, 0, 5, Space::enough), Space::enough) << "the disk cannot be asked";
}

TEST(Retention, ItIsBetterOnlyWithAMargin) {
    EXPECT_EQ(space_of(52, 1000, 5, Space::low), Space::low);
    EXPECT_EQ(space_of(56, 1000, 5, Space::low), Space::enough);
    EXPECT_EQ(space_of(26, 1000, 5, Space::none), Space::none);
    EXPECT_EQ(space_of(28, 1000, 5, Space::none), Space::low);
}

TEST(Retention, LowRoomIsForRaisedPrioritiesOnly) {
    EXPECT_TRUE(may_record(Space::enough, -1));
    EXPECT_TRUE(may_record(Space::low, 1));
    EXPECT_FALSE(may_record(Space::low, 0));
    EXPECT_FALSE(may_record(Space::none, 100));
}

}  // namespace
}  // namespace spantape
