// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/sequence_tracker.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace spantape {
namespace {

constexpr auto kStore = SequenceTracker::Verdict::store;
constexpr auto kGap = SequenceTracker::Verdict::gap;
constexpr auto kLate = SequenceTracker::Verdict::late;
constexpr auto kRestart = SequenceTracker::Verdict::restart;
constexpr auto kDuplicate = SequenceTracker::Verdict::duplicate;

struct Feed {
    SequenceTracker tracker;
    SequenceTracker::Verdict operator()(int sequence, std::int64_t timestamp) {
        return tracker.on_frame(static_cast<std::uint16_t>(sequence), static_cast<std::uint32_t>(timestamp), 160);
    }
};

TEST(SequenceTracker, CountsGapsAndTakesLateFramesBack) {
    Feed feed;
    for (const int n : {1, 2}) EXPECT_EQ(feed(n, n * 160), kStore);
    EXPECT_EQ(feed(5, 5 * 160), kGap);
    EXPECT_EQ(feed(6, 6 * 160), kStore);
    EXPECT_EQ(feed.tracker.lost(), 2u);
    EXPECT_EQ(feed(4, 4 * 160), kLate);
    EXPECT_EQ(feed.tracker.lost(), 1u);
}

TEST(SequenceTracker, AFrameFromBeforeTheFirstOneWasNeverMissed) {
    Feed feed;
    feed(100, 100 * 160);
    feed(103, 103 * 160);
    EXPECT_EQ(feed.tracker.lost(), 2u);
    EXPECT_EQ(feed(99, 99 * 160), kLate);  // overtaken by the first one
    EXPECT_EQ(feed.tracker.lost(), 2u);
    EXPECT_EQ(feed(101, 101 * 160), kLate);
    EXPECT_EQ(feed.tracker.lost(), 1u);
}

TEST(SequenceTracker, LossesAcrossAWrapAreCounted) {
    Feed feed;
    for (const int n : {65533, 65534, 65537, 65538, 65536}) feed(n, n * 160);
    EXPECT_EQ(feed.tracker.lost(), 1u);
}

// Of every order, loss and repetition within the window, what is missing at the end is what never came.
TEST(SequenceTracker, LostIsWhatNeverCameHoweverTheRestWasShuffled) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (int round = 0; round < 50; ++round) {
        Feed feed;
        const int first = static_cast<int>(random() % 65536);
        std::uint64_t missing = 0;
        std::vector<int> order{first};
        for (int n = first + 1; n < first + 1000; ++n) {
            if (random() % 20 == 0 && n + 1 < first + 1000) {
                ++missing;
                continue;
            }
            order.push_back(n);
            if (random() % 10 == 0) order.push_back(n);
            if (random() % 10 == 0 && order.size() > 8) std::swap(order[order.size() - 2], order[order.size() - 6]);
        }
        for (const int n : order) feed(n, n * 160);
        EXPECT_EQ(feed.tracker.lost(), missing) << round;
    }
}

TEST(SequenceTracker, WhatWasLostBeforeTheFirstFrameKeptDoesNotCount) {
    Feed feed;
    for (const int n : {1, 2, 5, 6, 7, 9, 10}) feed(n, n * 160);
    EXPECT_EQ(feed.tracker.lost(), 3u);
    feed.tracker.keep_from(6, 6 * 160, 4);  // 6, 7, 9, 10
    EXPECT_EQ(feed.tracker.lost(), 1u);
    EXPECT_EQ(feed.tracker.extent_units(), 5u * 160);
    feed.tracker.keep_from(6, 6 * 160, 4);
    EXPECT_EQ(feed.tracker.lost(), 1u);
}

// The numbers jump and the clock with them: nothing says that frames are missing between.
TEST(SequenceTracker, AJumpOfNumbersWithAnotherClockIsNoLoss) {
    Feed feed;
    feed(1, 0);
    feed(2, 160);
    EXPECT_EQ(feed(500, 1'000'000'000), kRestart);
    EXPECT_EQ(feed.tracker.lost(), 0u);
}

TEST(SequenceTracker, AFrameSeenTwiceIsADuplicateWithinTheWindow) {
    Feed feed;
    for (int n = 0; n < 40; ++n) {
        EXPECT_EQ(feed(n, n * 160), kStore);
        EXPECT_EQ(feed(n, n * 160), kDuplicate);
        if (n >= 10) {
            EXPECT_EQ(feed(n - 10, (n - 10) * 160), kDuplicate);
        }
    }
    EXPECT_EQ(feed.tracker.lost(), 0u);
}

TEST(SequenceTracker, WrapsWithoutLoss) {
    Feed feed;
    for (int n = 65530; n < 65546; ++n) EXPECT_EQ(feed(n, std::int64_t{0xfffffc00} + (n - 65530) * 160), kStore);
    EXPECT_EQ(feed.tracker.lost(), 0u);
    EXPECT_EQ(feed.tracker.extent_units(), 16u * 160);
}

// Field notes: streams restart on the same SSRC, hundreds of numbers back; none of those frames may be thrown away.
TEST(SequenceTracker, ARestartHundredsBackIsStoredAndIsNoLoss) {
    Feed feed;
    for (int n = 1000; n < 1400; ++n) EXPECT_EQ(feed(n, n * 160), kStore);
    for (int n = 1000; n < 1100; ++n) EXPECT_EQ(feed(n, n * 160), n < 1002 ? kRestart : kStore) << n;
    EXPECT_EQ(feed.tracker.lost(), 0u);
    EXPECT_EQ(feed.tracker.extent_units(), 500u * 160);
}

TEST(SequenceTracker, TheSameNumberWithAnotherTimestampIsNoDuplicate) {
    Feed feed;
    for (int n = 0; n < 20; ++n) feed(n, n * 160);
    EXPECT_EQ(feed(15, 900'000), kRestart);
    EXPECT_EQ(feed(16, 900'160), kRestart);
    EXPECT_EQ(feed(17, 900'320), kStore);
}

TEST(SequenceTracker, AJumpFarAheadIsARestartNotALoss) {
    Feed feed;
    for (int n = 0; n < 10; ++n) feed(n, n * 160);
    for (int n = 20000; n < 20010; ++n) feed(n, n * 160);
    EXPECT_EQ(feed.tracker.lost(), 0u);
}

TEST(SequenceTracker, ALoneStrayPacketChangesNothing) {
    Feed feed;
    for (int n = 100; n < 110; ++n) feed(n, n * 160);
    feed(40000, 77);
    for (int n = 110; n < 120; ++n) feed(n, n * 160);
    EXPECT_EQ(feed.tracker.lost(), 0u);
    EXPECT_EQ(feed.tracker.extent_units(), 20u * 160);
}

TEST(SequenceTracker, TheExtentFollowsTimestampsOverSilence) {
    Feed feed;
    feed(1, 0);
    feed(2, 160);
    feed(3, 8160);  // a second of suppressed silence
    EXPECT_EQ(feed.tracker.extent_units(), 8160u + 160);
}

// A T.38 gateway set its clock back to zero while the numbers went on: one run, by its time stamps.
TEST(SequenceTracker, AClockSetBackWhileTheNumbersGoOnIsOneRun) {
    Feed feed;
    feed(1, 71320);
    feed(2, 71480);
    feed(3, 0);
    EXPECT_EQ(feed.tracker.extent_units(), 71480u + 160);
    EXPECT_EQ(feed.tracker.lost(), 0u);
}

// The last end packets of a DTMF event repeat number and timestamp (RFC 4733 §2.5.1.4).
TEST(SequenceTracker, RepeatedEndPacketsOfADtmfEventAreDuplicates) {
    Feed feed;
    feed(1, 0);
    feed(2, 160);
    EXPECT_EQ(feed(3, 160), kStore);
    EXPECT_EQ(feed(3, 160), kDuplicate);
    EXPECT_EQ(feed(3, 160), kDuplicate);
    EXPECT_EQ(feed(4, 960), kStore);
}

}  // namespace
}  // namespace spantape
