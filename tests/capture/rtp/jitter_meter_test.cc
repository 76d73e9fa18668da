// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/jitter_meter.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "capture/rtp/payload_clock.h"

namespace spantape {
namespace {

// Frames of 20 ms, in order.
struct Feed {
    explicit Feed(std::uint32_t clock_hz = 8000) : rate_hz(clock_hz) { meter.clock_is(96, clock_hz); }
    void operator()(TimeNs delay_ns, bool marker = false) {
        const TimeNs arrival_ns = sent_ns + delay_ns;
        if (meter.on_frame(rate_hz / 50, last_ns, arrival_ns, marker)) mean.add(meter);
        last_ns = arrival_ns;
        sent_ns += 20 * kNsPerMs;
    }
    [[nodiscard]] double now_us() const { return meter.now_16_us() / 16.0; }

    std::uint32_t rate_hz;
    JitterMeter meter;
    JitterMean mean;
    TimeNs sent_ns = 1'700'000'000 * kNsPerSecond;
    TimeNs last_ns = 0;
};

TEST(JitterMeter, FramesInTheirTimeHaveNone) {
    for (const std::uint32_t rate_hz : {8000u, 16000u, 48000u}) {
        Feed feed(rate_hz);
        for (int n = 0; n < 1000; ++n) feed(5 * kNsPerMs);
        EXPECT_TRUE(feed.meter.measured());
        EXPECT_EQ(feed.meter.max_us(), 0u) << rate_hz;
    }
}

TEST(JitterMeter, AgreesWithTheFormulaInFractions) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    for (const std::uint32_t rate_hz : {8000u, 44100u, 48000u}) {
        Feed feed(rate_hz);
        double jitter_ms = 0, sum_ms = 0, max_ms = 0, last_ms = 0;
        for (int n = 0; n < 5000; ++n) {
            const TimeNs delay_ns = static_cast<TimeNs>(random() % 30'000'000);
            feed(delay_ns);
            const double delay_ms = static_cast<double>(delay_ns) / 1e6;
            if (n > 0) {
                jitter_ms += (std::abs(delay_ms - last_ms) - jitter_ms) / 16;  // RFC 3550 §6.4.1
                sum_ms += jitter_ms;
                max_ms = std::max(max_ms, jitter_ms);
            }
            last_ms = delay_ms;
        }
        EXPECT_NEAR(feed.now_us() / 1000, jitter_ms, 0.01);
        EXPECT_NEAR(feed.meter.max_us() / 1000.0, max_ms, 0.01);
        EXPECT_NEAR(feed.mean.us(feed.meter) / 1000.0, sum_ms / 4999, 0.02 * sum_ms / 4999);
    }
}

TEST(JitterMeter, SilenceBeforeATalkSpurtIsNoJitter) {
    Feed feed;
    feed(0);
    feed(0);
    feed(400 * kNsPerMs, true);  // its time stamps stood still
    feed(400 * kNsPerMs);
    EXPECT_EQ(feed.meter.max_us(), 0u);
}

TEST(JitterMeter, AClockThatStoodStillForLongIsNoJitter) {
    Feed feed;
    feed(0);
    feed(2500 * kNsPerMs);  // field notes: no marker either
    feed(2500 * kNsPerMs);
    EXPECT_EQ(feed.meter.max_us(), 0u);
}

TEST(JitterMeter, WithoutAClockThereIsNothingToMeasure) {
    Feed feed;
    feed.meter.clock_is(96, 0);
    feed(0);
    feed(kNsPerMs);
    EXPECT_FALSE(feed.meter.measured());
    // The clock becomes known: from the next pair of frames on.
    feed.meter.clock_is(96, 8000);
    feed(0);
    EXPECT_FALSE(feed.meter.measured());
    feed(0);
    EXPECT_TRUE(feed.meter.measured());
    EXPECT_EQ(feed.meter.max_us(), 0u);
}

TEST(JitterMeter, ASingleLateFrameDecaysAsTheRfcSays) {
    Feed feed;
    feed(0);
    feed(16 * kNsPerMs);
    EXPECT_EQ(feed.now_us(), 1000);
    feed(16 * kNsPerMs);
    EXPECT_NEAR(feed.now_us(), 937.5, 1);
    EXPECT_EQ(feed.meter.max_us(), 1000u);
}

TEST(JitterMeter, AbsurdTimesAreIgnored) {
    JitterMeter meter;
    meter.clock_is(0, 1000);
    meter.on_frame(0, 0, INT64_MIN, false);
    meter.on_frame(0x80000000u, INT64_MIN, INT64_MAX, false);
    meter.on_frame(0x7fffffffu, INT64_MAX, INT64_MIN, false);
    EXPECT_LT(meter.max_us(), 1'000'000u);
}

TEST(PayloadClocks, KeepTheNewestRateOfEachAndAsManyAsFit) {
    PayloadClocks clocks;
    for (std::uint8_t type = 96; type < 110; ++type) clocks.set(type, 1000u * type);
    EXPECT_EQ(clocks.rate_hz(96), 96000u);
    EXPECT_EQ(clocks.rate_hz(103), 103000u);
    EXPECT_EQ(clocks.rate_hz(104), 0u);
    PayloadClocks newer;
    newer.set(96, 48000);
    clocks.merge(newer);
    EXPECT_EQ(clocks.rate_hz(96), 48000u);
    EXPECT_EQ(clocks.rate_hz(97), 97000u);
}

}  // namespace
}  // namespace spantape
