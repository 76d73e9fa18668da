// SPDX-License-Identifier: AGPL-3.0-or-later
// What is heard of a running call, and when: order, loss, jitter, jumps, rates.
#include "storage/audio/live_mix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/storage/audio/fake_stream.h"

namespace spantape::test {
namespace {

constexpr PayloadFormat kMulaw{Encoding::pcmu, 8000, 1, 0};

struct Heard {
    std::vector<std::int16_t> left, right;
};

// Frames of one stream of the device's side, rendered every 20 ms until `seconds` after the start.
Heard heard(const Frames& frames, double seconds, std::uint32_t rate_hz = 8000) {
    LiveMix mix(rate_hz, kStart);
    Heard out;
    std::size_t next = 0;
    for (TimeNs now = kStart; now <= kStart + std::llround(seconds * 1e9); now += LiveMix::kTickNs) {
        for (; next < frames.size() && frames[next].arrival_ns < now; ++next)
            mix.push(1, Side::device, kMulaw, frames[next].stored());
        const auto samples = mix.render(now);
        EXPECT_TRUE(samples);
        for (std::size_t i = 0; i < samples->size(); i += 2) {
            out.left.push_back((*samples)[i]);
            out.right.push_back((*samples)[i + 1]);
        }
    }
    return out;
}

constexpr long kDelaySamples = LiveMix::kDelayNs * 8 / kNsPerMs;

TEST(LiveMix, FramesAreHeardOneDelayAfterTheyCame) {
    const Heard out = heard(even_frames(100, 40), 3);
    EXPECT_EQ(out.left.size(), 3u * 8000);
    for (int n = 0; n < 100; ++n) EXPECT_EQ(find_frame(out.left, n), 320 + n * 160L + kDelaySamples) << n;
    EXPECT_TRUE(silent(out.left, 0, 320 + kDelaySamples));
    EXPECT_TRUE(silent(out.left, 320 + 100 * 160 + kDelaySamples, static_cast<long>(out.left.size())));
    EXPECT_TRUE(silent(out.right, 0, static_cast<long>(out.right.size())));
}

TEST(LiveMix, JitterWithinTheDelayAndOrderAreEvenedOut) {
    Frames frames = even_frames(200);
    std::mt19937 random(5);
    for (Frame& frame : frames) frame.arrival_ns += random() % 70 * kNsPerMs;
    frames[0].arrival_ns = kStart;  // the clock is known from the first on
    std::ranges::sort(frames, {}, &Frame::arrival_ns);
    const Heard out = heard(frames, 5);
    for (int n = 0; n < 200; ++n) EXPECT_EQ(find_frame(out.left, n), n * 160L + kDelaySamples) << n;
}

TEST(LiveMix, AShortLossIsConcealedALongOneIsSilent) {
    Frames frames = even_frames(100);
    frames.erase(frames.begin() + 60, frames.begin() + 80);
    frames.erase(frames.begin() + 30);
    const Heard out = heard(frames, 3);
    EXPECT_FALSE(silent(out.left, 30 * 160 + kDelaySamples, 31 * 160 + kDelaySamples));
    EXPECT_TRUE(silent(out.left, 60 * 160 + kDelaySamples, 80 * 160 + kDelaySamples));
    EXPECT_EQ(find_frame(out.left, 80), 80 * 160L + kDelaySamples);
}

TEST(LiveMix, ALateFrameIsLeftOutADuplicateIsHeardOnce) {
    Frames frames = even_frames(50);
    Frame late = frames[10];
    frames.erase(frames.begin() + 10);
    late.arrival_ns += 400 * kNsPerMs;
    Frame twice = frames[20];
    twice.arrival_ns += kNsPerMs;
    frames.push_back(late);
    frames.push_back(twice);
    std::ranges::sort(frames, {}, &Frame::arrival_ns);
    const Heard out = heard(frames, 2);
    EXPECT_EQ(find_frame(out.left, 10), -1);
    for (int n = 12; n < 50; ++n) EXPECT_EQ(find_frame(out.left, n), n * 160L + kDelaySamples) << n;
}

TEST(LiveMix, AJumpOfTheClockIsFollowed) {
    Frames frames = even_frames(100);
    for (std::size_t n = 50; n < 100; ++n) frames[n].timestamp += 1'000'000;
    const Heard out = heard(frames, 3);
    for (int n = 0; n < 100; ++n) EXPECT_EQ(find_frame(out.left, n), n * 160L + kDelaySamples) << n;
}

TEST(LiveMix, OtherRatesAreHeardToo) {
    const Heard out = heard(even_frames(100), 2.5, 16000);
    EXPECT_EQ(out.left.size(), std::size_t{16000 * 5 / 2});
    double energy[2] = {};
    for (std::size_t i = 0; i < out.left.size(); ++i) energy[i < 16000 * 22 / 10 ? 0 : 1] += std::pow(out.left[i], 2);
    EXPECT_GT(energy[0], 100 * energy[1]);
}

TEST(LiveMix, AfterAStallOnlyTheLatestSecondIsMade) {
    LiveMix mix(8000, kStart);
    ASSERT_TRUE(mix.render(kStart));
    EXPECT_EQ(mix.render(kStart + 60 * kNsPerSecond)->size(), 2u * 8000);
    EXPECT_EQ(mix.render(kStart + 60 * kNsPerSecond + LiveMix::kTickNs)->size(), 2u * 160);
}

}  // namespace
}  // namespace spantape::test
