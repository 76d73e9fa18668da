// SPDX-License-Identifier: AGPL-3.0-or-later
// Where the samples of one stream land: loss, jitter, order, wraps, bursts, clocks that go wrong, restarts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <utility>

#include "tests/storage/audio/fake_stream.h"

namespace spantape::test {
namespace {

std::vector<std::int16_t> left_of(Frames frames, double duration_s) {
    FakeChunks chunks;
    Recording recording = recording_of(duration_s);
    add_stream(recording, chunks, Side::device, std::move(frames));
    const Rendered rendered = render(recording, chunks);
    EXPECT_EQ(rendered.error, "");
    EXPECT_TRUE(silent(rendered.right, 0, static_cast<long>(rendered.right.size())));
    return rendered.left;
}

// All frames of even_frames(count, first_ms), each exactly where it belongs.
void expect_even(const std::vector<std::int16_t>& channel, int count, long first_sample) {
    for (int n = 0; n < count; ++n) {
        EXPECT_EQ(find_frame(channel, n, first_sample + n * 160L), first_sample + n * 160L) << "frame " << n;
    }
}

TEST(Placement, EvenStreamLandsAtItsArrival) {
    const auto left = left_of(even_frames(100, 250), 3.0);
    EXPECT_TRUE(silent(left, 0, 2000));
    expect_even(left, 100, 2000);
    EXPECT_TRUE(silent(left, 2000 + 100 * 160, static_cast<long>(left.size())));
}

TEST(Placement, LostFramesAreSilenceOfTheirLength) {
    Frames frames = even_frames(100);
    frames.erase(frames.begin() + 40, frames.begin() + 47);
    const auto left = left_of(frames, 2.0);
    EXPECT_EQ(find_frame(left, 39, 39 * 160), 39 * 160);
    EXPECT_TRUE(silent(left, 40 * 160, 47 * 160));
    EXPECT_EQ(find_frame(left, 47, 47 * 160), 47 * 160);
}

TEST(Placement, JitterDoesNotMoveSamples) {
    Frames frames = even_frames(200, 100);
    std::mt19937 random(7);
    for (std::size_t n = 1; n < frames.size(); ++n) frames[n].arrival_ns += random() % 18 * kNsPerMs;
    expect_even(left_of(frames, 5.0), 200, 800);
}

TEST(Placement, ReorderedFramesArePutInOrder) {
    Frames frames = even_frames(100);
    for (const std::size_t n : {5u, 20u, 21u, 60u}) {
        std::swap(frames[n], frames[n + 3]);
        std::swap(frames[n].arrival_ns, frames[n + 3].arrival_ns);
    }
    expect_even(left_of(frames, 2.0), 100, 0);
}

TEST(Placement, FirstFramesMayBeReorderedToo) {
    Frames frames = even_frames(50);
    std::swap(frames[0], frames[1]);
    std::swap(frames[0].arrival_ns, frames[1].arrival_ns);
    frames[0].arrival_ns = frames[1].arrival_ns - kNsPerMs;
    const auto left = left_of(frames, 2.0);
    const long first = find_frame(left, 0);
    ASSERT_GE(first, 0);
    expect_even(left, 50, first);
}

TEST(Placement, DuplicatesAreHeardOnce) {
    Frames frames;
    for (const auto& frame : even_frames(100)) {
        frames.push_back(frame);
        frames.push_back(frame);
        frames.back().arrival_ns += 2 * kNsPerMs;
    }
    expect_even(left_of(frames, 2.0), 100, 0);
}

TEST(Placement, SequenceAndTimestampWrap) {
    expect_even(left_of(even_frames(200, 0, 65'500, 0xffffffffu - 10'000), 4.0), 200, 0);
}

TEST(Placement, LateBurstDoesNotMoveSamples) {
    Frames frames = even_frames(300);
    for (std::size_t n = 100; n < 130; ++n) frames[n].arrival_ns = frames[130].arrival_ns + kNsPerMs;
    expect_even(left_of(frames, 6.0), 300, 0);
}

TEST(Placement, BurstAtTheVeryStartLosesNothing) {
    Frames frames = even_frames(200, 100);
    for (std::size_t n = 0; n < 8; ++n) frames[n].arrival_ns = frames[8].arrival_ns;
    const auto left = left_of(frames, 5.0);
    expect_even(left, 200, 800);
}

TEST(Placement, LateFirstFrameDoesNotDelayTheRest) {
    Frames frames = even_frames(100, 500);
    frames[0].arrival_ns = frames[1].arrival_ns + 100'000;
    expect_even(left_of(frames, 4.0), 100, 4000);
}

TEST(Placement, SilenceWithTimestampAdvanceStaysAsLongAsItWas) {
    Frames frames = even_frames(200);
    frames.erase(frames.begin() + 50, frames.begin() + 150);
    for (std::size_t n = 50; n < frames.size(); ++n) frames[n].sequence = static_cast<std::uint16_t>(1000 + n);
    const auto left = left_of(frames, 4.0);
    EXPECT_TRUE(silent(left, 50 * 160, 150 * 160));
    for (int n = 150; n < 200; ++n) EXPECT_EQ(find_frame(left, n, n * 160L), n * 160L);
}

TEST(Placement, SilenceWithoutTimestampAdvanceIsPlacedByArrival) {
    Frames frames = even_frames(100);
    for (std::size_t n = 50; n < 100; ++n) frames[n].arrival_ns += 2500 * kNsPerMs;
    const auto left = left_of(frames, 5.0);
    EXPECT_EQ(find_frame(left, 49, 49 * 160), 49 * 160);
    EXPECT_TRUE(silent(left, 50 * 160, 50 * 160 + 20'000));
    for (int n = 50; n < 100; ++n) EXPECT_EQ(find_frame(left, n, 20'000 + n * 160L), 20'000 + n * 160L);
}

TEST(Placement, TimestampJumpWithoutPauseLeavesNoHole) {
    for (const std::uint32_t jump : {4000u, 40'000u, 1'000'000'000u, 3'000'000'000u}) {
        Frames frames = even_frames(150);
        for (std::size_t n = 70; n < frames.size(); ++n) frames[n].timestamp += jump;
        expect_even(left_of(frames, 3.0), 150, 0);
    }
}

TEST(Placement, RestartOnTheSameSsrcPlaysOn) {
    for (const int back : {40, 300, 5000, -20'000}) {
        Frames frames = even_frames(200, 0, 30'000, 90'000'000);
        for (std::size_t n = 100; n < frames.size(); ++n) {
            frames[n].sequence = static_cast<std::uint16_t>(frames[n].sequence - back);
            frames[n].timestamp -= static_cast<std::uint32_t>(back * 160);
        }
        expect_even(left_of(frames, 4.0), 200, 0);
    }
}

TEST(Placement, StrayFrameDoesNotDisturbTheRun) {
    Frames frames = even_frames(100);
    Frame stray = frames[50];
    stray.sequence = 40'000;
    stray.timestamp = 7;
    stray.payload = payload_of(77);
    frames.insert(frames.begin() + 50, stray);
    expect_even(left_of(frames, 2.0), 100, 0);
}

// 20 ms of timestamps every 30 ms: no sample is altered or lost, and each is heard within a jitter buffer of when it
// came, however long the call.
TEST(Placement, SlowSenderKeepsUpWithTheWallClock) {
    Frames frames = even_frames(600);
    for (int n = 0; n < 600; ++n) frames[static_cast<std::size_t>(n)].arrival_ns = kStart + n * 30 * kNsPerMs;
    const auto left = left_of(frames, 18.5);
    long from = 0;
    for (int n = 0; n < 600; ++n) {
        const long found = find_frame(left, n, from);
        ASSERT_GE(found, 0) << "frame " << n;
        EXPECT_NEAR(static_cast<double>(found), n * 240.0, 60 * 8 + 1) << "frame " << n;
        from = found + 160;
    }
}

// A clock that is wrong by 300 ppm for half an hour: no step, no hole, never 25 ms away (the first frame's jitter is 13
// of them); nine frames in ten as they were.
TEST(Placement, DriftIsFollowedWithoutAStep) {
    constexpr int kFrames = 90'000;
    for (const double drift : {1.0003, 0.9997}) {
        SCOPED_TRACE(drift);
        Frames frames = even_frames(kFrames);
        std::mt19937 random(3);
        for (int n = 0; n < kFrames; ++n)
            frames[static_cast<std::size_t>(n)].arrival_ns =
                kStart + static_cast<TimeNs>(n * 20e6 * drift) + static_cast<TimeNs>(random() % 15) * kNsPerMs;
        const auto left = left_of(frames, 1801.0);
        int whole = 0;
        for (int n = 0; n < kFrames; ++n) {
            const auto expected = std::lround(n * 160.0 * drift);
            const long from = std::max(expected - 25 * 8, 0L), to = expected + 25 * 8;
            const std::vector<std::int16_t> near(left.begin() + from, left.begin() + to + 160);
            whole += find_frame(near, n) >= 0;
        }
        EXPECT_GE(whole, kFrames * 9 / 10);
        const auto end = left.begin() + std::lround((kFrames - 1) * 160.0 * drift);
        EXPECT_EQ(std::search_n(left.begin(), end, 20, 0), end);
    }
}

// 200 ppm, and a pause of half a second every ten: the pauses take it, hardly a frame is altered.
TEST(Placement, PausesTakeUpTheDrift) {
    for (const double drift : {1.0002, 0.9998}) {
        SCOPED_TRACE(drift);
        Frames frames = even_frames(20'000);
        for (std::size_t n = 0; n < frames.size(); ++n)
            frames[n].arrival_ns = kStart + static_cast<TimeNs>(static_cast<double>(n) * 20e6 * drift);
        std::erase_if(frames, [&](const Frame& frame) { return (frame.sequence - 1000) % 500 >= 475; });
        for (std::size_t n = 0; n < frames.size(); ++n) frames[n].sequence = static_cast<std::uint16_t>(n);
        const auto left = left_of(frames, 401.0);
        int whole = 0;
        for (int n = 0; n < 20'000; ++n) {
            const auto expected = std::lround(n * 160.0 * drift);
            const std::vector<std::int16_t> near(left.begin() + std::max(expected - 20 * 8, 0L),
                                                 left.begin() + expected + 20 * 8 + 160);
            whole += find_frame(near, n) >= 0;
        }
        EXPECT_GE(whole, 20'000 * 475 / 500 * 9 / 10);
    }
}

// The sender's timestamps run ahead by 150 ms at once: frames follow one another, and a pause lets them catch up.
TEST(Placement, SmallStepBackIsAbsorbedUntilTheNextGap) {
    Frames frames = even_frames(150);
    for (std::size_t n = 50; n < 150; ++n) frames[n].arrival_ns -= 150 * kNsPerMs;
    frames.erase(frames.begin() + 100, frames.begin() + 110);
    const auto left = left_of(frames, 3.0);
    for (int n = 0; n < 100; ++n) EXPECT_EQ(find_frame(left, n, n * 160L), n * 160L) << n;
    for (int n = 111; n < 150; ++n) EXPECT_EQ(find_frame(left, n, 0), n * 160L - 1200) << n;  // 110 is blended in
}

// Quiet frames let it catch up too; those in which something is heard stay as they are.
TEST(Placement, QuietFramesLetAbsorbedAudioCatchUp) {
    Frames frames = even_frames(400);
    for (std::size_t n = 50; n < 400; ++n) frames[n].arrival_ns -= 100 * kNsPerMs;
    for (std::size_t n = 200; n < 300; ++n) frames[n].payload.assign(160, 0xfe);  // hardly a sound
    const auto left = left_of(frames, 8.0);
    for (int n = 0; n < 200; ++n) EXPECT_EQ(find_frame(left, n, n * 160L), n * 160L) << n;
    for (int n = 300; n < 400; ++n) {
        const long found = find_frame(left, n, 0);
        ASSERT_GE(found, 0) << n;
        EXPECT_NEAR(static_cast<double>(found), n * 160.0 - 800, 80) << n;
    }
}

// By more than can be absorbed: the overlapping head is cut, what follows is where it belongs.
TEST(Placement, LargeStepBackCutsTheOverlap) {
    Frames frames = even_frames(200);
    for (std::size_t n = 100; n < 200; ++n) frames[n].arrival_ns -= 500 * kNsPerMs;
    std::ranges::sort(frames, {}, [](const Frame& frame) { return std::pair(frame.arrival_ns, frame.sequence); });
    const auto left = left_of(frames, 4.0);
    for (int n = 130; n < 200; ++n) EXPECT_EQ(find_frame(left, n, 0), n * 160L - 4000) << n;
}

TEST(Placement, EventsAreSilence) {
    Frames frames = even_frames(100);
    for (std::size_t n = 20; n < 40; ++n) {
        frames[n].payload_type = 101;
        frames[n].timestamp = frames[20].timestamp;  // an event keeps the timestamp of its beginning
        frames[n].payload = {1, 2, 3, 4};
    }
    const auto left = left_of(frames, 2.0);
    EXPECT_TRUE(silent(left, 20 * 160, 40 * 160));
    for (int n = 40; n < 100; ++n) EXPECT_EQ(find_frame(left, n, n * 160L), n * 160L);
}

// Audio, comfort noise announced at 20 and sent no more until 40, audio.
Frames with_noise(std::uint8_t level_db) {
    Frames frames = even_frames(100);
    frames[20].payload_type = kComfortNoise;
    frames[20].payload = {level_db, 0x60};
    frames.erase(frames.begin() + 21, frames.begin() + 40);
    for (std::size_t n = 21; n < frames.size(); ++n) frames[n].sequence = static_cast<std::uint16_t>(1000 + n);
    return frames;
}

double level_db(const std::vector<std::int16_t>& channel, long from, long to) {
    double sum = 0;
    for (long i = from; i < to; ++i) sum += std::pow(channel[static_cast<std::size_t>(i)], 2);
    return 10 * std::log10(std::max(sum, 1.0) / static_cast<double>(to - from) / (32768.0 * 32768.0));
}

void expect_audio_around_noise(const std::vector<std::int16_t>& left) {
    for (int n = 0; n < 100; ++n) {
        if (n < 20 || n >= 40) {
            EXPECT_EQ(find_frame(left, n, n * 160L), n * 160L) << n;
        }
    }
}

TEST(Placement, ComfortNoiseIsHeardAtItsLevelUntilTheNextAudio) {
    for (const std::uint8_t level : {40, 55, 70}) {
        const auto left = left_of(with_noise(level), 2.0);
        for (long n = 20; n < 40; ++n) EXPECT_NEAR(level_db(left, n * 160, (n + 1) * 160), -level, 2.5) << n;
        EXPECT_NEAR(level_db(left, 20 * 160, 40 * 160), -level, 0.5);
        expect_audio_around_noise(left);
    }
}

TEST(Placement, ComfortNoiseIsNeverLoud) {
    EXPECT_NEAR(level_db(left_of(with_noise(0), 2.0), 20 * 160, 40 * 160), -30, 0.5);
}

TEST(Placement, ComfortNoiseTakesTheLevelThatWasToldLast) {
    Frames frames = with_noise(70);
    Frame update = frames[20];
    update.arrival_ns += 200 * kNsPerMs;
    update.timestamp += 1600;
    update.payload = {50};
    for (std::size_t n = 21; n < frames.size(); ++n) ++frames[n].sequence;
    update.sequence = 1021;
    frames.insert(frames.begin() + 21, update);
    const auto left = left_of(frames, 2.0);
    EXPECT_NEAR(level_db(left, 20 * 160, 40 * 160), -50, 0.5);
    expect_audio_around_noise(left);
}

// What is missing may be a blackout: nothing is made up for it.
TEST(Placement, ComfortNoiseDoesNotCoverALoss) {
    Frames frames = with_noise(50);
    for (std::size_t n = 21; n < frames.size(); ++n) ++frames[n].sequence;
    const auto left = left_of(frames, 2.0);
    EXPECT_TRUE(silent(left, 20 * 160, 40 * 160));
    expect_audio_around_noise(left);
}

TEST(Placement, AudioAfterALossIsNotCoveredByTheNoiseThatFollows) {
    Frames frames = with_noise(50);
    frames.erase(frames.begin() + 10, frames.begin() + 15);
    const auto left = left_of(frames, 2.0);
    EXPECT_TRUE(silent(left, 14 * 160, 15 * 160));  // what conceals the loss has faded
    EXPECT_NEAR(level_db(left, 20 * 160, 40 * 160), -50, 0.5);
}

TEST(Placement, MinutesOfComfortNoiseArePlacedAcrossSeconds) {
    Frames frames = with_noise(50);
    for (std::size_t n = 21; n < frames.size(); ++n) {
        frames[n].arrival_ns += 200 * kNsPerSecond;
        frames[n].timestamp += 200 * 8000;
    }
    const auto left = left_of(frames, 202.0);
    for (long second = 1; second < 200; ++second)
        EXPECT_NEAR(level_db(left, second * 8000, (second + 1) * 8000), -50, 0.5) << second;
    EXPECT_EQ(find_frame(left, 99, 201 * 8000L), 200 * 8000L + 99 * 160L);
}

TEST(Placement, OneByteSilenceDescriptorsAreNotHeard) {
    Frames frames = even_frames(50);
    for (std::size_t n = 10; n < 20; ++n) frames[n].payload = {0x12};
    const auto left = left_of(frames, 1.0);
    EXPECT_TRUE(silent(left, 10 * 160, 20 * 160));
    EXPECT_EQ(find_frame(left, 20, 20 * 160), 20 * 160);
}

TEST(Placement, MixedFrameLengthsFollowOneAnother) {
    Frames frames;
    std::uint32_t timestamp = 0;
    for (int n = 0; n < 60; ++n) {
        const int samples = 80 * (1 + n % 4);
        frames.push_back({kStart + timestamp * TimeNs{125'000}, static_cast<std::uint16_t>(n), timestamp, kPcmu,
                          payload_of(n, samples)});
        timestamp += static_cast<std::uint32_t>(samples);
    }
    const auto left = left_of(frames, 2.0);
    for (std::size_t n = 0; n < frames.size(); ++n) {
        for (std::size_t k = 0; k < frames[n].payload.size(); ++k) {
            const std::size_t at = frames[n].timestamp + k;
            if (at >= left.size()) return;
            ASSERT_EQ(left[at], decode_mulaw(frames[n].payload[k])) << n << ' ' << k;
        }
    }
}

TEST(Placement, RecordingThatBeginsInMidStreamGetsItsPart) {
    const auto left = left_of(even_frames(500, -7000), 2.0);
    for (int n = 350; n < 450; ++n) EXPECT_EQ(find_frame(left, n, (n - 350) * 160L), (n - 350) * 160L);
    EXPECT_EQ(left.size(), 16'000u);
}

}  // namespace
}  // namespace spantape::test
