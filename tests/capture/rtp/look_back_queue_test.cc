// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/look_back_queue.h"

#include <vector>

#include <gtest/gtest.h>

namespace spantape {
namespace {

class LookBackQueueTest : public ::testing::Test {
protected:
    static constexpr std::uint32_t kSlots = 32;  // room on probation: 2

    std::uint32_t victim() {
        return queue_.victim([this](std::uint32_t slot) { return last_ns_[slot]; });
    }
    void admit_proven(std::uint32_t slot) {
        queue_.admit(slot);
        queue_.prove(slot, last_ns_[slot]);
    }

    LookBackQueue queue_{kSlots};
    std::vector<TimeNs> last_ns_ = std::vector<TimeNs>(kSlots, 1);
};

TEST_F(LookBackQueueTest, NobodyGivesWayWhereNobodyIs) {
    EXPECT_EQ(victim(), LookBackQueue::kNone);
    queue_.admit(3);
    queue_.leave(3);
    queue_.leave(3);
    EXPECT_EQ(victim(), LookBackQueue::kNone);
}

TEST_F(LookBackQueueTest, TheOldestOnProbationGoesFirst) {
    for (const std::uint32_t slot : {5u, 6u, 7u}) queue_.admit(slot);
    admit_proven(1);
    EXPECT_EQ(victim(), 5u);
    queue_.leave(5);
    EXPECT_EQ(victim(), 6u);
}

TEST_F(LookBackQueueTest, ProvenStreamsThatFellSilentMakeRoomForProbation) {
    for (const std::uint32_t slot : {1u, 2u, 3u}) admit_proven(slot);
    queue_.admit(9);
    last_ns_[1] = last_ns_[3] = 50;  // these two go on
    EXPECT_EQ(victim(), 2u);
    queue_.leave(2);
    // Each goes on only once: the next round needs another frame.
    last_ns_[3] = 60;
    EXPECT_EQ(victim(), 1u);
}

TEST_F(LookBackQueueTest, StreamsThatGoOnStayWhileOneIsOnProbation) {
    for (std::uint32_t slot = 0; slot < 20; ++slot) admit_proven(slot);
    queue_.admit(25);
    for (int round = 0; round < 100; ++round) {
        for (TimeNs& last_ns : last_ns_) ++last_ns;
        EXPECT_EQ(victim(), 25u);
    }
    queue_.leave(25);
    for (TimeNs& last_ns : last_ns_) ++last_ns;
    EXPECT_LT(victim(), 20u);  // with none on probation somebody must
}

}  // namespace
}  // namespace spantape
