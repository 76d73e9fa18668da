// SPDX-License-Identifier: AGPL-3.0-or-later
// The sums of the worker's counters, to the packet: packets = stored + held + SIP + every drop, and what is stored is
// what the writer finds on the rings.
#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/capture/worker_fixture.h"

namespace spantape::test {
namespace {

TEST(LatencyHistogram, ALatencyIsInTheBucketWhoseLimitItDoesNotExceed) {
    for (TimeNs ns = 1; ns < 20 * kNsPerSecond; ns += ns / 7 + 1) {
        LatencyHistogram histogram;
        histogram.add(ns);
        std::size_t bucket = 0;
        while (histogram.count(bucket) == 0) ++bucket;
        const auto limit_ns = [](std::size_t at) { return static_cast<TimeNs>(LatencyHistogram::limit_us(at)) * 1000; };
        if (bucket + 1 < LatencyHistogram::kBuckets) {
            EXPECT_LE(ns, limit_ns(bucket));
        }
        if (bucket > 0) {
            EXPECT_GT(ns, limit_ns(bucket - 1));
        }
        if (bucket > 4) {
            EXPECT_LE(LatencyHistogram::limit_us(bucket), LatencyHistogram::limit_us(bucket - 1) * 5 / 4);
        }
    }
}

class WorkerAccountingTest : public WorkerTest {
protected:
    WorkerAccountingTest() : WorkerTest(32) {}

    // What the writer would do: takes all frames there are, gives ended streams back.
    void write_out() {
        while (StreamHandle* handle = opened()) open_.push_back(handle);
        std::erase_if(open_, [this](StreamHandle* handle) {
            bool ended = false;
            for (const RingRecord& record : drain(*handle)) {
                written_ += record.kind == RingRecordKind::frame;
                lost_ += record.kind == RingRecordKind::frame ? 0 : record.lost_us;
                ended |= record.kind == RingRecordKind::end;
            }
            return ended && links_.writer.returned.push(std::move(handle));
        });
        while (!links_.signalling.front().empty()) links_.signalling.pop(), ++messages_;
    }
    void expect_balanced() {
        ASSERT_EQ(accounted(counters()), counters().packets.get());
        std::uint64_t by_source = 0, by_reason = 0;
        for (const DropCounters& source : counters().drops_by_source)
            for (const Counter& dropped : source) by_source += dropped.get();
        for (const Counter& dropped : counters().drops) by_reason += dropped.get();
        ASSERT_EQ(by_source, by_reason);
    }

    std::vector<StreamHandle*> open_;
    std::uint64_t written_ = 0, lost_ = 0, messages_ = 0;
};

// Calls that come and go, unknown flows beyond the slots there are, duplicates, rings that fill up because the writer
// is slow, packets too large, malformed, of other kinds, and SIP: at any moment the sum is right.
TEST_F(WorkerAccountingTest, EveryPacketOfRandomTrafficEndsInExactlyOneCounter) {
    std::mt19937 random(20261124);
    const auto pick = [&](std::uint32_t below) { return random() % below; };
    const std::string sip = "OPTIONS sip:a@b SIP/2.0\r\n\r\n";
    std::map<std::uint32_t, int> sequence;
    std::uint64_t session = 0;
    for (int turn = 0; turn < 60'000; ++turn) {
        now_ns_ += static_cast<TimeNs>(pick(2'000'000));
        const std::uint32_t flow = pick(90);
        const Endpoint from = at("10.0.0.1", static_cast<std::uint16_t>(4000 + flow));
        const Endpoint to = at("10.0.0.2", static_cast<std::uint16_t>(5000 + flow % 30));
        const auto source = static_cast<std::uint8_t>(flow % 3);
        switch (pick(20)) {
            case 0:
                send_live(from, to, rtp(flow, sequence[flow]), source);  // maybe a duplicate
                break;
            case 1:
                send_live(from, to, rtp(flow, ++sequence[flow], 1900 + pick(400)), source);  // maybe too large
                break;
            case 2:
                send_live(from, to, Bytes{static_cast<std::uint8_t>(pick(256)), 0, 1}, source);
                break;
            case 3:
                send_live(from, to, Bytes(sip.begin(), sip.end()), source);
                break;
            case 4:
                send_live(from, to, Bytes{0x80, 200, 0, 1, 0, 0, 0, 0}, source);
                break;
            case 5:
                if (pick(10) == 0) write_out();
                break;
            case 6:
                if (pick(20) == 0) watch(++session, to, CallParty::callee);
                break;
            case 7:
                if (pick(20) == 0) decide({.kind = Decision::Kind::end_session, .session = 1 + pick(session + 1)});
                break;
            default:
                sequence[flow] += pick(10) == 0 ? 2 : 1;
                send_live(from, to, rtp(flow, sequence[flow]), source);
        }
        if (turn % 97 != 0) continue;
        ASSERT_NO_FATAL_FAILURE(expect_balanced()) << turn;
    }
    // All calls end, the unclaimed streams fall silent.
    while (session > 0) decide({.kind = Decision::Kind::end_session, .session = session--});
    for (int turn = 0; turn < 100; ++turn) {
        now_ns_ += kNsPerSecond;
        send(kCaller, kCallee, Bytes{});
        write_out();
        worker_.step();
    }
    expect_balanced();
    EXPECT_EQ(counters().held.get(), 0u);
    EXPECT_EQ(counters().stored.get(), written_);
    EXPECT_EQ(counters().sip_messages.get(), messages_);
    EXPECT_EQ(counters().look_back.get() + counters().bound.get() + counters().closing.get(), 0u);
    for (const DropReason reason : {DropReason::duplicate, DropReason::unwatched, DropReason::ring_full,
                                    DropReason::oversized, DropReason::not_rtp, DropReason::bad_rtcp})
        EXPECT_GT(drops(reason), 0u) << name_of(reason);
    EXPECT_LE(lost_, drops(DropReason::ring_full) + drops(DropReason::oversized));
    EXPECT_GT(lost_, 0u);
}

TEST_F(WorkerAccountingTest, FramesFromBeforeTheDecisionAreStoredOnceTheyAreClaimed) {
    for (int n = 0; n < 5; ++n) send(kCaller, kCallee, rtp(7, n));
    EXPECT_EQ(counters().held.get(), 5u);
    EXPECT_EQ(counters().stored.get(), 0u);
    EXPECT_EQ(counters().look_back.get(), 1u);
    watch(1, kCallee, CallParty::callee);
    EXPECT_EQ(counters().held.get(), 0u);
    EXPECT_EQ(counters().stored.get(), 5u);
    EXPECT_EQ(counters().bound.get(), 1u);
    EXPECT_EQ(counters().look_back.get(), 0u);
}

// A mark for frames too large must not be taken for a frame when the ring of an unclaimed stream wraps.
TEST_F(WorkerAccountingTest, FramesTooLargeForAnUnclaimedStreamAreToldWhenItIsClaimed) {
    for (int n = 0; n < 200; ++n) send(kCaller, kCallee, rtp(7, n, n % 3 == 1 ? 3000 : 160));
    expect_balanced();
    watch(1, kCallee, CallParty::callee);
    write_out();
    send(kCaller, kCallee, rtp(7, 200));
    write_out();
    expect_balanced();
    EXPECT_EQ(counters().stored.get(), written_);
    EXPECT_EQ(lost_, drops(DropReason::oversized));
}

TEST_F(WorkerAccountingTest, DuplicatesAreCountedUnderTheSourceThatDeliveredThem) {
    watch(1, kCallee, CallParty::callee);
    for (int n = 0; n < 10; ++n) {
        send_live(kCaller, kCallee, rtp(7, n), 0);
        send_live(kCaller, kCallee, rtp(7, n), n < 7 ? 1 : 200);
    }
    const auto by_source = [&](std::size_t source) {
        return counters().drops_by_source[source][static_cast<std::size_t>(DropReason::duplicate)].get();
    };
    EXPECT_EQ(by_source(0), 0u);
    EXPECT_EQ(by_source(1), 7u);
    EXPECT_EQ(by_source(200), 3u);
    EXPECT_EQ(drops(DropReason::duplicate), 10u);
}

TEST_F(WorkerAccountingTest, SipThatFindsNoRoomIsDroppedAndNotForwarded) {
    Bytes message(3000, 'x');
    const std::string begin = "OPTIONS sip:a@b SIP/2.0\r\n";
    std::copy(begin.begin(), begin.end(), message.begin());
    for (int n = 0; n < 2000; ++n) send_live(kCaller, kCallee, message, 0);
    expect_balanced();
    EXPECT_GT(drops(DropReason::signalling_full), 0u);
    EXPECT_EQ(counters().sip_messages.get() + drops(DropReason::signalling_full), 2000u);
}

}  // namespace
}  // namespace spantape::test
