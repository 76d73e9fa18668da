// SPDX-License-Identifier: AGPL-3.0-or-later
// Floods of fake RTP: what calls need survives, what is kept stays bounded, and each packet costs the same.
#include <random>

#include <gtest/gtest.h>

#include "tests/capture/worker_fixture.h"

namespace spantape::test {
namespace {

constexpr std::uint32_t kSlots = 4096;

class WorkerFloodTest : public WorkerTest {
protected:
    WorkerFloodTest() : WorkerTest(kSlots) {}

    Endpoint random_endpoint() {
        const auto bits = random_();
        Endpoint endpoint = at("198.18.0.0", static_cast<std::uint16_t>(random_() | 1024));
        endpoint.ip.bytes[14] = static_cast<std::uint8_t>(bits);
        endpoint.ip.bytes[15] = static_cast<std::uint8_t>(bits >> 8);
        return endpoint;
    }
    // `packets` of flows that show one frame each, 10 us apart.
    void flood(int packets) {
        for (int n = 0; n < packets; ++n) {
            now_ns_ += 10'000;
            send_live(random_endpoint(), random_endpoint(), rtp(random_(), static_cast<int>(random_() & 0xffff)));
        }
    }
    void expect_balanced() { EXPECT_EQ(accounted(counters()), counters().packets.get()); }

    std::mt19937 random_{7};
};

TEST_F(WorkerFloodTest, HundredsOfThousandsOfFlowsCostNoCallAFrame) {
    watch(1, kCallee, CallParty::callee);
    std::uint64_t written = 0;
    StreamHandle* handle = nullptr;
    for (int n = 0; n < 200; ++n) {
        flood(2000);
        send_live(kCaller, kCallee, rtp(7, n));
        if (handle == nullptr) handle = opened();
        ASSERT_NE(handle, nullptr);
        written += drain(*handle).size();
    }
    EXPECT_EQ(written, 200u);
    EXPECT_EQ(counters().bound.get(), 1u);
    EXPECT_EQ(counters().look_back.get(), kSlots - 1);
    EXPECT_EQ(drops(DropReason::no_stream_slot), 0u);
    expect_balanced();
}

// A frame each 20 ms among 2000 fake flows in the same time: more than all slots every 41 ms.
TEST_F(WorkerFloodTest, EarlyMediaOfACallSurvivesUntilItsDecision) {
    for (int n = 0; n < 20; ++n) {
        send_live(kCaller, kCallee, rtp(7, n));
        flood(2000);
    }
    watch(1, kCallee, CallParty::callee);
    StreamHandle* handle = opened();
    ASSERT_NE(handle, nullptr);
    EXPECT_EQ(drain(*handle).size(), 20u);
    expect_balanced();
}

TEST_F(WorkerFloodTest, ANewStreamOfACallFindsASlotInTheMiddleOfIt) {
    flood(3 * kSlots);
    for (std::uint64_t call = 1; call <= 100; ++call) {
        const auto port = static_cast<std::uint16_t>(20'000 + 2 * call);
        watch(call, at("10.0.0.2", port), CallParty::callee);
        send_live(at("10.0.0.1", port), at("10.0.0.2", port), rtp(static_cast<std::uint32_t>(call), 1));
        flood(100);
    }
    EXPECT_EQ(counters().bound.get(), 100u);
}

// Fakes that prove themselves with a second frame push out each other, and not the stream that goes on.
TEST_F(WorkerFloodTest, FlowsOfTwoFramesDoNotPushOutAStreamThatGoesOn) {
    for (int n = 0; n < 20; ++n) {
        send_live(kCaller, kCallee, rtp(7, n));
        for (int fake = 0; fake < 1000; ++fake) {
            now_ns_ += 20'000;
            const Endpoint from = random_endpoint(), to = random_endpoint();
            send_live(from, to, rtp(9, 1));
            send_live(from, to, rtp(9, 2));
        }
    }
    watch(1, kCallee, CallParty::callee);
    StreamHandle* handle = opened();
    ASSERT_NE(handle, nullptr);
    EXPECT_EQ(drain(*handle).size(), 20u);
}

// Anybody can send to a port that a call named.
TEST_F(WorkerFloodTest, SendersToACallsPortDoNotTakeAllSlots) {
    watch(1, kCaller, CallParty::caller);
    watch(1, kCallee, CallParty::callee);
    watch(2, at("10.0.0.4", 6000), CallParty::callee);
    for (int n = 0; n < 10'000; ++n) send_live(random_endpoint(), kCallee, rtp(random_(), 1));
    EXPECT_LE(counters().bound.get(), 64u);
    send_live(kCaller, kCallee, rtp(7, 1));  // both ends were named
    send_live(at("10.0.0.3", 6000), at("10.0.0.4", 6000), rtp(8, 1));
    const auto bound = events(WorkerEvent::Kind::stream_bound);
    EXPECT_EQ(bound.at(bound.size() - 2).flow.ssrc, 7u);
    EXPECT_EQ(bound.back().session, 2u);
    expect_balanced();
}

// All under one SSRC or to one address: no list that a packet walks grows with the flood. It took minutes when one did.
TEST_F(WorkerFloodTest, OneSsrcOrOneDestinationForAllCostsNoMore) {
    const TimeNs began_ns = monotonic_ns();
    const Endpoint victim = at("10.7.7.7", 7000);
    for (int n = 0; n < 300'000; ++n) {
        now_ns_ += 1000;
        send_live(random_endpoint(), victim, rtp(0, 1));
    }
    const TimeNs each_ns = (monotonic_ns() - began_ns) / 300'000;
    RecordProperty("ns_per_packet", std::to_string(each_ns));
    EXPECT_LT(each_ns, 50'000);  // some hundreds on an idle machine
    expect_balanced();
}

}  // namespace
}  // namespace spantape::test
