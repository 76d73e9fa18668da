// SPDX-License-Identifier: AGPL-3.0-or-later
// The peer that our SRTP is tested against: libsrtp2, sending.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <srtp2/srtp.h>

#include "capture/rtp/srtp_key.h"

namespace spantape::srtp_test {

using Bytes = std::vector<std::uint8_t>;

inline SrtpKey any_key(SrtpSuite suite, std::uint8_t seed = 1) {
    SrtpKey key{.suite = suite};
    const SrtpSuiteSizes sizes = sizes_of(suite);
    for (std::size_t i = 0; i < std::size_t{sizes.key_bytes} + sizes.salt_bytes; ++i)
        key.key_and_salt[i] = static_cast<std::uint8_t>(seed * 37 + i * 11);
    return key;
}

inline Bytes rtp_packet(std::uint32_t ssrc, std::uint16_t sequence, const Bytes& payload, std::uint8_t first = 0x80) {
    Bytes out{first, 0, static_cast<std::uint8_t>(sequence >> 8), static_cast<std::uint8_t>(sequence)};
    for (const std::uint32_t word : {std::uint32_t{sequence} * 160, ssrc})
        for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(word >> shift));
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

class Sender {
public:
    Sender(const SrtpKey& key, std::uint32_t ssrc) : key_(key), ssrc_(ssrc) {
        [[maybe_unused]] static const srtp_err_status_t initialised = srtp_init();
        srtp_policy_t policy{};
        set_suite(policy.rtp);
        set_suite(policy.rtcp);
        policy.ssrc = {ssrc_specific, ssrc};
        master_.key = key_.key_and_salt.data();
        master_.mki_id = key_.mki.data();
        master_.mki_size = key_.mki_bytes;
        srtp_master_key_t* keys[] = {&master_};
        policy.keys = keys;
        policy.num_master_keys = 1;
        policy.window_size = 1024;
        policy.allow_repeat_tx = 1;
        check(srtp_create(&session_, &policy));
    }
    ~Sender() { srtp_dealloc(session_); }
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    void set_roll_over_count(std::uint32_t count) { check(srtp_set_stream_roc(session_, ssrc_, count)); }

    // A whole RTP packet in, the SRTP packet out.
    Bytes protect(Bytes packet) {
        int length = static_cast<int>(packet.size());
        packet.resize(packet.size() + SRTP_MAX_TRAILER_LEN);
        check(srtp_protect_mki(session_, packet.data(), &length, key_.mki_bytes != 0 ? 1 : 0, 0));
        packet.resize(static_cast<std::size_t>(length));
        return packet;
    }

private:
    static void check(srtp_err_status_t status) {
        if (status != srtp_err_status_ok) throw std::runtime_error("libsrtp2: " + std::to_string(status));
    }
    void set_suite(srtp_crypto_policy_t& policy) const {
        switch (key_.suite) {
            case SrtpSuite::aes_cm_128_hmac_sha1_80:
                return srtp_crypto_policy_set_rtp_default(&policy);
            case SrtpSuite::aes_cm_128_hmac_sha1_32:
                return srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&policy);
            case SrtpSuite::aes_192_cm_hmac_sha1_80:
                return srtp_crypto_policy_set_aes_cm_192_hmac_sha1_80(&policy);
            case SrtpSuite::aes_192_cm_hmac_sha1_32:
                return srtp_crypto_policy_set_aes_cm_192_hmac_sha1_32(&policy);
            case SrtpSuite::aes_256_cm_hmac_sha1_80:
                return srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&policy);
            case SrtpSuite::aes_256_cm_hmac_sha1_32:
                return srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32(&policy);
            case SrtpSuite::aead_aes_128_gcm:
                return srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy);
            case SrtpSuite::aead_aes_256_gcm:
                return srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy);
        }
    }

    SrtpKey key_;
    std::uint32_t ssrc_;
    srtp_master_key_t master_{};
    srtp_t session_ = nullptr;
};

}  // namespace spantape::srtp_test
