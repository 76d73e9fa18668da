// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/assurance.h"

#include <gtest/gtest.h>

namespace spantape {
namespace {

using Lacks = std::vector<Shortfall>;

class AssuranceTest : public ::testing::Test {
protected:
    AssuranceTest() {
        recording.state = RecordingState::stored;
        recording.start_ns = kNsPerSecond;
        recording.stop_ns = 61 * kNsPerSecond;
        for (const Side side : {Side::device, Side::far}) {
            RecordedStream& stream = recording.streams.emplace_back();
            stream.side = side;
            stream.counters.stored = 3000;
        }
    }
    Recording recording;
};

TEST_F(AssuranceTest, WhatHoldsAllLacksNothing) {
    EXPECT_EQ(shortfalls_of(recording), Lacks{});
    recording.streams[0].counters.duplicates = 7;
    recording.streams[0].counters.blacked_out = 500;
    EXPECT_EQ(shortfalls_of(recording), Lacks{}) << "a blackout was wanted";
}

TEST_F(AssuranceTest, LossesAreToldApart) {
    recording.streams[0].counters.lost_before = 5;
    EXPECT_EQ(shortfalls_of(recording), Lacks{Shortfall::lost_before});
    recording.streams[0].quality.lost_capture = 5;
    EXPECT_EQ(shortfalls_of(recording), Lacks{Shortfall::dropped_kernel});
    recording.streams[0].quality.lost_capture = 2;
    recording.streams[1].counters.dropped_us = 1;
    EXPECT_EQ(shortfalls_of(recording),
              (Lacks{Shortfall::lost_before, Shortfall::dropped_kernel, Shortfall::dropped_us}));
}

TEST_F(AssuranceTest, ASideThatIsMissing) {
    recording.streams[1].side = Side::device;
    EXPECT_EQ(shortfalls_of(recording), Lacks{Shortfall::one_side});
    recording.stop_ns = recording.start_ns + 4 * kNsPerSecond;
    EXPECT_EQ(shortfalls_of(recording), Lacks{}) << "the other had no time to speak";
    recording.stop_ns = 61 * kNsPerSecond;
    recording.streams[1].side = Side::far;
    recording.streams[1].counters = {};
    recording.streams[1].counters.blacked_out = 3000;
    EXPECT_EQ(shortfalls_of(recording), Lacks{});
    recording.streams.clear();
    EXPECT_EQ(shortfalls_of(recording), Lacks{Shortfall::no_media});
}

TEST_F(AssuranceTest, WhatEndedItOrCouldNotBeRead) {
    recording.streams[0].counters = {};
    recording.streams[0].counters.undecryptable = 3000;
    EXPECT_EQ(shortfalls_of(recording), Lacks{Shortfall::undecryptable});
    recording.streams[0].counters = recording.streams[1].counters;
    recording.ended_by = "pre_empted";
    EXPECT_EQ(shortfalls_of(recording), Lacks{Shortfall::pre_empted});
    recording.ended_by = "crash";
    recording.state = RecordingState::interrupted;
    EXPECT_EQ(shortfalls_of(recording), Lacks{Shortfall::interrupted});
}

TEST(Assurance, EachHasItsName) {
    for (std::size_t i = 0; i < kShortfalls; ++i) {
        EXPECT_FALSE(name_of(static_cast<Shortfall>(i)).empty());
        EXPECT_FALSE(description_of(static_cast<Shortfall>(i)).empty());
    }
    EXPECT_EQ(name_of(Shortfall::interrupted), "interrupted");
}

}  // namespace
}  // namespace spantape
