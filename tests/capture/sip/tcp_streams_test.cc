// SPDX-License-Identifier: AGPL-3.0-or-later
// Connections as a mirror shows them: segments in, messages out.
#include "capture/sip/tcp_streams.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/capture/sip/sip_texts.h"

namespace spantape {
namespace {

using sip_test::bytes_of;
using sip_test::MessageText;
using Messages = std::vector<std::string>;

constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;

std::string message(const std::string& call_id, std::size_t body_bytes = 300) {
    return MessageText{
        .start_line = "INVITE sip:bob@example.com SIP/2.0", .call_id = call_id, .body = std::string(body_bytes, 'x')}
        .text();
}

struct Segment {
    std::uint32_t sequence;
    std::string text;
};

// `text` in segments of `bytes`, the first byte at `sequence`.
std::vector<Segment> cut(const std::string& text, std::uint32_t sequence, std::size_t bytes = 100) {
    std::vector<Segment> segments;
    for (std::size_t at = 0; at < text.size(); at += bytes)
        segments.push_back({sequence + static_cast<std::uint32_t>(at), text.substr(at, bytes)});
    return segments;
}

class TcpStreams : public testing::Test {
protected:
    void send(std::uint32_t sequence, std::string_view text, std::uint8_t flags = kAck) {
        now_ns_ += kNsPerMs;
        streams_.on_segment({now_ns_, source_, destination_, flags, sequence, bytes_of(text)});
    }
    void send(const std::vector<Segment>& segments) {
        for (const Segment& segment : segments) send(segment.sequence, segment.text);
    }
    void wait_s(int seconds) { streams_.expire(now_ns_ += seconds * kNsPerSecond); }
    void limit(SipTcpLimits limits) { streams_ = SipTcpStreams(limits, take_); }

    Endpoint source_ = sip_test::at("192.0.2.1", 40000);
    Endpoint destination_ = sip_test::at("192.0.2.2", 5060);
    TimeNs now_ns_ = 1'700'000'000 * kNsPerSecond;
    Messages given_;
    TimeNs given_ns_ = 0;
    SipTcpStreams::Take take_ = [this](TimeNs time_ns, const Endpoint& source, const Endpoint& destination,
                                       std::span<const std::uint8_t> bytes) {
        EXPECT_EQ(source, source_);
        EXPECT_EQ(destination, destination_);
        given_.emplace_back(bytes.begin(), bytes.end());
        given_ns_ = time_ns;
    };
    SipTcpStreams streams_{{}, take_};
};

TEST_F(TcpStreams, AConnectionFromItsSynOnIsFollowed) {
    send(1000, "", kSyn);
    send(cut(message("a") + message("b"), 1001));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
    EXPECT_EQ(given_ns_, now_ns_);
    EXPECT_EQ(streams_.counters().connections, 1u);
    EXPECT_EQ(streams_.held_bytes(), 0u);
}

TEST_F(TcpStreams, AConnectionIsFollowedFromItsMiddleOn) {
    send(77'000, message("a"));
    EXPECT_EQ(given_, Messages{message("a")});
}

TEST_F(TcpStreams, AConnectionIsFollowedFromTheMiddleOfAMessageOn) {
    const std::string text = message("cut") + message("a");
    auto segments = cut(text, 5000, message("cut").size());
    segments[0] = {5100, segments[0].text.substr(100)};
    send(segments);
    EXPECT_EQ(given_, Messages{message("a")});
    EXPECT_EQ(streams_.counters().gaps, 0u);
}

TEST_F(TcpStreams, JoinedInTheMiddleOfALongMessageItIsFollowedAfterTheWait) {
    const std::string text = message("cut", 5000) + message("a") + message("b");
    auto segments = cut(text, 5000, 700);
    segments.erase(segments.begin());
    send(segments);
    EXPECT_TRUE(given_.empty());
    wait_s(2);
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
    send(5000 + static_cast<std::uint32_t>(text.size()), message("c"));
    EXPECT_EQ(given_.back(), message("c"));
}

TEST_F(TcpStreams, BothDirectionsAreOneConnection) {
    send(1000, "", kSyn);
    std::swap(source_, destination_);
    send(2000, "", kSyn | kAck);
    send(2001, message("answer"));
    EXPECT_EQ(given_, Messages{message("answer")});
    EXPECT_EQ(streams_.counters().connections, 1u);
    EXPECT_EQ(streams_.streams(), 2u);
}

TEST_F(TcpStreams, EverySegmentTwiceIsTheSame) {
    send(1000, "", kSyn);
    send(1000, "", kSyn);
    for (const Segment& segment : cut(message("a") + message("b"), 1001)) {
        send({segment});
        send({segment});
    }
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
}

TEST_F(TcpStreams, ShuffledSegmentsArePutInOrder) {
    Messages sent;
    std::string text;
    for (int i = 0; i < 40; ++i) text += sent.emplace_back(message("call-" + std::to_string(i)));
    std::mt19937 random(7);
    for (std::uint32_t round = 0; round < 20; ++round) {
        given_.clear();
        source_.port = static_cast<std::uint16_t>(40000 + round);
        const std::uint32_t start = 0xffffe000u + 200 * round;  // and the sequence numbers wrap
        auto segments = cut(text, start + 1, 61 + round);
        for (std::size_t at = 0; at < segments.size(); at += 8)
            std::shuffle(segments.begin() + static_cast<long>(at),
                         segments.begin() + static_cast<long>(std::min(at + 8, segments.size())), random);
        send(start, "", kSyn);
        send(segments);
        ASSERT_EQ(given_, sent) << round;
    }
    EXPECT_EQ(streams_.counters().gaps, 0u);
    EXPECT_EQ(streams_.held_bytes(), 0u);
}

TEST_F(TcpStreams, RetransmissionsWithOtherBordersFillHoles) {
    const std::string text = message("a") + message("b");
    send(1000, "", kSyn);
    send(1001, text.substr(0, 200));
    send(1301, text.substr(300, 100));
    send(1501, text.substr(500));
    send(1101, text.substr(100, 350));  // over what came, the hole, and what waits
    send(1391, text.substr(390, 300));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
    EXPECT_EQ(streams_.counters().gaps, 0u);
    EXPECT_EQ(streams_.held_bytes(), 0u);
}

TEST_F(TcpStreams, ALostSegmentCostsItsMessageOnly) {
    const std::string text = message("a") + message("b") + message("c") + message("d");
    auto segments = cut(text, 1001);
    send(1000, "", kSyn);
    segments.erase(segments.begin() + static_cast<long>((message("a").size() + 150) / 100));  // in b's headers
    send(segments);
    EXPECT_EQ(given_, Messages{message("a")});
    wait_s(2);
    EXPECT_EQ(given_, (Messages{message("a"), message("c"), message("d")}));
    EXPECT_EQ(streams_.counters().gaps, 1u);
    send(1001 + static_cast<std::uint32_t>(text.size()), message("e"));
    EXPECT_EQ(given_.back(), message("e"));
}

TEST_F(TcpStreams, ALateRetransmissionWithinTheWaitIsUsed) {
    const auto segments = cut(message("a") + message("b"), 1001, 400);
    send(1000, "", kSyn);
    send({segments[0]});
    send({segments.begin() + 2, segments.end()});
    now_ns_ += 700 * kNsPerMs;
    send({segments[1]});
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
}

TEST_F(TcpStreams, TheEndOfTheCaptureWaitsForNothing) {
    send(1000, "", kSyn);
    send(1101, message("a"));
    EXPECT_TRUE(given_.empty());
    streams_.flush(now_ns_);
    EXPECT_EQ(given_, Messages{message("a")});
    EXPECT_EQ(given_ns_, now_ns_);
}

TEST_F(TcpStreams, TheEndOfAConnectionWaitsForNothing) {
    for (const std::uint8_t flag : {kFin, kRst}) {
        given_.clear();
        source_.port++;
        send(1000, "", kSyn);
        send(1101, message("a"));
        send(1101 + static_cast<std::uint32_t>(message("a").size()), "", flag);
        if (flag == kFin) {  // it waits for its place
            EXPECT_TRUE(given_.empty());
            send(1001, std::string(100, '\n'));
        }
        EXPECT_EQ(given_, Messages{message("a")});
        EXPECT_EQ(streams_.held_bytes(), 0u);
    }
}

TEST_F(TcpStreams, ARetransmissionAfterTheEndIsNoNewConnection) {
    send(1000, "", kSyn);
    send(1001, message("a"), kFin | kAck);
    send(1001, message("a"), kFin | kAck);
    send(1101, message("a").substr(100));
    EXPECT_EQ(given_, Messages{message("a")});
    EXPECT_EQ(streams_.counters().resyncs, 0u);
}

TEST_F(TcpStreams, AResetFromElsewhereEndsNothing) {
    send(1000, "", kSyn);
    send(1001, message("a").substr(0, 100));
    send(0x80000000u, "", kRst);
    send(1101, message("a").substr(100));
    EXPECT_EQ(given_, Messages{message("a")});
}

TEST_F(TcpStreams, ThePortsAreUsedAgain) {
    for (const std::uint32_t start : {1000u, 3'000'000'000u, 400u, 0xfffffff0u}) {
        send(start, "", kSyn);
        send(start + 1, message("call-" + std::to_string(start)));
        send(start + 1 + static_cast<std::uint32_t>(given_.back().size()), "INVITE sip:cut@off SIP/2.0\r\nVia: ");
    }
    ASSERT_EQ(given_.size(), 4u);
    EXPECT_EQ(given_[3], message("call-4294967280"));
}

TEST_F(TcpStreams, ThePortsAreUsedAgainWithoutASynSeen) {
    send(3'000'000'000u, message("a"));
    send(2'000'000'000u, message("b"));  // what is so old is no retransmission
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
    send(2'000'000'000u + static_cast<std::uint32_t>(message("b").size()), "", kFin);
    send(3'000'000'000u, message("c"));
    EXPECT_EQ(given_.back(), message("c"));
}

TEST_F(TcpStreams, ASynThatComesLateIsItsOwn) {
    send(1001, message("a"));
    send(1000, "", kSyn);
    send(1001 + static_cast<std::uint32_t>(message("a").size()), message("b"));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));

    source_.port++;
    given_.clear();
    send(1101, message("a").substr(100));
    send(1000, "", kSyn);
    send(1001, message("a").substr(0, 100));
    EXPECT_EQ(given_, Messages{message("a")});
}

TEST_F(TcpStreams, KeepAlivesOfTcpAndSipAreNoMessages) {
    send(1000, "", kSyn);
    send(1001, message("a"));
    const std::uint32_t next = 1001 + static_cast<std::uint32_t>(message("a").size());
    send(next - 1, std::string(1, '\0'));  // RFC 9293 §3.8.4: one byte of garbage, before what is expected
    send(next, "\r\n\r\n");
    send(next + 4, message("b"));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
    EXPECT_EQ(streams_.counters().resyncs, 0u);
}

TEST_F(TcpStreams, AnInjectedSegmentFarAheadDoesNotStopTheStream) {
    send(1000, "", kSyn);
    send(900'000'000u, message("forged"));
    std::uint32_t next = 1001;
    for (int i = 0; i < 50; ++i) {
        send(next, message("a"));
        next += static_cast<std::uint32_t>(message("a").size());
        now_ns_ += 100 * kNsPerMs;
    }
    EXPECT_EQ(given_, Messages(50, message("a")));
}

TEST_F(TcpStreams, IdleConnectionsAreForgottenAndJoinAgain) {
    send(1000, "", kSyn);
    send(1001, message("a"));
    wait_s(601);
    EXPECT_EQ(streams_.streams(), 0u);
    send(1001 + static_cast<std::uint32_t>(message("a").size()), message("b"));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
    EXPECT_EQ(streams_.counters().evicted, 0u);
}

TEST_F(TcpStreams, BareEndsOfUnknownConnectionsTakeNoPlace) {
    send(1000, "", kFin | kAck);
    send(1000, "", kRst);
    EXPECT_EQ(streams_.streams(), 0u);
}

TEST_F(TcpStreams, AFloodOfConnectionsPushesOutTheOldestAndRealCallsGoOn) {
    limit({.max_streams = 100});
    send(1000, "", kSyn);
    send(1001, message("a"));
    const Endpoint trunk = source_;
    for (std::uint16_t port = 1; port <= 1000; ++port) {
        source_.port = port;
        send(5, "", kSyn);
    }
    EXPECT_EQ(streams_.streams(), 100u);
    EXPECT_EQ(streams_.counters().evicted, 901u);
    source_ = trunk;
    send(1001 + static_cast<std::uint32_t>(message("a").size()), message("b"));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
}

TEST_F(TcpStreams, AFloodOfHolesIsBoundedInAllAndByStream) {
    limit({.max_streams = 1000, .max_stream_bytes = 20'000, .max_bytes = 50'000});
    const std::string junk(100, 'x');
    for (std::uint16_t port = 1; port <= 100; ++port) {
        source_.port = port;
        send(0, "", kSyn);
        for (std::uint32_t i = 0; i < 300; ++i) {
            send(1000 + 200 * i, junk);
            ASSERT_LE(streams_.held_bytes(), 50'000u);
        }
    }
    EXPECT_GT(streams_.counters().evicted, 0u);
    EXPECT_GT(streams_.counters().gaps, 0u);
    wait_s(700);
    EXPECT_EQ(streams_.streams(), 0u);
    EXPECT_EQ(streams_.held_bytes(), 0u);
}

TEST_F(TcpStreams, AFloodOfHalfMessagesPushesOutNoneThatHoldsNothing) {
    limit({.max_bytes = 100'000});
    send(1000, "", kSyn);
    send(1001, message("a"));
    const Endpoint trunk = source_;
    for (std::uint16_t port = 1; port <= 500; ++port) {
        source_.port = port;
        send(5, message("never", 5000).substr(0, 2000));
        ASSERT_LE(streams_.held_bytes(), 100'000u);
    }
    source_ = trunk;
    send(1001 + static_cast<std::uint32_t>(message("a").size()), message("b").substr(0, 50));
    send(1051 + static_cast<std::uint32_t>(message("a").size()), message("b").substr(50));
    EXPECT_EQ(given_, (Messages{message("a"), message("b")}));
}

}  // namespace
}  // namespace spantape
