// SPDX-License-Identifier: AGPL-3.0-or-later
// Whole recordings: sides, mixing, relay copies, rates, length, damage.
#include <gtest/gtest.h>

#include <algorithm>
#include <numbers>

#include "tests/storage/audio/fake_stream.h"

namespace spantape::test {
namespace {

TEST(RecordingAudio, DeviceIsLeftAndFarIsRight) {
    FakeChunks chunks;
    Recording recording = recording_of(2.0);
    add_stream(recording, chunks, Side::far, even_frames(40, 100), 2);
    add_stream(recording, chunks, Side::device, even_frames(50, 600), 1);
    const auto rendered = render(recording, chunks);
    EXPECT_EQ(rendered.format.channels, 2);
    EXPECT_EQ(rendered.format.sample_rate_hz, 8000u);
    for (int n = 0; n < 50; ++n) EXPECT_EQ(find_frame(rendered.left, n, 4800 + n * 160L), 4800 + n * 160L);
    for (int n = 0; n < 40; ++n) EXPECT_EQ(find_frame(rendered.right, n, 800 + n * 160L), 800 + n * 160L);
}

TEST(RecordingAudio, LengthIsTheDurationRounded) {
    for (const double duration_s : {0.0, 0.0001, 0.99994, 1.0, 1.00006, 2.5, 61.23456}) {
        FakeChunks chunks;
        Recording recording = recording_of(duration_s);
        add_stream(recording, chunks, Side::device, even_frames(20));
        const auto rendered = render(recording, chunks);
        EXPECT_EQ(rendered.left.size(), static_cast<std::size_t>(std::llround(duration_s * 8000))) << duration_s;
    }
}

TEST(RecordingAudio, RunningRecordingReachesUntilNow) {
    FakeChunks chunks;
    Recording recording = recording_of(9.0);
    recording.stop_ns = 0;
    add_stream(recording, chunks, Side::device, even_frames(50));
    EXPECT_EQ(render(recording, chunks, kStart + 1500 * kNsPerMs).left.size(), 12'000u);
}

TEST(RecordingAudio, WithoutStreamsItIsSilence) {
    const auto rendered = render(recording_of(1.5), FakeChunks{});
    EXPECT_EQ(rendered.left.size(), 12'000u);
    EXPECT_TRUE(silent(rendered.left, 0, 12'000));
}

TEST(RecordingAudio, StreamsOfOneSideAreAddedWithSaturation) {
    Frames loud = even_frames(50);
    for (auto& frame : loud) std::ranges::fill(frame.payload, 0x00);  // -32124
    Frames soft = even_frames(50, 0, 7, 7);
    for (auto& frame : soft) std::ranges::fill(frame.payload, 0x3f);
    FakeChunks chunks;
    Recording recording = recording_of(1.0);
    add_stream(recording, chunks, Side::device, loud, 1);
    add_stream(recording, chunks, Side::device, soft, 2);
    add_stream(recording, chunks, Side::far, soft, 3);
    add_stream(recording, chunks, Side::far, soft, 4);
    const auto rendered = render(recording, chunks);
    EXPECT_EQ(rendered.left[100], -32768);
    EXPECT_EQ(rendered.right[100], 2 * decode_mulaw(0x3f));
}

TEST(RecordingAudio, RelayedMediaWithTheSameSsrcIsMixedOnceAndFillsHoles) {
    Frames before = even_frames(200);
    Frames after = even_frames(200);
    for (auto& frame : after) frame.arrival_ns += 3 * kNsPerMs;
    before.erase(before.begin() + 100, before.begin() + 110);
    after.erase(after.begin() + 20, after.begin() + 60);
    FakeChunks chunks;
    Recording recording = recording_of(4.0);
    add_stream(recording, chunks, Side::device, before, 0xD2BD4E3E);
    add_stream(recording, chunks, Side::device, after, 0xD2BD4E3E);
    const auto rendered = render(recording, chunks);
    for (int n = 0; n < 200; ++n) EXPECT_EQ(find_frame(rendered.left, n, n * 160L), n * 160L) << n;
}

// A call moves twice, to a phone that answers for a moment only. The first frames at each address are early, the
// last ones at the address before are late: by their arrival alone they would lie on each other.
TEST(RecordingAudio, MediaThatMovesToAnotherAddressGoesOnOnOneClock) {
    const Frames whole = even_frames(260);
    FakeChunks chunks;
    Recording recording = recording_of(5.5);
    for (const auto& [first, last] : {std::pair{0, 100}, {100, 120}, {120, 260}}) {
        Frames part(whole.begin() + first, whole.begin() + last);
        for (int n = 0; n < 3; ++n) (part.end() - 1 - n)->arrival_ns += (45 - 15 * n) * kNsPerMs;
        add_stream(recording, chunks, Side::far, part, 0x1234);
    }
    const auto rendered = render(recording, chunks);
    for (int n = 0; n < 260; ++n) EXPECT_EQ(find_frame(rendered.right, n, n * 160L), n * 160L) << n;
}

TEST(RecordingAudio, SameSsrcWithOtherMediaIsMixed) {
    Frames other = even_frames(50, 0, 9, 9);
    for (auto& frame : other) std::ranges::fill(frame.payload, 0x3f);
    FakeChunks chunks;
    Recording recording = recording_of(1.0);
    add_stream(recording, chunks, Side::device, even_frames(50), 0);
    add_stream(recording, chunks, Side::device, other, 0);
    const auto rendered = render(recording, chunks);
    EXPECT_EQ(rendered.left[165], decode_mulaw(code_of(1, 5)) + decode_mulaw(0x3f));
}

TEST(RecordingAudio, EchoOfTheSameSsrcIsHeardOnBothSides) {
    FakeChunks chunks;
    Recording recording = recording_of(1.0);
    add_stream(recording, chunks, Side::device, even_frames(50), 5);
    add_stream(recording, chunks, Side::far, even_frames(50, 1), 5);
    const auto rendered = render(recording, chunks);
    EXPECT_EQ(find_frame(rendered.left, 0), 0);
    EXPECT_EQ(find_frame(rendered.right, 0), 8);
}

TEST(RecordingAudio, CopyUnderAnotherSsrcIsHeardOnlyWhereTheOriginalIsMissing) {
    Frames original = even_frames(300);
    original.erase(original.begin() + 100, original.begin() + 250);  // a hole from 2 s to 5 s
    Frames copy = even_frames(300, 5, 77, 12'345);
    FakeChunks chunks;
    Recording recording = recording_of(6.5);
    add_stream(recording, chunks, Side::device, copy, 2).relay_copy = true;
    add_stream(recording, chunks, Side::device, original, 1);
    const auto rendered = render(recording, chunks);
    for (int n = 0; n < 100; ++n) EXPECT_EQ(find_frame(rendered.left, n, n * 160L), n * 160L) << n;
    for (int n = 130; n < 220; ++n) EXPECT_EQ(find_frame(rendered.left, n, n * 160L), n * 160L + 40) << n;
    for (int n = 250; n < 300; ++n) EXPECT_EQ(find_frame(rendered.left, n, n * 160L), n * 160L) << n;
}

TEST(RecordingAudio, LoneCopyIsHeard) {
    FakeChunks chunks;
    Recording recording = recording_of(1.0);
    add_stream(recording, chunks, Side::far, even_frames(50), 2).relay_copy = true;
    EXPECT_EQ(find_frame(render(recording, chunks).right, 30), 30 * 160);
}

TEST(RecordingAudio, DamagedChunkIsSilenceAndCounted) {
    FakeChunks chunks;
    Recording recording = recording_of(2.0);
    add_stream(recording, chunks, Side::device, even_frames(100));
    chunks.add(1, even_frames(100), 25, {2});
    const auto rendered = render(recording, chunks);
    EXPECT_EQ(rendered.damaged_chunks, 1u);
    EXPECT_EQ(find_frame(rendered.left, 49, 0), 49 * 160);
    EXPECT_TRUE(silent(rendered.left, 50 * 160, 75 * 160));
    EXPECT_EQ(find_frame(rendered.left, 75, 0), 75 * 160);
}

TEST(RecordingAudio, EncodingNotDecodedYetIsSilenceOfFullLength) {
    Frames frames = even_frames(50);
    for (auto& frame : frames) frame.payload_type = 5;  // DVI4
    FakeChunks chunks;
    Recording recording = recording_of(1.0);
    add_stream(recording, chunks, Side::device, frames);
    const auto rendered = render(recording, chunks);
    EXPECT_EQ(rendered.left.size(), 8000u);
    EXPECT_TRUE(silent(rendered.left, 0, 8000));
}

// A tone of 440 Hz as L16 of the given rate, 20 ms frames, payload type 96.
Frames tone(std::uint32_t rate_hz, int count, double amplitude) {
    Frames frames;
    const std::uint32_t samples = rate_hz / 50;
    for (int n = 0; n < count; ++n) {
        Frame frame{
            kStart + n * 20 * kNsPerMs, static_cast<std::uint16_t>(n), static_cast<std::uint32_t>(n) * samples, 96, {}};
        for (std::uint32_t k = 0; k < samples; ++k) {
            const double t = (static_cast<double>(n) * samples + k) / rate_hz;
            const auto value =
                static_cast<std::int16_t>(std::lround(amplitude * std::sin(2 * std::numbers::pi * 440 * t)));
            frame.payload.push_back(static_cast<std::uint8_t>(value >> 8 & 0xff));
            frame.payload.push_back(static_cast<std::uint8_t>(value & 0xff));
        }
        frames.push_back(std::move(frame));
    }
    return frames;
}

TEST(RecordingAudio, WideBandStreamMakesItWideAndNarrowOnesAreResampledInPlace) {
    FakeChunks chunks;
    Recording recording = recording_of(3.0);
    add_stream(recording, chunks, Side::device, tone(16'000, 150, 10'000), 1).payloads = {{96, "L16", 16'000, 1, ""}};
    add_stream(recording, chunks, Side::far, tone(8000, 150, 10'000), 2).payloads = {{96, "L16", 8000, 1, ""}};
    const auto rendered = render(recording, chunks);
    ASSERT_EQ(rendered.format.sample_rate_hz, 16'000u);
    ASSERT_EQ(rendered.left.size(), 48'000u);
    for (std::size_t i = 1000; i < 47'000; ++i) {
        const double wanted = 10'000 * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(i) / 16'000);
        ASSERT_NEAR(rendered.left[i], wanted, 1.0) << i;
        ASSERT_NEAR(rendered.right[i], wanted, 20.0) << i;  // the resampler's ripple
    }
}

TEST(RecordingAudio, CdRateIsBroughtDown) {
    FakeChunks chunks;
    Recording recording = recording_of(2.0);
    Frames frames = tone(44'100, 100, 8000);
    for (auto& frame : frames) frame.payload_type = 11;
    add_stream(recording, chunks, Side::device, frames);
    const auto rendered = render(recording, chunks);
    ASSERT_EQ(rendered.format.sample_rate_hz, 16'000u);
    for (std::size_t i = 1000; i < 31'000; ++i) {
        const double wanted = 8000 * std::sin(2 * std::numbers::pi * 440 * static_cast<double>(i) / 16'000);
        ASSERT_NEAR(rendered.left[i], wanted, 20.0) << i;
    }
}

TEST(RecordingAudio, OfferedWideBandThatWasNotUsedLeavesItNarrow) {
    FakeChunks chunks;
    Recording recording = recording_of(1.0);
    add_stream(recording, chunks, Side::device, even_frames(50)).payloads = {{96, "L16", 16'000, 1, ""},
                                                                             {0, "PCMU", 8000, 1, ""}};
    EXPECT_EQ(render(recording, chunks).format.sample_rate_hz, 8000u);
}

}  // namespace
}  // namespace spantape::test
