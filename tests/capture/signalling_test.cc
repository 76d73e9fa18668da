// SPDX-License-Identifier: AGPL-3.0-or-later
// The signalling thread from outside: records on a worker's ring in, events out.
#include "capture/signalling.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/capture/sip/sip_texts.h"

namespace spantape {
namespace {

using sip_test::MessageText;

class SignallingTest : public testing::Test {
protected:
    void put(SignallingRecord record, std::string_view payload = {}) {
        record.time_ns = now_ns_ += kNsPerMs;
        std::byte* room = links_.signalling.reserve(sizeof record + payload.size());
        ASSERT_NE(room, nullptr);
        std::memcpy(room, &record, sizeof record);
        payload.copy(reinterpret_cast<char*>(room + sizeof record), payload.size());
        links_.signalling.commit();
        signalling_.step();
    }
    void segment(std::string_view text, std::uint32_t sequence, std::uint64_t token = 0) {
        put({.kind = SignallingRecord::Kind::segment,
             .tcp_sequence = sequence,
             .source = sip_test::at("192.0.2.1", 40000),
             .destination = sip_test::at("192.0.2.2"),
             .token = token},
            text);
    }
    // The kinds of the events in order, as of DialogsFixture::story(); T: a token.
    std::string story() {
        std::string kinds;
        while (const auto event = events_.pop()) kinds += event->token != 0 ? 'T' : "SMAER"[event->event.what.index()];
        return kinds;
    }
    static std::string invite(const std::string& call_id) {
        return MessageText{.start_line = "INVITE sip:bob@example.com SIP/2.0",
                           .call_id = call_id,
                           .body = sip_test::sdp("192.0.2.1", 4000)}
            .text();
    }

    Wakeup control_, own_;
    WorkerLinks links_{64, control_, own_};
    SpscQueue<SignallingEvent> events_{64};
    SpscQueue<std::uint64_t> forget_{64};
    Signalling signalling_{{}, {&links_}, events_, forget_, own_, control_};
    TimeNs now_ns_ = 1'700'000'000 * kNsPerSecond;
};

TEST_F(SignallingTest, AMessageInSegmentsIsOneMessage) {
    const std::string text = invite("a");
    segment(text.substr(0, 100), 1, 7);
    EXPECT_EQ(story(), "T");
    segment(text.substr(100), 101, 8);
    EXPECT_EQ(story(), "SMT");
    EXPECT_EQ(signalling_.counters().messages.get(), 1u);
    EXPECT_EQ(signalling_.counters().tcp_connections.get(), 1u);
}

TEST_F(SignallingTest, ASegmentThatNeverCameIsWaitedForUntilTheWorkersEnd) {
    segment(invite("a"), 1);
    segment(invite("b"), 1001);
    EXPECT_EQ(story(), "SM");
    put({.kind = SignallingRecord::Kind::end, .token = 9});
    EXPECT_EQ(story(), "SMT");
    EXPECT_EQ(signalling_.counters().tcp_gaps.get(), 1u);
}

TEST_F(SignallingTest, ADatagramMovesTheClockOfWhatWaits) {
    segment(invite("a"), 1);
    segment(invite("b"), 1001);
    now_ns_ += 3 * kNsPerSecond;
    put({.source = sip_test::at("192.0.2.8"), .destination = sip_test::at("192.0.2.9")}, invite("c"));
    EXPECT_EQ(story(), "SMSMSM");
}

// When control is slow, messages wait on the ring, which is bounded, and none of what they tell is lost.
TEST_F(SignallingTest, WhatControlCannotTakeYetWaitsOnTheRing) {
    const auto datagram = [](int number) {
        return SignallingRecord{.source = sip_test::at("192.0.2.8", static_cast<std::uint16_t>(number)),
                                .destination = sip_test::at("192.0.2.9")};
    };
    for (int n = 1; n <= 1000; ++n) put(datagram(n), invite("call-" + std::to_string(n)));
    EXPECT_LT(signalling_.counters().messages.get(), 100u);
    EXPECT_GT(links_.signalling.used_bytes(), 900u * 300);
    std::uint64_t started = 0;
    for (int turn = 0; turn < 1000; ++turn) {
        while (const auto event = events_.pop())
            if (const auto* call = std::get_if<SipCallStarted>(&event->event.what)) {
                EXPECT_EQ(call->call, ++started);
            }
        signalling_.step();
    }
    EXPECT_EQ(started, 1000u);
    EXPECT_EQ(links_.signalling.used_bytes(), 0u);
    EXPECT_EQ(signalling_.counters().calls.get(), 1000u);
}

}  // namespace
}  // namespace spantape
