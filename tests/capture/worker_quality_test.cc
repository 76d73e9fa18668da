// SPDX-License-Identifier: AGPL-3.0-or-later
// What a worker tells of its streams' quality: jitter, loss, and what the far end reports.
#include "tests/capture/rtp/rtcp_builder.h"
#include "tests/capture/worker_fixture.h"

namespace spantape {
namespace {

using namespace test;

class WorkerQualityTest : public WorkerTest {
protected:
    void SetUp() override { watch(1, kCallee, CallParty::callee); }

    // A frame of 20 ms at its time, or so much later.
    void frame(int sequence, TimeNs late_ns = 0, std::uint8_t payload_type = 0) {
        Bytes bytes = rtp(7, sequence);
        bytes[1] = payload_type;
        send(kCaller, kCallee, bytes, began_ns_ + sequence * 20 * kNsPerMs + late_ns);
    }
    // After the session's end.
    WorkerEvent left() {
        decide({.kind = Decision::Kind::end_session, .session = 1});
        const auto all = events(WorkerEvent::Kind::stream_left);
        return all.empty() ? WorkerEvent{} : all.front();
    }
    std::uint64_t reports() { return worker_.counters().rtcp_reports.get(); }

    const Endpoint kCallerRtcp = at("10.0.0.1", 4001);
    const Endpoint kCalleeRtcp = at("10.0.0.2", 5001);
};

TEST_F(WorkerQualityTest, JitterOfAStaticPayloadTypeIsMeasured) {
    for (int n = 0; n < 200; ++n) frame(n, (n % 2) * 4 * kNsPerMs);
    const StreamQuality quality = left().quality;
    EXPECT_TRUE(quality.jitter_known);
    EXPECT_NEAR(quality.max_jitter_us, 4000, 10);  // every difference is 4 ms
    EXPECT_NEAR(quality.jitter_us, 3700, 200);     // after the start
}

TEST_F(WorkerQualityTest, DuplicatesLateFramesAndLossesMakeNoJitter) {
    for (int n = 0; n < 100; ++n) {
        if (n % 10 == 3) continue;
        if (n % 10 == 6) {  // overtaken by the next one, which came in its own time
            frame(n + 1);
            frame(n, 25 * kNsPerMs);
            ++n;
            continue;
        }
        frame(n);
        frame(n, 7 * kNsPerMs);
    }
    const WorkerEvent event = left();
    EXPECT_TRUE(event.quality.jitter_known);
    EXPECT_EQ(event.quality.max_jitter_us, 0u);
    EXPECT_EQ(event.counters.lost_before, 10u);
    EXPECT_EQ(event.counters.duplicates, 70u);
    EXPECT_EQ(event.counters.stored + event.counters.dropped_us, 90u);  // nobody empties the ring
}

TEST_F(WorkerQualityTest, ADynamicPayloadTypeIsMeasuredByTheClockThatItsReceiverNamed) {
    for (int n = 0; n < 20; ++n) frame(n, (n % 2) * 4 * kNsPerMs, 96);
    PayloadClocks clocks;
    clocks.set(96, 8000);
    decide({.kind = Decision::Kind::watch,
            .party = CallParty::callee,
            .session = 1,
            .endpoint = kCallee,
            .clocks = clocks});
    PayloadClocks others;  // means something else to the caller
    others.set(96, 48000);
    decide({.kind = Decision::Kind::watch,
            .party = CallParty::caller,
            .session = 1,
            .endpoint = kCaller,
            .clocks = others});
    for (int n = 20; n < 200; ++n) frame(n, (n % 2) * 4 * kNsPerMs, 96);
    EXPECT_NEAR(left().quality.max_jitter_us, 4000, 10);
}

TEST_F(WorkerQualityTest, WithoutAClockThereIsNoJitter) {
    for (int n = 0; n < 50; ++n) frame(n, (n % 2) * 4 * kNsPerMs, 96);
    EXPECT_FALSE(left().quality.jitter_known);
}

TEST_F(WorkerQualityTest, TonesBetweenAudioAreLeftOut) {
    for (int n = 0; n < 100; ++n) frame(n, 0, n % 10 == 5 ? 101 : 0);
    EXPECT_EQ(left().quality.max_jitter_us, 0u);
}

// The stream was there for long before it was claimed: only what its ring kept is the recording's.
TEST_F(WorkerQualityTest, LossesBeforeTheFramesThatWereKeptAreNotTheRecordings) {
    const auto other = at("10.0.0.3", 6000);
    for (int n = 0; n < 500; ++n)
        if (n % 50 != 25) send(kCaller, other, rtp(8, n));
    watch(2, other, CallParty::callee);
    drain(*opened());
    send(kCaller, other, rtp(8, 501));  // 500 is missing
    decide({.kind = Decision::Kind::end_session, .session = 2});
    const auto event = events(WorkerEvent::Kind::stream_left).at(0);
    EXPECT_LT(event.counters.stored, 50u);
    EXPECT_EQ(event.counters.lost_before, 1u);
    EXPECT_EQ(event.extent_units, (event.counters.stored + event.counters.lost_before) * 160);
}

TEST_F(WorkerQualityTest, LossIsToldToTheWriterWhileTheStreamRuns) {
    for (const int n : {0, 1, 2, 5, 6, 6, 6}) frame(n);
    StreamHandle* handle = opened();
    EXPECT_EQ(handle->lost_before.load(), 2u);
    EXPECT_EQ(handle->duplicates.load(), 2u);
    frame(4, 60 * kNsPerMs);
    EXPECT_EQ(handle->lost_before.load(), 1u);
    EXPECT_EQ(left().quality.loss_bursts, 1u);
}

TEST_F(WorkerQualityTest, WhatTheReceiverReportsGoesToItsStream) {
    for (int n = 0; n < 5; ++n) frame(n);
    send(kCalleeRtcp, kCallerRtcp, receiver_report(99, 7, 64, 12, 80));
    send(kCalleeRtcp, kCallerRtcp, receiver_report(99, 7, 32, 13, 40));
    EXPECT_EQ(reports(), 2u);
    const StreamQuality quality = left().quality;
    EXPECT_EQ(quality.far_reports, 2u);
    EXPECT_EQ(quality.far_lost, 13);
    EXPECT_EQ(quality.far_fraction, 32);
    EXPECT_EQ(quality.far_jitter_units, 40u);
    EXPECT_EQ(quality.round_trip_us, 0u);
}

TEST_F(WorkerQualityTest, ReportsOnTheMediaPortItselfAreTaken) {  // RFC 5761
    frame(0);
    send(kCallee, kCaller, receiver_report(99, 7, 64, 12, 80));
    EXPECT_EQ(left().quality.far_lost, 12);
}

// An echo: the same SSRC in both directions.
TEST_F(WorkerQualityTest, AReportIsAboutTheStreamThatItsReporterReceives) {
    watch(1, kCaller, CallParty::caller);
    for (int n = 0; n < 3; ++n) {
        send(kCaller, kCallee, rtp(7, n));
        send(kCallee, kCaller, rtp(7, n));
    }
    send(kCallerRtcp, kCalleeRtcp, receiver_report(99, 7, 0, 5, 0));
    decide({.kind = Decision::Kind::end_session, .session = 1});
    for (const WorkerEvent& event : events(WorkerEvent::Kind::stream_left))
        EXPECT_EQ(event.quality.far_reports, event.flow.destination == kCaller ? 1u : 0u);
}

TEST_F(WorkerQualityTest, BehindAddressTranslationAReportFindsTheOnlyStreamOfItsSsrc) {
    frame(0);
    send(at("192.0.2.9", 30001), kCallerRtcp, receiver_report(99, 7, 0, 5, 0));
    EXPECT_EQ(reports(), 1u);
    send(kCaller, at("10.0.0.4", 8000), rtp(7, 0));  // now there are two
    send(at("192.0.2.9", 30001), kCallerRtcp, receiver_report(99, 7, 0, 6, 0));
    EXPECT_EQ(reports(), 1u);
    EXPECT_EQ(drops(DropReason::rtcp), 1u);
    EXPECT_EQ(left().quality.far_lost, 5);
}

TEST_F(WorkerQualityTest, RtcpThatFitsNoStreamOrIsBrokenIsCountedSo) {
    frame(0);
    send(kCalleeRtcp, kCallerRtcp, receiver_report(99, 1234, 0, 5, 0));
    send(kCalleeRtcp, kCallerRtcp, rtcp_packet(203, 1, {99}));
    EXPECT_EQ(drops(DropReason::rtcp), 2u);
    Bytes broken = receiver_report(99, 7, 0, 5, 0);
    broken.resize(broken.size() + 14);  // as encrypted ones are
    send(kCalleeRtcp, kCallerRtcp, broken);
    EXPECT_EQ(drops(DropReason::bad_rtcp), 1u);
    EXPECT_EQ(reports(), 0u);
    EXPECT_EQ(left().quality.far_reports, 0u);
}

TEST_F(WorkerQualityTest, TheRoundTripIsThatFromOurTapToTheReceiverAndBack) {
    frame(0);
    const TimeNs sent_ns = now_ns_ += kNsPerSecond;
    send(kCallerRtcp, kCalleeRtcp, sender_report(7, 0x83aa7e8040000000), sent_ns);
    EXPECT_EQ(reports(), 1u);
    // The receiver answers half a second after it came, and the answer passes us 530 ms after the report did.
    send(kCalleeRtcp, kCallerRtcp, receiver_report(99, 7, 0, 0, 0, 0x7e804000, 0x8000), sent_ns + 530 * kNsPerMs);
    EXPECT_NEAR(left().quality.round_trip_us, 30'000, 20);
}

TEST_F(WorkerQualityTest, ARoundTripThatCannotBeIsNotTold) {
    frame(0);
    const TimeNs sent_ns = now_ns_ += kNsPerSecond;
    send(kCallerRtcp, kCalleeRtcp, sender_report(7, 0x83aa7e8040000000), sent_ns);
    send(kCalleeRtcp, kCallerRtcp, receiver_report(99, 7, 0, 0, 0, 0x7e804001, 0x8000), sent_ns + 530 * kNsPerMs);
    send(kCalleeRtcp, kCallerRtcp, receiver_report(99, 7, 0, 0, 0, 0x7e804000, 0x80000), sent_ns + 530 * kNsPerMs);
    EXPECT_EQ(left().quality.round_trip_us, 0u);
}

TEST_F(WorkerQualityTest, ASlotUsedAgainBeginsWithNothing) {
    for (int n = 0; n < 100; ++n) frame(n, (n % 2) * 4 * kNsPerMs);
    frame(105);
    send(kCalleeRtcp, kCallerRtcp, receiver_report(99, 7, 64, 12, 80));
    StreamHandle* handle = opened();
    left();
    drain(*handle);
    ASSERT_TRUE(links_.writer.returned.push(std::move(handle)));
    watch(2, kCallee, CallParty::callee);
    for (int n = 0; n < 3; ++n) send(kCaller, kCallee, rtp(9, n));
    EXPECT_EQ(opened()->lost_before.load(), 0u);
    decide({.kind = Decision::Kind::end_session, .session = 2});
    const auto all = events(WorkerEvent::Kind::stream_left);
    EXPECT_EQ(all.back().quality.far_reports, 0u);
    EXPECT_EQ(all.back().quality.max_jitter_us, 0u);
    EXPECT_EQ(all.back().counters.lost_before, 0u);
}

}  // namespace
}  // namespace spantape
