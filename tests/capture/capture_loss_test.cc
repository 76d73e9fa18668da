// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/capture_loss.h"

#include <map>

#include <gtest/gtest.h>

namespace spantape {
namespace {

class CaptureLossTest : public ::testing::Test {
protected:
    void update(std::uint64_t dropped, TimeNs now_ns) {
        loss_.update(dropped, now_ns,
                     [this](std::uint32_t slot, std::uint64_t, std::uint64_t packets) { credited_[slot] += packets; });
    }
    CaptureLoss loss_;
    std::map<std::uint32_t, std::uint64_t> credited_;
    TimeNs began_ns_ = 1'700'000'000 * kNsPerSecond;
};

TEST_F(CaptureLossTest, AGapWithoutDropsIsNotOurs) {
    loss_.on_gap(1, 1, 5, began_ns_);
    update(0, began_ns_);
    update(0, began_ns_ + 3 * kNsPerSecond);
    update(9, began_ns_ + 3 * kNsPerSecond + 1);  // too late to be its reason
    EXPECT_TRUE(credited_.empty());
}

TEST_F(CaptureLossTest, DropsExplainGapsBeforeAndAfterTheyWereTold) {
    loss_.on_gap(1, 1, 5, began_ns_);
    update(0, began_ns_);
    update(8, began_ns_ + kNsPerSecond);
    EXPECT_EQ(credited_[1], 5u);
    loss_.on_gap(2, 2, 2, began_ns_ + kNsPerSecond);
    update(8, began_ns_ + 2 * kNsPerSecond);
    EXPECT_EQ(credited_[2], 2u);
}

TEST_F(CaptureLossTest, NoMoreThanWasDroppedIsPutDownToIt) {
    loss_.on_gap(1, 1, 5, began_ns_);
    loss_.on_gap(2, 2, 5, began_ns_);
    update(7, began_ns_ + kNsPerMs);
    EXPECT_EQ(credited_[1], 5u);
    EXPECT_EQ(credited_[2], 2u);
    update(10, began_ns_ + 2 * kNsPerMs);
    EXPECT_EQ(credited_[2], 5u);
}

TEST_F(CaptureLossTest, DropsThatNoGapFollowsAreForgotten) {
    update(100, began_ns_);
    update(100, began_ns_ + 3 * kNsPerSecond);
    loss_.on_gap(1, 1, 5, began_ns_ + 3 * kNsPerSecond);
    update(100, began_ns_ + 3 * kNsPerSecond + kNsPerMs);
    EXPECT_TRUE(credited_.empty());
}

TEST_F(CaptureLossTest, OfAStormOfGapsTheNewestAreRemembered) {
    for (std::uint32_t slot = 0; slot < 10'000; ++slot) loss_.on_gap(slot, slot, 1, began_ns_);
    update(1'000'000, began_ns_);
    EXPECT_EQ(credited_.size(), 4096u);
    EXPECT_TRUE(credited_.contains(9'999));
}

}  // namespace
}  // namespace spantape
