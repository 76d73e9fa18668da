// SPDX-License-Identifier: AGPL-3.0-or-later
// The extent of a stream's audio in RTP time.
#include "storage/audio/stream_extent.h"

#include <gtest/gtest.h>

#include "tests/storage/audio/fake_stream.h"

namespace spantape::test {
namespace {

TimeNs extent_ms(const Frames& frames) {
    StreamExtent extent;
    for (const auto& frame : frames) {
        extent.add(frame.sequence, frame.timestamp, frame.payload_type,
                   static_cast<std::uint32_t>(frame.payload.size()), 8000, frame.arrival_ns);
    }
    return extent.duration_ns() / kNsPerMs;
}

TEST(StreamExtent, NothingIsZero) { EXPECT_EQ(extent_ms({}), 0); }

TEST(StreamExtent, OneFrameIsItsLength) { EXPECT_EQ(extent_ms(even_frames(1)), 20); }

TEST(StreamExtent, CountsTheLastFrameAndLossWithin) {
    Frames frames = even_frames(100);
    frames.erase(frames.begin() + 10, frames.begin() + 30);
    EXPECT_EQ(extent_ms(frames), 2000);
}

TEST(StreamExtent, GoesByTimestampsNotByArrival) {
    Frames frames = even_frames(100);
    for (std::size_t n = 50; n < 100; ++n) frames[n].arrival_ns += 2500 * kNsPerMs;
    EXPECT_EQ(extent_ms(frames), 2000);
}

TEST(StreamExtent, SurvivesWrapReorderAndDuplicates) {
    Frames frames = even_frames(200, 0, 65'500, 0xffffffffu - 10'000);
    std::swap(frames[0], frames[1]);
    std::swap(frames[100], frames[103]);
    frames.push_back(frames[199]);
    EXPECT_EQ(extent_ms(frames), 4000);
}

TEST(StreamExtent, RestartElsewhereAddsItsOwnExtent) {
    Frames frames = even_frames(100);
    for (auto& frame : even_frames(50, 2000, 9, 3'000'000'000u)) frames.push_back(frame);
    EXPECT_EQ(extent_ms(frames), 3000);
}

TEST(StreamExtent, JumpBackWithinWhatIsThereAddsNothing) {
    Frames frames = even_frames(100);
    for (auto& frame : even_frames(50, 2000, 1100, 50'000)) frames.push_back(frame);
    EXPECT_EQ(extent_ms(frames), 2000);
}

TEST(StreamExtent, TimestampsSetBackWhileTheSequenceGoesOnAreOneRun) {
    Frames frames = even_frames(100);
    for (auto& frame : even_frames(50, 2000, 1100, 10'000)) frames.push_back(frame);
    EXPECT_EQ(extent_ms(frames), 2000 + (50'000 - 10'000) / 8);
}

TEST(StreamExtent, StrayFrameAddsNothing) {
    Frames frames = even_frames(100);
    frames[50].timestamp += 1'500'000'000u;
    EXPECT_EQ(extent_ms(frames), 2000);
}

TEST(StreamExtent, OtherCodecsGoByTheirSpacing) {
    Frames frames = even_frames(100);
    for (auto& frame : frames) {
        frame.payload_type = 18;
        frame.payload.resize(20);
    }
    EXPECT_EQ(extent_ms(frames), 2000);
}

TEST(StreamExtent, SilenceDescriptorAtTheEndCountsAsOneFrame) {
    Frames frames = even_frames(100);
    frames.back().payload = {0};
    EXPECT_EQ(extent_ms(frames), 2000);
}

}  // namespace
}  // namespace spantape::test
