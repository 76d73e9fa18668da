// SPDX-License-Identifier: AGPL-3.0-or-later
// SRTP as libsrtp2 sends it must come out as it went in.
#include "capture/rtp/srtp.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/capture/rtp/srtp_sender.h"

namespace spantape {
namespace {

using srtp_test::any_key;
using srtp_test::Bytes;
using srtp_test::rtp_packet;
using srtp_test::Sender;

constexpr std::uint32_t kSsrc = 0xcafe0001;
constexpr SrtpSuite kSuites[] = {
    SrtpSuite::aes_cm_128_hmac_sha1_80, SrtpSuite::aes_cm_128_hmac_sha1_32, SrtpSuite::aes_192_cm_hmac_sha1_80,
    SrtpSuite::aes_192_cm_hmac_sha1_32, SrtpSuite::aes_256_cm_hmac_sha1_80, SrtpSuite::aes_256_cm_hmac_sha1_32,
    SrtpSuite::aead_aes_128_gcm,        SrtpSuite::aead_aes_256_gcm,
};

std::uint64_t openssl_allocations = 0;
[[maybe_unused]] const int counted = CRYPTO_set_mem_functions(
    [](std::size_t bytes, const char*, int) {
        ++openssl_allocations;
        return std::malloc(bytes);
    },
    [](void* memory, std::size_t bytes, const char*, int) {
        ++openssl_allocations;
        return std::realloc(memory, bytes);
    },
    [](void* memory, const char*, int) { std::free(memory); });

Bytes payload_of(std::uint16_t sequence) {
    Bytes payload(160);
    for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(sequence * 3 + i);
    return payload;
}

// What the stream makes of a packet; "-" for nothing.
class Receiver {
public:
    explicit Receiver(const std::vector<SrtpKey>& keys) { learn(keys); }
    void learn(const std::vector<SrtpKey>& keys) {
        for (const SrtpKey& key : keys) stream_.learn(SrtpContext::make(key));
    }
    Bytes open(const Bytes& packet) {
        RtpHeader header;
        const RtpParse parsed = parse_rtp(packet, header);
        EXPECT_TRUE(parsed == RtpParse::ok || parsed == RtpParse::bad_padding);
        Bytes out(packet.size());  // its own allocation: ASan watches
        const auto payload = stream_.open(header, out);
        return payload ? Bytes(payload->begin(), payload->end()) : Bytes{'-'};
    }
    [[nodiscard]] bool opens(Sender& sender, std::uint16_t sequence) {
        return open(sender.protect(rtp_packet(kSsrc, sequence, payload_of(sequence)))) == payload_of(sequence);
    }
    SrtpStream stream_;
};

class EachSuite : public ::testing::TestWithParam<SrtpSuite> {};
INSTANTIATE_TEST_SUITE_P(Srtp, EachSuite, ::testing::ValuesIn(kSuites),
                         [](const auto& tested) { return std::to_string(static_cast<int>(tested.param)); });

TEST_P(EachSuite, WhatLibsrtpProtectsComesOut) {
    Sender sender(any_key(GetParam()), kSsrc);
    Receiver receiver({any_key(GetParam())});
    for (std::uint16_t n = 0; n < 50; ++n) ASSERT_TRUE(receiver.opens(sender, n)) << n;
}

TEST_P(EachSuite, AWrongKeyAndAnyChangedByteAreRefused) {
    const SrtpKey key = any_key(GetParam());
    const Bytes good = Sender(key, kSsrc).protect(rtp_packet(kSsrc, 7, payload_of(7)));
    EXPECT_EQ(Receiver({any_key(GetParam(), 2)}).open(good), Bytes{'-'});
    for (std::size_t at = 1; at < good.size(); ++at) {  // the first byte tells the header's shape
        Bytes changed = good;
        changed[at] ^= 1;
        ASSERT_EQ(Receiver({key}).open(changed), Bytes{'-'}) << at;
    }
    Receiver receiver({key});
    for (std::size_t length = 12; length < good.size(); ++length)
        ASSERT_EQ(receiver.open(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length))), Bytes{'-'});
    EXPECT_EQ(receiver.open(good), payload_of(7));
}

TEST_P(EachSuite, TheRollOverCountGoesOnAtTheWrap) {
    Sender sender(any_key(GetParam()), kSsrc);
    Receiver receiver({any_key(GetParam())});
    for (int n = 65'500; n < 65'600; ++n) ASSERT_TRUE(receiver.opens(sender, static_cast<std::uint16_t>(n))) << n;
}

TEST_P(EachSuite, PacketsWithAnMkiAreOpenedByTheKeyOfThatMki) {
    SrtpKey first = any_key(GetParam(), 1);
    SrtpKey second = any_key(GetParam(), 2);
    first.mki_bytes = second.mki_bytes = 4;
    first.mki[3] = 1;
    second.mki[3] = 2;
    Receiver receiver({first, second});
    Sender early(first, kSsrc);
    Sender late(second, kSsrc);
    for (std::uint16_t n = 0; n < 10; ++n) ASSERT_TRUE(receiver.opens(n < 5 ? early : late, n)) << n;
}

TEST_P(EachSuite, HeaderExtensionsCsrcsAndPaddingAreLeftOut) {
    Sender sender(any_key(GetParam()), kSsrc);
    Receiver receiver({any_key(GetParam())});
    for (std::uint16_t n = 0; n < 300; ++n) {  // the encrypted padding length takes many values
        Bytes body(4, 0x11);                   // a CSRC
        body.insert(body.end(), {0xbe, 0xde, 0x00, 0x01, 1, 2, 3, 4});  // an extension of one word
        const Bytes payload = payload_of(n);
        body.insert(body.end(), payload.begin(), payload.end());
        body.insert(body.end(), {0, 0, 0, 4});  // padding
        ASSERT_EQ(receiver.open(sender.protect(rtp_packet(kSsrc, n, body, 0xb1))), payload) << n;
    }
}

TEST_P(EachSuite, OpeningAPacketAllocatesNothing) {
    Sender sender(any_key(GetParam()), kSsrc);
    Receiver receiver({any_key(GetParam())});
    ASSERT_TRUE(receiver.opens(sender, 0));
    std::vector<Bytes> packets;
    for (std::uint16_t n = 1; n < 100; ++n) packets.push_back(sender.protect(rtp_packet(kSsrc, n, payload_of(n))));
    Bytes out(400);
    const std::uint64_t before = openssl_allocations;
    ASSERT_GT(before, 0u);
    for (const Bytes& packet : packets) {
        RtpHeader header;
        ASSERT_EQ(parse_rtp(packet, header), RtpParse::ok);
        ASSERT_TRUE(receiver.stream_.open(header, out));
    }
    EXPECT_EQ(openssl_allocations, before);
}

// RFC 6188 §7.4; libsrtp2 derives otherwise, so the other tests do not see this one.
TEST(Srtp, KeysOf192BitsAreDerivedAsTheRfcHasItToo) {
    SrtpKey key{.suite = SrtpSuite::aes_192_cm_hmac_sha1_80};
    const Bytes master{0x73, 0xed, 0xc6, 0x6c, 0x4f, 0xa1, 0x57, 0x76, 0xfb, 0x57, 0xf9, 0x50, 0x5c,
                       0x17, 0x13, 0x65, 0x50, 0xff, 0xda, 0x71, 0xf3, 0xe8, 0xe5, 0xf1, 0xc8, 0x52,
                       0x2f, 0x3a, 0xcd, 0x4c, 0xe8, 0x6d, 0x5a, 0xdd, 0x78, 0xed, 0xbb, 0x11};
    std::copy(master.begin(), master.end(), key.key_and_salt.begin());
    const Bytes session_key{0x31, 0x87, 0x47, 0x36, 0xa8, 0xf1, 0x14, 0x38, 0x70, 0xc2, 0x6e, 0x48,
                            0x57, 0xd8, 0xa5, 0xb2, 0xc4, 0xa3, 0x54, 0x40, 0x7f, 0xaa, 0xda, 0xbb};
    const Bytes session_salt{0x23, 0x72, 0xb8, 0x2d, 0x63, 0x9b, 0x6d, 0x85, 0x03, 0xa4, 0x7a, 0xdc, 0x0a, 0x6c};
    const Bytes authentication_key{0x35, 0x5b, 0x10, 0x97, 0x3c, 0xd9, 0x5b, 0x9e, 0xac, 0xf4,
                                   0x06, 0x1c, 0x7e, 0x1a, 0x71, 0x51, 0xe7, 0xcf, 0xbf, 0xcb};
    // SSRC 0, sequence 0: the IV is the salt (RFC 3711 §4.1.1).
    Bytes packet = rtp_packet(0, 0, Bytes(20));
    Bytes iv = session_salt;
    iv.resize(16);
    int length = 0;
    EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(cipher, EVP_aes_192_ctr(), nullptr, session_key.data(), iv.data());
    EVP_EncryptUpdate(cipher, packet.data() + 12, &length, packet.data() + 12, 20);
    EVP_CIPHER_CTX_free(cipher);
    Bytes authenticated = packet;
    authenticated.insert(authenticated.end(), 4, 0);  // roll-over count
    std::uint8_t tag[20];
    HMAC(EVP_sha1(), authentication_key.data(), 20, authenticated.data(), authenticated.size(), tag, nullptr);
    packet.insert(packet.end(), tag, tag + 10);
    EXPECT_EQ(Receiver({key}).open(packet), Bytes(20));
}

const SrtpKey kKey = any_key(SrtpSuite::aes_cm_128_hmac_sha1_80);

TEST(Srtp, ReorderedPacketsAreDecryptedAcrossTheWrapToo) {
    Sender sender(kKey, kSsrc);
    std::vector<Bytes> packets;
    for (int n = 65'530; n < 65'542; ++n)
        packets.push_back(sender.protect(rtp_packet(kSsrc, static_cast<std::uint16_t>(n), payload_of(1))));
    Receiver receiver({kKey});
    for (const std::size_t at : {0, 1, 8, 3, 2, 9, 4, 5, 11, 6, 7, 10})
        EXPECT_EQ(receiver.open(packets[at]), payload_of(1));
}

TEST(Srtp, AStreamThatBeginsAgainIsDecryptedOn) {
    Receiver receiver({kKey});
    Sender first(kKey, kSsrc);
    for (std::uint16_t n = 1000; n < 1050; ++n) ASSERT_TRUE(receiver.opens(first, n));
    Sender again(kKey, kSsrc);  // hundreds back, the count unchanged
    for (std::uint16_t n = 200; n < 250; ++n) ASSERT_TRUE(receiver.opens(again, n)) << n;
}

TEST(Srtp, AStreamThatBeginsAgainAfterAWrapMayCountFromNoneOrGoOn) {
    Receiver receiver({kKey});
    Sender first(kKey, kSsrc);
    for (int n = 65'500; n < 65'600; ++n) ASSERT_TRUE(receiver.opens(first, static_cast<std::uint16_t>(n)));
    Sender anew(kKey, kSsrc);  // roll-over count 0 again
    for (std::uint16_t n = 9'000; n < 9'050; ++n) ASSERT_TRUE(receiver.opens(anew, n)) << n;
    Sender goes_on(kKey, kSsrc);
    goes_on.set_roll_over_count(1);
    for (std::uint16_t n = 40'000; n < 40'003; ++n) static_cast<void>(receiver.opens(goes_on, n));
    EXPECT_TRUE(receiver.opens(goes_on, 40'003));
}

TEST(Srtp, JoinedLateItFindsTheRollOverCount) {
    for (const std::uint32_t count : {1u, 2u, 9u, 64u}) {
        Sender sender(kKey, kSsrc);
        sender.set_roll_over_count(count);
        Receiver receiver({any_key(SrtpSuite::aead_aes_128_gcm), kKey});
        int refused = 0;
        for (std::uint16_t n = 300; n < 320; ++n) refused += !receiver.opens(sender, n);
        EXPECT_LE(refused, 2) << count;
    }
}

TEST(Srtp, OfSeveralOfferedKeysTheOneInUseIsFound) {
    std::vector<SrtpKey> keys;
    for (std::uint8_t n = 0; n < 8; ++n) keys.push_back(any_key(kSuites[n], n));
    for (const SrtpKey& key : keys) {
        Sender sender(key, kSsrc);
        Receiver receiver(keys);
        for (std::uint16_t n = 0; n < 5; ++n) ASSERT_TRUE(receiver.opens(sender, n));
    }
}

// A re-INVITE brings a new key: packets of before are under way yet.
TEST(Srtp, OldAndNewKeyAreBothGoodAroundAChange) {
    const SrtpKey renewed = any_key(SrtpSuite::aes_256_cm_hmac_sha1_80, 9);
    Sender before(kKey, kSsrc);
    Sender after(renewed, kSsrc);
    Receiver receiver({kKey});
    for (std::uint16_t n = 0; n < 10; ++n) ASSERT_TRUE(receiver.opens(before, n));
    receiver.learn({renewed});
    for (const std::uint16_t n : {10, 11, 13, 15}) ASSERT_TRUE(receiver.opens(after, n)) << n;
    for (const std::uint16_t n : {12, 14}) ASSERT_TRUE(receiver.opens(before, n)) << n;
    for (std::uint16_t n = 16; n < 30; ++n) ASSERT_TRUE(receiver.opens(after, n)) << n;
}

TEST(Srtp, ForgedPacketsDoNotThrowTheStreamOffItsCount) {
    Receiver receiver({kKey});
    Sender sender(kKey, kSsrc);
    for (int n = 65'500; n < 65'600; ++n) ASSERT_TRUE(receiver.opens(sender, static_cast<std::uint16_t>(n)));
    for (int n = 0; n < 200; ++n)
        EXPECT_EQ(receiver.open(rtp_packet(kSsrc, static_cast<std::uint16_t>(n * 331), Bytes(170, 0x5a))), Bytes{'-'});
    EXPECT_TRUE(receiver.opens(sender, 100));
}

TEST(Srtp, PaddingLongerThanThePayloadIsRefused) {
    Sender sender(kKey, kSsrc);
    EXPECT_EQ(Receiver({kKey}).open(sender.protect(rtp_packet(kSsrc, 1, Bytes{1, 2, 9}, 0xa0))), Bytes{'-'});
    EXPECT_EQ(Receiver({kKey}).open(sender.protect(rtp_packet(kSsrc, 2, Bytes{1, 2, 0}, 0xa0))), Bytes{'-'});
    EXPECT_EQ(Receiver({kKey}).open(sender.protect(rtp_packet(kSsrc, 3, Bytes{1, 2, 3}, 0xa0))), Bytes{});
}

}  // namespace
}  // namespace spantape
