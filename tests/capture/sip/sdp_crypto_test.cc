// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/sdp_crypto.h"

#include <string>

#include <gtest/gtest.h>

#include "capture/sip/sdp.h"
#include "capture/sip/sip_call.h"

namespace spantape {
namespace {

// 30 bytes: 0, 1, 2, … as base64; and 46 and 28 of them.
const std::string kInline30 = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
const std::string kInline46 = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLQ";
const std::string kInline28 = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw";
const std::string kAes128 = "1 AES_CM_128_HMAC_SHA1_80 ";

std::vector<SrtpKey> parse(const std::string& value) { return parse_sdp_crypto(value); }

TEST(SdpCrypto, ReadsSuiteAndKey) {
    const auto keys = parse(kAes128 + kInline30);
    ASSERT_EQ(keys.size(), 1u);
    EXPECT_EQ(keys[0].suite, SrtpSuite::aes_cm_128_hmac_sha1_80);
    EXPECT_EQ(keys[0].mki_bytes, 0);
    for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(keys[0].key_and_salt[i], i);
}

TEST(SdpCrypto, ReadsEverySuiteThatWeHave) {
    const auto suite_of = [](const std::string& name, const std::string& key) {
        const auto keys = parse("3 " + name + " " + key);
        return keys.empty() ? -1 : static_cast<int>(keys[0].suite);
    };
    EXPECT_EQ(suite_of("AES_CM_128_HMAC_SHA1_32", kInline30), static_cast<int>(SrtpSuite::aes_cm_128_hmac_sha1_32));
    EXPECT_EQ(suite_of("aes_cm_128_hmac_sha1_80", kInline30), static_cast<int>(SrtpSuite::aes_cm_128_hmac_sha1_80));
    EXPECT_EQ(suite_of("AES_192_CM_HMAC_SHA1_80", "inline:" + std::string(50, 'A') + "A="),
              static_cast<int>(SrtpSuite::aes_192_cm_hmac_sha1_80));
    EXPECT_EQ(suite_of("AES_256_CM_HMAC_SHA1_80", kInline46), static_cast<int>(SrtpSuite::aes_256_cm_hmac_sha1_80));
    EXPECT_EQ(suite_of("AES_256_CM_HMAC_SHA1_32", kInline46 + "=="),
              static_cast<int>(SrtpSuite::aes_256_cm_hmac_sha1_32));
    EXPECT_EQ(suite_of("AES_CM_256_HMAC_SHA1_80", kInline46), static_cast<int>(SrtpSuite::aes_256_cm_hmac_sha1_80));
    EXPECT_EQ(suite_of("AEAD_AES_128_GCM", kInline28 + "=="), static_cast<int>(SrtpSuite::aead_aes_128_gcm));
    EXPECT_EQ(suite_of("AEAD_AES_256_GCM", "inline:" + std::string(59, '/')),
              static_cast<int>(SrtpSuite::aead_aes_256_gcm));
    EXPECT_EQ(suite_of("F8_128_HMAC_SHA1_80", kInline30), -1);
    EXPECT_EQ(suite_of("NULL_HMAC_SHA1_80", kInline30), -1);
}

TEST(SdpCrypto, LifetimeAndMkiMayFollowTheKey) {
    EXPECT_EQ(parse(kAes128 + kInline30 + "|2^20").size(), 1u);
    EXPECT_EQ(parse(kAes128 + kInline30 + "|1048576").size(), 1u);
    EXPECT_EQ(parse(kAes128 + kInline30 + "|2^20|").size(), 1u);
    for (const char* more : {"|2^20|258:4", "|258:4"}) {
        const auto keys = parse(kAes128 + kInline30 + more);
        ASSERT_EQ(keys.size(), 1u) << more;
        EXPECT_EQ(keys[0].mki_bytes, 4);
        EXPECT_EQ((std::vector<int>(keys[0].mki.begin(), keys[0].mki.begin() + 5)), (std::vector<int>{0, 0, 1, 2, 0}));
    }
}

TEST(SdpCrypto, SeveralKeysOfALineAreToldByTheirMkis) {
    const auto keys = parse(kAes128 + kInline30 + "|2^20|1:1;" + kInline30 + "|2^20|2:1");
    ASSERT_EQ(keys.size(), 2u);
    EXPECT_EQ(keys[1].mki[0], 2);
    EXPECT_TRUE(parse(kAes128 + kInline30 + ";" + kInline30).empty());
    EXPECT_TRUE(parse(kAes128 + kInline30 + "|1:1;" + kInline30 + "|2:2").empty());
}

TEST(SdpCrypto, BrokenLinesHaveNoKey) {
    for (const std::string& value : {
             std::string(),
             std::string("1"),
             std::string("1 AES_CM_128_HMAC_SHA1_80"),
             "x AES_CM_128_HMAC_SHA1_80 " + kInline30,
             "AES_CM_128_HMAC_SHA1_80 " + kInline30,
             kAes128 + "inline:",
             kAes128 + "inline:abc",
             kAes128 + kInline30 + "A",
             kAes128 + kInline30.substr(0, kInline30.size() - 1),
             kAes128 + kInline30.substr(0, kInline30.size() - 1) + "*",
             kAes128 + kInline46,
             kAes128 + "uri:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd",
             kAes128 + kInline30 + "|2^",
             kAes128 + kInline30 + "|2^20|2^20",
             kAes128 + kInline30 + "|1:0",
             kAes128 + kInline30 + "|1:17",
             kAes128 + kInline30 + "|1:129",
             kAes128 + kInline30 + "|256:1",
             kAes128 + kInline30 + "|99999999999999999999:8",
             kAes128 + kInline30 + "|:4",
             kAes128 + kInline30 + "|1:4|2:4",
         })
        EXPECT_TRUE(parse(value).empty()) << value;
}

TEST(SdpCrypto, SessionParametersDecideWhetherALineIsOfUse) {
    for (const char* harmless :
         {"WSH=256", "UNENCRYPTED_SRTCP", "FEC_ORDER=FEC_SRTP", "-SOMETHING=1", "WSH=64 wsh=128"})
        EXPECT_EQ(parse(kAes128 + kInline30 + " " + harmless).size(), 1u) << harmless;
    for (const char* other :
         {"KDR=4", "UNENCRYPTED_SRTP", "UNAUTHENTICATED_SRTP", "SOMETHING=1", "WSH=64 UNENCRYPTED_SRTP"})
        EXPECT_TRUE(parse(kAes128 + kInline30 + " " + other).empty()) << other;
}

std::vector<MediaDescription> describe(const std::string& transport, const std::string& lines) {
    return parse_sdp("c=IN IP4 192.0.2.1\nm=audio 4000 " + transport + " 0\n" + lines, CallParty::caller);
}

TEST(SdpCrypto, KeysStandWithTheirMedia) {
    const auto media = describe("RTP/SAVP", "a=crypto:" + kAes128 + kInline30 + "\na=crypto:2 AEAD_AES_128_GCM " +
                                                kInline28 + "\nm=audio 4002 RTP/AVP 0\n");
    ASSERT_EQ(media.size(), 2u);
    EXPECT_EQ(media[0].srtp_keys.size(), 2u);
    EXPECT_EQ(media[0].srtp_profile, SrtpProfile::required);
    EXPECT_TRUE(media[1].srtp_keys.empty());
    EXPECT_EQ(media[1].srtp_profile, SrtpProfile::clear);
}

TEST(SdpCrypto, TheProfileTellsARequirementFromAnOffer) {
    EXPECT_EQ(describe("RTP/AVP", "a=crypto:" + kAes128 + kInline30)[0].srtp_profile, SrtpProfile::offered);
    EXPECT_EQ(describe("UDP/TLS/RTP/SAVPF", "a=fingerprint:sha-256 00")[0].srtp_profile, SrtpProfile::required);
    EXPECT_EQ(describe("RTP/AVP", "")[0].srtp_profile, SrtpProfile::clear);
}

TEST(SdpCrypto, AnOfferOfManyKeysIsBounded) {
    std::string lines;
    for (int n = 0; n < 1000; ++n) lines += "a=crypto:" + kAes128 + kInline30 + "\n";
    EXPECT_LE(describe("RTP/SAVP", lines)[0].srtp_keys.size(), 8u);
}

TEST(SdpCrypto, ANewKeyAloneIsNews) {
    ToldMedia told;
    const auto first = describe("RTP/SAVP", "a=crypto:" + kAes128 + kInline30);
    auto renewed = first;
    renewed[0].srtp_keys[0].key_and_salt[3] ^= 1;
    EXPECT_TRUE(told.is_news(first));
    EXPECT_FALSE(told.is_news(first));
    EXPECT_TRUE(told.is_news(renewed));
}

}  // namespace
}  // namespace spantape
