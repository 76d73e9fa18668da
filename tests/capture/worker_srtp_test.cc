// SPDX-License-Identifier: AGPL-3.0-or-later
// SRTP through the worker: keys and packets in; what the writer gets, and what is counted, out.
#include <cstring>
#include <memory>

#include <gtest/gtest.h>

#include "capture/worker.h"
#include "tests/capture/rtp/srtp_sender.h"

namespace spantape {
namespace {

using srtp_test::any_key;
using srtp_test::Bytes;
using srtp_test::rtp_packet;
using srtp_test::Sender;

Endpoint at(const char* ip, std::uint16_t port) { return {*IpAddress::parse(ip), port}; }
const Endpoint kCaller = at("10.0.0.1", 4000);
const Endpoint kCallee = at("10.0.0.2", 5000);
const SrtpKey kKey = any_key(SrtpSuite::aes_cm_128_hmac_sha1_80, 1);
const SrtpKey kOtherKey = any_key(SrtpSuite::aes_cm_128_hmac_sha1_80, 2);
constexpr std::uint32_t kSsrc = 7;

// Speech as G.711 codes it: few values.
Bytes speech(std::uint16_t sequence) {
    Bytes payload(160);
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(0xd0 + (sequence + i) % 12);
    return payload;
}
Bytes plain(std::uint16_t sequence) { return rtp_packet(kSsrc, sequence, speech(sequence)); }

class WorkerSrtpTest : public ::testing::Test {
protected:
    struct Stored {
        std::uint16_t sequence = 0;
        Bytes payload;
    };

    WorkerSrtpTest()
        : links_(64, control_, signalling_), worker_({.max_streams = 64, .ring_bytes = 16384}, {}, links_) {}

    void send(const Bytes& packet, const Endpoint& from = kCaller, const Endpoint& to = kCallee) {
        Bytes bytes{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0};
        bytes.insert(bytes.end(), from.ip.bytes.begin() + 12, from.ip.bytes.end());
        bytes.insert(bytes.end(), to.ip.bytes.begin() + 12, to.ip.bytes.end());
        const auto put = [&](std::size_t value) {
            bytes.insert(bytes.end(), {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)});
        };
        for (const std::size_t value :
             {std::size_t{from.port}, std::size_t{to.port}, packet.size() + 8, std::size_t{0}})
            put(value);
        bytes.insert(bytes.end(), packet.begin(), packet.end());
        bytes[2] = static_cast<std::uint8_t>(bytes.size() >> 8);
        bytes[3] = static_cast<std::uint8_t>(bytes.size());
        const auto length = static_cast<std::uint32_t>(bytes.size());
        const Packet one{bytes.data(), length, length, now_ns_ += 20 * kNsPerMs, LinkType::raw_ip, 0};
        worker_.process(std::span(&one, 1), true);
        ++sent_;
    }
    void send_many(Sender& sender, int from, int to) {
        for (int n = from; n < to; ++n) {
            const auto sequence = static_cast<std::uint16_t>(n);
            send(sender.protect(plain(sequence)));
        }
    }
    void decide(Decision decision) {
        ASSERT_TRUE(links_.decisions.push(std::move(decision)));
        worker_.step();
    }
    void describe(const Endpoint& endpoint, CallParty party, SrtpProfile profile, const std::vector<SrtpKey>& keys) {
        for (const SrtpKey& key : keys)
            decide({.kind = Decision::Kind::srtp_key, .party = party, .session = 1, .endpoint = endpoint, .key = key});
        decide({.kind = Decision::Kind::watch, .party = party, .session = 1, .endpoint = endpoint, .srtp = profile});
    }
    void describe_caller(SrtpProfile profile, const std::vector<SrtpKey>& keys) {
        describe(kCaller, CallParty::caller, profile, keys);
    }
    void describe_callee(SrtpProfile profile, const std::vector<SrtpKey>& keys) {
        describe(kCallee, CallParty::callee, profile, keys);
    }

    // What the writer has been given of the one stream, all in all.
    const std::vector<Stored>& stored() {
        if (handle_ == nullptr) {
            const auto opened = links_.writer.opened.pop();
            if (!opened) return stored_;
            handle_ = *opened;
        }
        for (auto bytes = handle_->ring.front(); !bytes.empty(); bytes = handle_->ring.front()) {
            RingRecord record;
            std::memcpy(&record, bytes.data(), sizeof record);
            EXPECT_EQ(bytes.size(), sizeof record + record.payload_bytes);
            EXPECT_EQ(record.whole_packet, 0);
            const auto* payload = reinterpret_cast<const std::uint8_t*>(bytes.data() + sizeof record);
            if (record.kind == RingRecordKind::frame)
                stored_.push_back({record.sequence, Bytes(payload, payload + record.payload_bytes)});
            handle_->ring.pop();
        }
        return stored_;
    }
    // All frames stored are speech as it was before SRTP, in order from `first` on.
    void expect_speech(std::uint16_t first, std::size_t count) {
        ASSERT_EQ(stored().size(), count);
        for (std::size_t i = 0; i < count; ++i) {
            EXPECT_EQ(stored()[i].sequence, first + i);
            EXPECT_EQ(stored()[i].payload, speech(stored()[i].sequence)) << i;
        }
    }
    WorkerEvent left() {
        decide({.kind = Decision::Kind::end_session, .session = 1});
        WorkerEvent found;
        while (const auto event = links_.events.pop())
            if (event->kind == WorkerEvent::Kind::stream_left) found = *event;
        return found;
    }
    [[nodiscard]] std::uint64_t drops(DropReason reason) const {
        return worker_.counters().drops[static_cast<std::size_t>(reason)].get();
    }
    void expect_every_packet_counted_once() { EXPECT_EQ(accounted(worker_.counters()), sent_); }

    Wakeup control_, signalling_;
    WorkerLinks links_;
    Worker worker_;
    TimeNs now_ns_ = wall_clock_ns();
    StreamHandle* handle_ = nullptr;
    std::vector<Stored> stored_;
    std::uint64_t sent_ = 0;
};

TEST_F(WorkerSrtpTest, WithTheSendersKeyTheWriterGetsPlainPayloads) {
    describe_caller(SrtpProfile::required, {kKey});
    describe_callee(SrtpProfile::required, {kOtherKey});
    Sender sender(kKey, kSsrc);
    send_many(sender, 100, 150);
    expect_speech(100, 50);
    const WorkerEvent end = left();
    EXPECT_EQ(end.encryption, StreamEncryption::srtp);
    EXPECT_EQ(end.counters.undecryptable, 0u);
    EXPECT_EQ(end.counters.payload_bytes, 50u * 160);
    EXPECT_EQ(end.extent_units, 50u * 160);
    expect_every_packet_counted_once();
}

TEST_F(WorkerSrtpTest, OfAnOffersKeysTheOneInUseIsTaken) {
    std::vector<SrtpKey> offered;
    for (std::uint8_t n = 10; n < 17; ++n) offered.push_back(any_key(SrtpSuite::aes_256_cm_hmac_sha1_80, n));
    offered.insert(offered.begin() + 3, kKey);
    describe_caller(SrtpProfile::required, offered);
    describe_callee(SrtpProfile::required, {kOtherKey});
    Sender sender(kKey, kSsrc);
    send_many(sender, 0, 20);
    expect_speech(0, 20);
}

TEST_F(WorkerSrtpTest, MediaThatCameBeforeTheKeysIsDecryptedToo) {
    Sender sender(kKey, kSsrc);
    send_many(sender, 0, 30);
    EXPECT_TRUE(stored().empty());
    describe_callee(SrtpProfile::required, {kOtherKey});  // the callee's words say nothing of the caller's key
    EXPECT_TRUE(stored().empty());
    describe_caller(SrtpProfile::required, {kKey});
    send_many(sender, 30, 40);
    expect_speech(0, 40);
    EXPECT_EQ(left().counters.undecryptable, 0u);
    expect_every_packet_counted_once();
}

// CSRCs, extension and padding are authenticated, and the padding's length is encrypted: the whole packet is needed.
TEST_F(WorkerSrtpTest, LookBackKeepsWhatTheTagWasMadeOver) {
    Sender sender(kKey, kSsrc);
    const auto unusual = [&](std::uint16_t n) {
        Bytes body{9, 9, 9, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4};
        const Bytes payload = speech(n);
        body.insert(body.end(), payload.begin(), payload.end());
        body.insert(body.end(), {0, 0, 3});
        return sender.protect(rtp_packet(kSsrc, n, body, 0xb1));
    };
    send(sender.protect(plain(0)));
    for (std::uint16_t n = 1; n < 40; ++n) send(unusual(n));
    describe_caller(SrtpProfile::required, {kKey});
    for (std::uint16_t n = 40; n < 80; ++n) send(unusual(n));
    expect_speech(0, 80);
    EXPECT_EQ(left().counters.payload_bytes, 80u * 160);
    EXPECT_EQ(drops(DropReason::bad_rtp), 0u);
}

TEST_F(WorkerSrtpTest, OfPlainMediaLookBackGivesThePayloadAlone) {
    Bytes body = speech(1);
    body.insert(body.end(), {0, 2});
    send(rtp_packet(kSsrc, 1, body, 0xa0));
    body.back() = 0xff;  // padding longer than the packet
    send(rtp_packet(kSsrc, 2, body, 0xa0));
    send(plain(3));
    describe_caller(SrtpProfile::clear, {});
    send(rtp_packet(kSsrc, 4, body, 0xa0));
    ASSERT_EQ(stored().size(), 2u);
    EXPECT_EQ(stored()[0].payload, speech(1));
    EXPECT_EQ(stored()[1].payload, speech(3));
    EXPECT_EQ(drops(DropReason::bad_rtp), 2u);
    EXPECT_EQ(left().counters.payload_bytes, 320u);
    expect_every_packet_counted_once();
}

TEST_F(WorkerSrtpTest, SrtpWithoutAKeyIsCountedAndNotStored) {
    describe_caller(SrtpProfile::required, {});  // DTLS-SRTP, say
    describe_callee(SrtpProfile::required, {});
    Sender sender(kKey, kSsrc);
    send_many(sender, 0, 100);
    EXPECT_TRUE(stored().empty());
    ASSERT_NE(handle_, nullptr);  // but the stream is the session's
    const WorkerEvent end = left();
    EXPECT_EQ(end.encryption, StreamEncryption::srtp_no_key);
    EXPECT_EQ(end.counters.undecryptable, 100u);
    EXPECT_EQ(end.counters.stored, 0u);
    EXPECT_EQ(end.counters.lost_before, 0u);  // they came, after all
    EXPECT_EQ(drops(DropReason::srtp_failed), 100u);
    expect_every_packet_counted_once();
}

TEST_F(WorkerSrtpTest, WithTheWrongKeyNothingIsStored) {
    describe_caller(SrtpProfile::required, {kOtherKey});
    describe_callee(SrtpProfile::required, {kOtherKey});
    Sender sender(kKey, kSsrc);
    send_many(sender, 0, 50);
    EXPECT_TRUE(stored().empty());
    EXPECT_EQ(left().counters.undecryptable, 50u);
}

TEST_F(WorkerSrtpTest, AShortStreamWithoutAKeyIsCountedWhenItsSessionEnds) {
    describe_caller(SrtpProfile::required, {kOtherKey});
    Sender sender(kKey, kSsrc);
    send_many(sender, 0, 3);
    const WorkerEvent end = left();
    EXPECT_EQ(end.encryption, StreamEncryption::srtp_no_key);
    EXPECT_EQ(end.counters.undecryptable, 3u);
    expect_every_packet_counted_once();
}

TEST_F(WorkerSrtpTest, KeysThatComeLateDecryptFromThenOn) {
    describe_caller(SrtpProfile::required, {});
    Sender sender(kKey, kSsrc);
    send_many(sender, 0, 100);
    describe_caller(SrtpProfile::required, {kKey});
    send_many(sender, 100, 120);
    expect_speech(100, 20);
    const WorkerEvent end = left();
    EXPECT_EQ(end.encryption, StreamEncryption::srtp);
    EXPECT_EQ(end.counters.undecryptable, 100u);
}

TEST_F(WorkerSrtpTest, PlainMediaUnderASecureLabelIsKept) {
    describe_caller(SrtpProfile::required, {kKey});
    describe_callee(SrtpProfile::required, {kOtherKey});
    for (std::uint16_t n = 0; n < 50; ++n) send(plain(n));
    expect_speech(0, 50);
    EXPECT_EQ(left().encryption, StreamEncryption::none);
}

// Plain media may look as even as ciphertext (Opus, G.729): where SRTP was only offered it is kept.
TEST_F(WorkerSrtpTest, WhereSrtpWasOnlyOfferedWhatDoesNotAuthenticateIsPlain) {
    describe_caller(SrtpProfile::offered, {kKey});
    describe_callee(SrtpProfile::offered, {kOtherKey});
    std::uint32_t noise = 1;
    for (std::uint16_t n = 0; n < 30; ++n) {
        Bytes payload(60);
        for (auto& byte : payload) byte = static_cast<std::uint8_t>((noise = noise * 1664525 + 1013904223) >> 24);
        send(rtp_packet(kSsrc, n, payload));
    }
    EXPECT_EQ(stored().size(), 30u);
    EXPECT_EQ(left().counters.undecryptable, 0u);
}

TEST_F(WorkerSrtpTest, AnOfferThatIsAnsweredInClearNeedsNoTrial) {
    describe_caller(SrtpProfile::offered, {kKey});
    describe_callee(SrtpProfile::clear, {});
    send(plain(0));
    expect_speech(0, 1);
}

TEST_F(WorkerSrtpTest, AnOfferThatIsTakenUpIsDecryptedAndNothingElseStored) {
    describe_caller(SrtpProfile::offered, {kKey});
    describe_callee(SrtpProfile::offered, {kOtherKey});
    Sender sender(kKey, kSsrc);
    send_many(sender, 0, 10);
    send(rtp_packet(kSsrc, 10, Bytes(170, 0x33)));  // forged
    send_many(sender, 11, 20);
    EXPECT_EQ(stored().size(), 19u);
    const WorkerEvent end = left();
    EXPECT_EQ(end.counters.undecryptable, 1u);
    EXPECT_EQ(end.counters.lost_before, 0u);
}

TEST_F(WorkerSrtpTest, AReInviteMayChangeTheKeyInMidStream) {
    describe_caller(SrtpProfile::required, {kKey});
    Sender before(kKey, kSsrc);
    Sender after(kOtherKey, kSsrc);
    send_many(before, 0, 20);
    describe_caller(SrtpProfile::required, {kOtherKey});
    send_many(before, 20, 25);  // the phone has not heard of the answer yet
    send_many(after, 25, 50);
    expect_speech(0, 50);
    EXPECT_EQ(left().counters.undecryptable, 0u);
}

TEST_F(WorkerSrtpTest, AReInviteMayTurnSrtpOnAndOffInMidStream) {
    describe_caller(SrtpProfile::clear, {});
    Sender sender(kKey, kSsrc);
    for (std::uint16_t n = 0; n < 10; ++n) send(plain(n));
    describe_caller(SrtpProfile::required, {kKey});
    for (std::uint16_t n = 10; n < 13; ++n) send(plain(n));
    send_many(sender, 13, 30);
    describe_caller(SrtpProfile::clear, {});
    send_many(sender, 30, 33);
    for (std::uint16_t n = 33; n < 50; ++n) send(plain(n));
    expect_speech(0, 50);
    const WorkerEvent end = left();
    EXPECT_EQ(end.counters.undecryptable, 0u);
    EXPECT_EQ(end.encryption, StreamEncryption::srtp);
}

TEST_F(WorkerSrtpTest, DuplicatesReorderRestartAndWrapAreAsWithPlainMedia) {
    describe_caller(SrtpProfile::required, {kKey});
    Sender sender(kKey, kSsrc);
    std::vector<Bytes> packets;
    for (int n = 65'500; n < 65'600; ++n) packets.push_back(sender.protect(plain(static_cast<std::uint16_t>(n))));
    std::swap(packets[34], packets[38]);
    for (const Bytes& packet : packets) {
        send(packet);
        send(packet);
        stored();  // the ring does not hold them all
    }
    EXPECT_EQ(stored().size(), 100u);
    EXPECT_EQ(drops(DropReason::duplicate), 100u);
    Sender again(kKey, kSsrc);
    send_many(again, 300, 350);
    stored();
    send_many(again, 350, 400);
    EXPECT_EQ(stored().size(), 200u);
    for (const Stored& frame : stored()) EXPECT_EQ(frame.payload, speech(frame.sequence));
    EXPECT_EQ(left().counters.undecryptable, 0u);
}

TEST_F(WorkerSrtpTest, ACallJoinedLateLosesAtMostWhatTheSearchTakes) {
    describe_caller(SrtpProfile::required, {kKey});
    Sender sender(kKey, kSsrc);
    sender.set_roll_over_count(5);
    send_many(sender, 700, 750);
    expect_speech(700, 50);  // even that was in look-back
}

// One Call-ID through a proxy, SRTP on the one leg and plain RTP on the other (field note 3).
TEST_F(WorkerSrtpTest, TwoLegsOfOneSessionHaveKeysOfTheirOwn) {
    const Endpoint relay_in = at("10.0.0.9", 6000);
    const Endpoint relay_out = at("10.0.0.9", 6002);
    describe_caller(SrtpProfile::required, {kKey});
    describe(relay_in, CallParty::callee, SrtpProfile::required, {kOtherKey});
    describe(relay_out, CallParty::caller, SrtpProfile::clear, {});
    describe(kCallee, CallParty::callee, SrtpProfile::clear, {});
    Sender caller(kKey, kSsrc);
    Sender relay(kOtherKey, kSsrc + 1);
    for (std::uint16_t n = 0; n < 12; ++n) {
        send(caller.protect(plain(n)), kCaller, relay_in);
        send(relay.protect(rtp_packet(kSsrc + 1, n, speech(n))), relay_in, kCaller);
        send(rtp_packet(kSsrc + 2, n, speech(n)), relay_out, kCallee);
        send(rtp_packet(kSsrc + 3, n, speech(n)), kCallee, relay_out);
    }
    std::size_t frames = 0;
    while (const auto handle = links_.writer.opened.pop()) {
        for (auto bytes = (*handle)->ring.front(); !bytes.empty(); bytes = (*handle)->ring.front()) {
            RingRecord record;
            std::memcpy(&record, bytes.data(), sizeof record);
            ASSERT_EQ(record.payload_bytes, 160);
            EXPECT_EQ(std::memcmp(bytes.data() + sizeof record, speech(record.sequence).data(), 160), 0);
            (*handle)->ring.pop();
            ++frames;
        }
    }
    EXPECT_EQ(frames, 48u);
    EXPECT_EQ(drops(DropReason::srtp_failed), 0u);
}

TEST_F(WorkerSrtpTest, AFloodOfForgedStreamsLeavesTheCallAlone) {
    describe_caller(SrtpProfile::required, {kKey});
    describe_callee(SrtpProfile::required, {kOtherKey});
    Sender sender(kKey, kSsrc);
    send_many(sender, 0, 10);
    for (std::uint32_t n = 100; n < 1100; ++n) send(rtp_packet(n, 1, Bytes(170, 0x44)));
    send_many(sender, 10, 20);
    expect_speech(0, 20);
}

}  // namespace
}  // namespace spantape
