// SPDX-License-Identifier: AGPL-3.0-or-later
// The worker from outside: packets and decisions in; rings, events and counters out.
#include "tests/capture/worker_fixture.h"

#include "tests/capture/packet/tunnel_builder.h"

namespace spantape {
namespace {

using namespace test;

TEST_F(WorkerTest, FramesOfAWatchedEndpointGoToTheWriterInOrder) {
    watch(1, kCallee, CallParty::callee);
    for (int n = 0; n < 10; ++n) send(kCaller, kCallee, rtp(7, n));
    StreamHandle* handle = opened();
    ASSERT_NE(handle, nullptr);
    EXPECT_EQ(handle->session_id, 1u);
    EXPECT_EQ(handle->flow.ssrc, 7u);
    const auto records = drain(*handle);
    ASSERT_EQ(records.size(), 10u);
    for (std::size_t n = 0; n < 10; ++n) EXPECT_EQ(records[n].sequence, n);
    const auto bound = events(WorkerEvent::Kind::stream_bound);
    ASSERT_EQ(bound.size(), 1u);
    EXPECT_EQ(bound[0].sender, CallParty::caller);
}

TEST_F(WorkerTest, MediaThatCameBeforeTheDecisionIsKept) {
    for (int n = 0; n < 5; ++n) send(kCaller, kCallee, rtp(7, n));
    EXPECT_EQ(opened(), nullptr);
    watch(1, kCallee, CallParty::callee);
    StreamHandle* handle = opened();
    ASSERT_NE(handle, nullptr);
    EXPECT_EQ(drain(*handle).size(), 5u);
    EXPECT_EQ(events(WorkerEvent::Kind::stream_bound).at(0).time_ns, began_ns_ + 20 * kNsPerMs);
}

TEST_F(WorkerTest, OfAnUnclaimedStreamThatGoesOnControlIsTold) {
    const auto talk = [&](int from, int to, const Endpoint& there, std::uint32_t ssrc) {
        for (int n = from; n < to; ++n) send(kCaller, there, rtp(ssrc, n));
    };
    talk(0, 140, kCallee, 7);
    EXPECT_TRUE(events(WorkerEvent::Kind::stream_unclaimed).empty());
    talk(140, 300, kCallee, 7);
    auto told = events(WorkerEvent::Kind::stream_unclaimed);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].flow, (FlowKey{kCaller, kCallee, 7}));
    EXPECT_EQ(told[0].time_ns, began_ns_ + 20 * kNsPerMs);
    talk(300, 1000, kCallee, 7);
    EXPECT_EQ(events(WorkerEvent::Kind::stream_unclaimed).size(), 2u);  // ten seconds later
    // Once a session has it, nothing more.
    watch(1, kCallee, CallParty::callee);
    talk(1000, 2000, kCallee, 7);
    EXPECT_EQ(events(WorkerEvent::Kind::stream_unclaimed).size(), 2u);
}

TEST_F(WorkerTest, OfVideoAndOfWhatDoesNotRunInSequenceControlIsNotTold) {
    for (int n = 0; n < 600; ++n) {
        send(kCaller, kCallee, rtp(7, n * 12));  // 96 kHz, as far as time stamps tell; most of it is lost
        send(kCallee, kCaller, rtp(9, n % 2 == 0 ? n * 7000 : n * 11));
    }
    EXPECT_TRUE(events(WorkerEvent::Kind::stream_unclaimed).empty());
}

// RECORDSTART: what was said before it is nobody's.
TEST_F(WorkerTest, OfMediaBeforeTheDecisionWhatCameBeforeItsTimeIsForgotten) {
    const auto watch_from = [&](int ms) {
        decide({.kind = Decision::Kind::watch,
                .party = CallParty::callee,
                .session = 1,
                .endpoint = kCallee,
                .from_ns = began_ns_ + ms * kNsPerMs});
    };
    for (int n = 0; n < 5; ++n) send(kCaller, kCallee, rtp(7, n));
    watch_from(70);
    auto records = drain(*opened());
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].arrival_ns, began_ns_ + 80 * kNsPerMs);
    EXPECT_EQ(events(WorkerEvent::Kind::stream_bound).at(0).time_ns, records[0].arrival_ns);
    EXPECT_EQ(drops(DropReason::unwatched), 3u);

    for (int n = 0; n < 5; ++n) send(at("10.1.1.1", 5), kCallee, rtp(9, n));  // another stream, after six more frames
    EXPECT_EQ(drops(DropReason::unwatched), 3u);
    EXPECT_EQ(drain(*opened()).size(), 5u);
}

TEST_F(WorkerTest, WhenAllOfItCameBeforeItsTimeTheStreamBeginsAnew) {
    for (int n = 0; n < 5; ++n) send(kCaller, kCallee, rtp(7, n));
    decide({.kind = Decision::Kind::watch,
            .party = CallParty::callee,
            .session = 1,
            .endpoint = kCallee,
            .from_ns = now_ns_ + kNsPerMs});
    for (int n = 7; n < 9; ++n) send(kCaller, kCallee, rtp(7, n));
    const auto records = drain(*opened());
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].sequence, 7u);
    EXPECT_EQ(drops(DropReason::unwatched), 5u);
    decide({.kind = Decision::Kind::end_session, .session = 1});
    const auto left = events(WorkerEvent::Kind::stream_left);
    ASSERT_EQ(left.size(), 1u);
    EXPECT_EQ(left[0].counters.stored, 2u);
    EXPECT_EQ(left[0].counters.lost_before, 0u);
}

TEST_F(WorkerTest, AnUnclaimedStreamKeepsItsNewestFrames) {
    for (int n = 0; n < 500; ++n) send(kCaller, kCallee, rtp(7, n));
    watch(1, kCallee, CallParty::callee);
    const auto records = drain(*opened());
    ASSERT_GT(records.size(), 10u);
    EXPECT_EQ(records.back().sequence, 499u);
    EXPECT_EQ(drops(DropReason::unwatched), 500 - records.size());
    EXPECT_EQ(events(WorkerEvent::Kind::stream_bound).at(0).time_ns, records.front().arrival_ns);
}

TEST_F(WorkerTest, RestsOfAnEarlierCallOnTheSamePortsAreNotTheNewCalls) {
    send(kCaller, kCallee, rtp(7, 1));
    now_ns_ += 3 * kNsPerSecond;
    send(kCaller, at("10.9.9.9", 9), rtp(8, 1));  // time passes
    watch(1, kCallee, CallParty::callee);
    EXPECT_EQ(opened(), nullptr);
    send(kCaller, kCallee, rtp(7, 200));
    EXPECT_EQ(drain(*opened()).size(), 1u);
}

// The next call may even use the same SSRC, and its media may come before its SDP.
TEST_F(WorkerTest, MediaOfAnEarlierCallOnTheSameFlowIsForgottenWhenTheNextOneSpeaks) {
    for (int n = 0; n < 5; ++n) send(kCaller, kCallee, rtp(7, n));
    now_ns_ += 3 * kNsPerSecond;
    for (int n = 900; n < 903; ++n) send(kCaller, kCallee, rtp(7, n));
    watch(1, kCallee, CallParty::callee);
    EXPECT_EQ(drain(*opened()).size(), 3u);
    EXPECT_EQ(events(WorkerEvent::Kind::stream_bound).at(0).time_ns, now_ns_ - 40 * kNsPerMs);
    EXPECT_EQ(drops(DropReason::unwatched), 5u);
}

TEST_F(WorkerTest, ADuplicateIsStoredOnce) {
    watch(1, kCallee, CallParty::callee);
    for (int n = 0; n < 5; ++n) {
        send(kCaller, kCallee, rtp(7, n));
        send(kCaller, kCallee, rtp(7, n));
    }
    EXPECT_EQ(drain(*opened()).size(), 5u);
    EXPECT_EQ(drops(DropReason::duplicate), 5u);
}

TEST_F(WorkerTest, TheSameSsrcInBothDirectionsIsTwoStreams) {
    watch(1, kCaller, CallParty::caller);
    watch(1, kCallee, CallParty::callee);
    for (int n = 0; n < 3; ++n) {
        send(kCaller, kCallee, rtp(7, n));
        send(kCallee, kCaller, rtp(7, n));
    }
    EXPECT_EQ(drain(*opened()).size(), 3u);
    EXPECT_EQ(drain(*opened()).size(), 3u);
    const auto bound = events(WorkerEvent::Kind::stream_bound);
    ASSERT_EQ(bound.size(), 2u);
    EXPECT_NE(bound[0].sender, bound[1].sender);
    EXPECT_FALSE(bound[1].relay_copy);
}

TEST_F(WorkerTest, TheOtherLegOfARelayIsFoundAndMarked) {
    const Endpoint outside = at("192.0.2.7", 7000);
    const Endpoint relay_in = at("10.0.0.1", 6000);  // the relay's other port
    watch(1, kCallee, CallParty::callee);
    for (int n = 0; n < 4; ++n) {
        send(outside, relay_in, rtp(7, n));
        send(kCaller, kCallee, rtp(7, n));
    }
    const auto bound = events(WorkerEvent::Kind::stream_bound);
    ASSERT_EQ(bound.size(), 2u);
    EXPECT_FALSE(bound[0].relay_copy);
    EXPECT_TRUE(bound[1].relay_copy);
    EXPECT_EQ(bound[0].sender, bound[1].sender);
    // Another stream that has nothing but the SSRC in common is none.
    send(at("172.16.0.1", 1), at("172.16.0.2", 2), rtp(7, 4));
    EXPECT_EQ(events(WorkerEvent::Kind::stream_bound).size(), 2u);
}

TEST_F(WorkerTest, OppositeDirectionsBetweenTwoHostsAreOppositeParties) {
    // The SDP names the callee's address only, and both flows touch it.
    watch(1, at("10.0.0.2", 5000), CallParty::callee);
    watch(1, at("10.0.0.2", 5002), CallParty::caller);
    send(at("10.0.0.2", 5002), at("10.0.0.7", 4376), rtp(1, 1));
    send(at("10.0.0.7", 4376), at("10.0.0.2", 5000), rtp(2, 1));
    const auto bound = events(WorkerEvent::Kind::stream_bound);
    ASSERT_EQ(bound.size(), 2u);
    EXPECT_NE(bound[0].sender, bound[1].sender);
}

TEST_F(WorkerTest, EndingASessionPutsTheEndAfterItsFramesAndTellsWhatWasSeen) {
    watch(1, kCallee, CallParty::callee);
    for (const int n : {0, 1, 3}) send(kCaller, kCallee, rtp(7, n));
    StreamHandle* handle = opened();
    decide({.kind = Decision::Kind::end_session, .session = 1});
    const auto records = drain(*handle);
    ASSERT_EQ(records.size(), 4u);
    EXPECT_EQ(records.back().kind, RingRecordKind::end);
    const auto left = events(WorkerEvent::Kind::stream_left);
    ASSERT_EQ(left.size(), 1u);
    EXPECT_EQ(left[0].counters.stored, 3u);
    EXPECT_EQ(left[0].counters.lost_before, 1u);
    EXPECT_EQ(left[0].extent_units, 4u * 160);
    EXPECT_EQ(events(WorkerEvent::Kind::session_ended).size(), 1u);
    // The flow goes on: it is nobody's now.
    send(kCaller, kCallee, rtp(7, 4));
    EXPECT_EQ(opened(), nullptr);
}

TEST_F(WorkerTest, AnUnknownSessionsEndIsAnsweredToo) {
    decide({.kind = Decision::Kind::end_session, .session = 99});
    EXPECT_EQ(events(WorkerEvent::Kind::session_ended).size(), 1u);
}

TEST_F(WorkerTest, TheEndWaitsForRoomInAFullRing) {
    watch(1, kCallee, CallParty::callee);
    for (int n = 0; n < 100; ++n) {  // live: drops when full
        const Bytes bytes = udp(kCaller, kCallee, rtp(7, n));
        const Packet packet{bytes.data(),
                            static_cast<std::uint32_t>(bytes.size()),
                            static_cast<std::uint32_t>(bytes.size()),
                            now_ns_ += 20 * kNsPerMs,
                            LinkType::raw_ip,
                            0};
        worker_.process(std::span(&packet, 1), false);
    }
    StreamHandle* handle = opened();
    const std::uint64_t lost = drops(DropReason::ring_full);
    EXPECT_GT(lost, 0u);
    std::byte* filler = nullptr;  // no room for even the end record
    while ((filler = handle->ring.reserve(0)) != nullptr) handle->ring.commit();
    decide({.kind = Decision::Kind::end_session, .session = 1});
    EXPECT_TRUE(events(WorkerEvent::Kind::session_ended).empty());
    std::vector<RingRecord> records;
    while (!handle->ring.front().empty() || handle->ring.used_bytes() > 0) handle->ring.pop();
    worker_.step();
    EXPECT_EQ(events(WorkerEvent::Kind::session_ended).size(), 1u);
    records = drain(*handle);
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].kind, RingRecordKind::end);
    EXPECT_EQ(records[0].lost_us, lost);
    EXPECT_EQ(events(WorkerEvent::Kind::stream_left)[0].counters.dropped_us, lost);
}

TEST_F(WorkerTest, WhatWasDroppedIsToldBeforeTheNextFrame) {
    watch(1, kCallee, CallParty::callee);
    const auto live = [&](int n) {
        const Bytes bytes = udp(kCaller, kCallee, rtp(7, n));
        const Packet packet{bytes.data(),
                            static_cast<std::uint32_t>(bytes.size()),
                            static_cast<std::uint32_t>(bytes.size()),
                            now_ns_ += 20 * kNsPerMs,
                            LinkType::raw_ip,
                            0};
        worker_.process(std::span(&packet, 1), false);
    };
    int n = 0;
    while (drops(DropReason::ring_full) < 3) live(n++);
    StreamHandle* handle = opened();
    const std::size_t before = drain(*handle).size();
    EXPECT_EQ(before, static_cast<std::size_t>(n) - 3);
    live(n);
    const auto records = drain(*handle);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].kind, RingRecordKind::gap);
    EXPECT_EQ(records[0].lost_us, 3u);
    EXPECT_EQ(records[1].sequence, n);
}

TEST_F(WorkerTest, ASlotComesBackFromTheWriterAndIsUsedAgain) {
    for (std::uint64_t round = 1; round <= 200; ++round) {  // more sessions than slots
        watch(round, kCallee, CallParty::callee);
        send(kCaller, kCallee, rtp(static_cast<std::uint32_t>(round), 1));
        StreamHandle* handle = opened();
        ASSERT_NE(handle, nullptr) << round;
        decide({.kind = Decision::Kind::end_session, .session = round});
        drain(*handle);
        ASSERT_TRUE(links_.writer.returned.push(std::move(handle)));
        worker_.step();
    }
    EXPECT_EQ(drops(DropReason::no_stream_slot), 0u);
}

TEST_F(WorkerTest, AFloodOfUnknownFlowsPushesOutOnlyUnclaimedStreams) {
    watch(1, kCallee, CallParty::callee);
    send(kCaller, kCallee, rtp(7, 0));
    StreamHandle* handle = opened();
    for (std::uint32_t n = 0; n < 1000; ++n)
        send(at("198.51.100.1", static_cast<std::uint16_t>(n)), at("198.51.100.2", 2000), rtp(n, 1));
    send(kCaller, kCallee, rtp(7, 1));
    EXPECT_EQ(drain(*handle).size(), 2u);
    EXPECT_EQ(drops(DropReason::no_stream_slot), 0u);
    EXPECT_GT(drops(DropReason::unwatched), 900u);
}

TEST_F(WorkerTest, ASilentSessionIsReportedOnceItsTimeIsOver) {
    watch(1, kCallee, CallParty::callee);
    send(kCaller, kCallee, rtp(7, 0));
    const TimeNs last_ns = now_ns_;
    const auto elsewhere = [&] { send(at("10.9.9.9", 1), at("10.9.9.8", 2), rtp(1, 1)); };
    now_ns_ += 4 * kNsPerSecond;
    elsewhere();
    EXPECT_TRUE(events(WorkerEvent::Kind::session_quiet).empty());
    now_ns_ += 2 * kNsPerSecond;
    elsewhere();
    const auto quiet = events(WorkerEvent::Kind::session_quiet);
    ASSERT_FALSE(quiet.empty());
    EXPECT_EQ(quiet[0].session, 1u);
    EXPECT_EQ(quiet[0].time_ns, last_ns);
}

TEST_F(WorkerTest, SipIsForwardedFromAnyPortAndOtherUdpIsCounted) {
    const std::string text = "OPTIONS sip:a@b SIP/2.0\r\n\r\n";
    const Bytes message(text.begin(), text.end());
    send(at("10.0.0.1", 5082), at("10.0.0.2", 5080), message);
    const auto record = links_.signalling.front();
    ASSERT_EQ(record.size(), sizeof(SignallingRecord) + text.size());
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(record.data()) + sizeof(SignallingRecord), text.size()), text);
    send(kCaller, kCallee, Bytes{0, 1, 2, 3});
    EXPECT_EQ(drops(DropReason::not_rtp), 1u);
}

// `packet` cut into IPv4 fragments.
std::vector<Bytes> fragments_of(const Bytes& packet, std::size_t step) {
    std::vector<Bytes> fragments;
    const Bytes payload(packet.begin() + 20, packet.end());
    for (std::size_t at = 0; at < payload.size(); at += step) {
        const std::size_t end = std::min(at + step, payload.size());
        Bytes part(packet.begin(), packet.begin() + 20);
        part.insert(part.end(), payload.begin() + static_cast<std::ptrdiff_t>(at),
                    payload.begin() + static_cast<std::ptrdiff_t>(end));
        part[2] = static_cast<std::uint8_t>(part.size() >> 8);
        part[3] = static_cast<std::uint8_t>(part.size());
        part[6] = static_cast<std::uint8_t>(at / 8 >> 8 | (end < payload.size() ? 0x20 : 0));
        part[7] = static_cast<std::uint8_t>(at / 8);
        fragments.push_back(std::move(part));
    }
    return fragments;
}

TEST_F(WorkerTest, AnInviteInFragmentsReachesTheSignallingWhole) {
    std::string text = "INVITE sip:b@c SIP/2.0\r\nVia: ";
    while (text.size() < 4000) text += static_cast<char>('a' + text.size() % 26);
    auto fragments = fragments_of(udp(kCaller, kCallee, Bytes(text.begin(), text.end())), 1480);
    ASSERT_EQ(fragments.size(), 3u);
    std::swap(fragments[0], fragments[2]);
    give(fragments);
    const auto record = links_.signalling.front();
    ASSERT_EQ(record.size(), sizeof(SignallingRecord) + text.size());
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(record.data()) + sizeof(SignallingRecord), text.size()), text);
    EXPECT_EQ(drops(DropReason::fragment_joined), 2u);
    EXPECT_EQ(drops(DropReason::fragment_incomplete), 0u);
}

TEST_F(WorkerTest, JoinedMediaIsStillThereWhenTheBurstIsStored) {
    watch(1, kCallee, CallParty::callee);
    std::vector<Bytes> burst;
    for (int n = 0; n < 20; ++n)
        for (Bytes& each : fragments_of(udp(kCaller, kCallee, rtp(7, n, 160, static_cast<std::uint8_t>(n))), 64)) {
            each[5] = static_cast<std::uint8_t>(n);  // the id
            burst.push_back(std::move(each));
        }
    give(burst);
    StreamHandle* handle = opened();
    ASSERT_NE(handle, nullptr);
    for (int n = 0; n < 20; ++n) {
        const auto record = handle->ring.front();
        ASSERT_EQ(record.size(), sizeof(RingRecord) + 160);
        EXPECT_EQ(static_cast<int>(record.back()), n);
        handle->ring.pop();
    }
}

TEST_F(WorkerTest, RtpInATunnelReachesItsRing) {
    watch(1, kCallee, CallParty::callee);
    std::vector<Bytes> burst;
    for (int n = 0; n < 10; ++n)
        burst.push_back(test::outer_ipv4(test::vxlan(test::ethernet(0x0800, udp(kCaller, kCallee, rtp(7, n))))));
    give(burst);
    StreamHandle* handle = opened();
    ASSERT_NE(handle, nullptr);
    EXPECT_EQ(handle->flow.source, kCaller);
    EXPECT_EQ(drain(*handle).size(), 10u);
}

TEST_F(WorkerTest, FragmentsWhoseDatagramNeverBecameWholeAreCountedWhenTheirTimeIsOver) {
    auto fragments = fragments_of(udp(kCaller, kCallee, Bytes(4000)), 1480);
    fragments.pop_back();
    give(fragments);
    EXPECT_EQ(drops(DropReason::fragment_incomplete), 0u);
    now_ns_ += 31 * kNsPerSecond;
    send(kCaller, kCallee, rtp(7, 1));
    EXPECT_EQ(drops(DropReason::fragment_incomplete), 2u);
    EXPECT_EQ(drops(DropReason::fragment_joined), 0u);
}

TEST_F(WorkerTest, SipInTcpGoesToTheSignallingThreadAndOtherTcpIsCounted) {
    const Endpoint phone = at("10.0.0.1", 40000);
    const Endpoint proxy = at("10.0.0.2", 5060);
    send_ip(tcp(phone, proxy, "half a message", 24, 9), now_ns_);
    const auto bytes = links_.signalling.front();
    SignallingRecord record;
    ASSERT_EQ(bytes.size(), sizeof record + 14);
    std::memcpy(&record, bytes.data(), sizeof record);
    EXPECT_EQ(record.kind, SignallingRecord::Kind::segment);
    EXPECT_EQ(record.tcp_sequence, 9u);
    EXPECT_EQ(record.tcp_flags, 24);
    EXPECT_EQ(record.source, phone);
    EXPECT_EQ(record.time_ns, now_ns_);
    EXPECT_NE(record.token, 0u);
    send_ip(tcp(phone, proxy, ""), now_ns_);                            // an acknowledgement
    send_ip(tcp(phone, at("10.0.0.2", 443), "\x17\x03\x03"), now_ns_);  // no SIP
    EXPECT_EQ(drops(DropReason::tcp), 2u);
    EXPECT_EQ(worker_.counters().sip_segments.get(), 1u);
    EXPECT_EQ(worker_.counters().sip_messages.get(), 0u);
}

TEST_F(WorkerTest, WhatTheSignallingRingDoesNotTakeIsCountedOnce) {
    while (drops(DropReason::signalling_full) < 10)
        send_ip(tcp(at("10.0.0.1", 40000), at("10.0.0.2", 5060), std::string(20'000, 'x')), now_ns_, false);
    EXPECT_EQ(worker_.counters().sip_segments.get() + 10, worker_.counters().packets.get());
}

TEST_F(WorkerTest, EveryPacketIsStoredForwardedOrCountedUnderOneReason) {
    watch(1, kCallee, CallParty::callee);
    const std::string text = "SIP/2.0 200 OK\r\n\r\n";
    for (int n = 0; n < 50; ++n) {
        send(kCaller, kCallee, rtp(7, n / 2));
        send(kCallee, kCaller, Bytes{0x80, 200, 0, 1, 0, 0, 0, 0});
        send(kCaller, kCallee, Bytes(text.begin(), text.end()));
        send_ip(tcp(kCaller, at("10.0.0.2", 5060), "text", n % 2 == 0 ? 16 : 18), now_ns_);
        send_ip(tcp(kCaller, kCallee, "text"), now_ns_);
        send(kCaller, kCallee, Bytes{});
        send(kCaller, kCallee, rtp(7, 5000 + n, 3000));  // larger than the ring takes
        auto fragments = fragments_of(udp(kCaller, kCallee, rtp(7, 9000 + n)), 64);
        for (Bytes& each : fragments) each[5] = static_cast<std::uint8_t>(n);
        if (n % 10 == 9) fragments.pop_back();
        give(fragments);
    }
    now_ns_ += 60 * kNsPerSecond;
    send(kCaller, kCallee, Bytes{});
    EXPECT_EQ(accounted(worker_.counters()), worker_.counters().packets.get());
}

}  // namespace
}  // namespace spantape
