// SPDX-License-Identifier: AGPL-3.0-or-later
// An SRTP master key as SDP gives it (RFC 4568 §6.1): a plain value that travels from the signalling to the workers and
// is kept nowhere else. Nothing prints it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace spantape {

enum class SrtpSuite : std::uint8_t {
    aes_cm_128_hmac_sha1_80,  // RFC 4568 §6.2
    aes_cm_128_hmac_sha1_32,
    aes_192_cm_hmac_sha1_80,  // RFC 6188
    aes_192_cm_hmac_sha1_32,
    aes_256_cm_hmac_sha1_80,
    aes_256_cm_hmac_sha1_32,
    aead_aes_128_gcm,  // RFC 7714
    aead_aes_256_gcm,
};

struct SrtpSuiteSizes {
    std::uint8_t key_bytes;  // master key and session encryption key
    std::uint8_t salt_bytes;
    std::uint8_t tag_bytes;
    bool aead;
};

constexpr SrtpSuiteSizes sizes_of(SrtpSuite suite) {
    switch (suite) {
        case SrtpSuite::aes_cm_128_hmac_sha1_80:
            return {16, 14, 10, false};
        case SrtpSuite::aes_cm_128_hmac_sha1_32:
            return {16, 14, 4, false};
        case SrtpSuite::aes_192_cm_hmac_sha1_80:
            return {24, 14, 10, false};
        case SrtpSuite::aes_192_cm_hmac_sha1_32:
            return {24, 14, 4, false};
        case SrtpSuite::aes_256_cm_hmac_sha1_80:
            return {32, 14, 10, false};
        case SrtpSuite::aes_256_cm_hmac_sha1_32:
            return {32, 14, 4, false};
        case SrtpSuite::aead_aes_128_gcm:
            return {16, 12, 16, true};
        case SrtpSuite::aead_aes_256_gcm:
            return {32, 12, 16, true};
    }
    return {};
}

inline constexpr std::size_t kMaxMkiBytes = 16;  // RFC 4568 allows 128; what is met has 1 to 4

struct SrtpKey {
    SrtpSuite suite = SrtpSuite::aes_cm_128_hmac_sha1_80;
    std::uint8_t mki_bytes = 0;                    // 0: packets carry no master key identifier
    std::array<std::uint8_t, 46> key_and_salt{};   // master key, then master salt
    std::array<std::uint8_t, kMaxMkiBytes> mki{};  // network byte order, the first mki_bytes

    bool operator==(const SrtpKey&) const = default;
};
static_assert(sizeof(SrtpKey) == 64);

// How a media description wants its RTP (RFC 3711, RFC 4568).
enum class SrtpProfile : std::uint8_t {
    clear,
    offered,   // RTP/AVP with a=crypto: a peer that knows nothing of it answers without, and media is plain
    required,  // RTP/SAVP, with or without keys that we can use
};

}  // namespace spantape
