// SPDX-License-Identifier: AGPL-3.0-or-later
// What a payload type means, and payloads of the codecs without a state -> 16-bit samples. Stateless; any thread.
// The other codecs are decoded by audio/decoder.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "capture/sip/events.h"

namespace spantape {

enum class Encoding : std::uint8_t {
    pcmu,           // ITU-T G.711 mu-law
    pcma,           // ITU-T G.711 A-law
    l16,            // RFC 3551 §4.5.11: 16-bit, big endian
    g722,           // ITU-T G.722 at 64 kbit/s
    g726,           // ITU-T G.726, the first sample in the low bits (RFC 3551 §4.5.4)
    g726_aal2,      // the same, the first sample in the high bits (ITU-T I.366.2 Annex E)
    gsm,            // GSM 06.10 full rate
    g729,           // ITU-T G.729, Annexes A and B
    opus,           // RFC 6716, RFC 7587; mixed to one channel by its decoder
    amr,            // 3GPP TS 26.071, RFC 4867
    amr_wb,         // ITU-T G.722.2, RFC 4867
    g723,           // ITU-T G.723.1
    ilbc,           // RFC 3951, RFC 3952
    speex,          // RFC 5574
    comfort_noise,  // RFC 3389: tells how loud the silence is that follows
    redundancy,     // RFC 2198: frames of other payload types, those of before once more
    silence,        // telephone events, and what cannot be decoded: rendered as silence
};

struct PayloadFormat {
    Encoding encoding = Encoding::silence;
    std::uint32_t clock_rate_hz = 8000;  // RTP clock
    std::uint8_t channels = 1;           // interleaved; mixed to one by decode()
    std::uint8_t sample_bits = 0;        // G.726 only: 2 to 5
    bool octet_aligned = false;          // AMR and AMR-WB only

    [[nodiscard]] bool audible() const { return encoding < Encoding::comfort_noise; }
    // Of what is decoded. A multiple of the clock, which is 8 kHz for G.722 by an old mistake (RFC 3551 §4.5.2).
    [[nodiscard]] std::uint32_t sample_rate_hz() const {
        return encoding == Encoding::g722 ? 2 * clock_rate_hz : clock_rate_hz;
    }
    bool operator==(const PayloadFormat&) const = default;
};

// The meaning of each of the 128 payload types on one stream: the last entry for a number in `mappings`, else the
// static assignment (RFC 3551 §6), else silence on an 8 kHz clock.
using PayloadTable = std::array<PayloadFormat, 128>;
[[nodiscard]] PayloadTable payload_table(std::span<const PayloadMapping> mappings);

// Samples that decode() will give; 0 for silence, for codecs with a state and for a G.711 payload of one byte, which is
// a silence descriptor.
[[nodiscard]] std::size_t decoded_samples(const PayloadFormat& format, std::size_t payload_bytes);
// Decodes into out, which holds at least decoded_samples(); gives how many were written.
std::size_t decode(const PayloadFormat& format, std::span<const std::uint8_t> payload, std::span<std::int16_t> out);

// One G.711 code to its 16-bit value: 14-bit mu-law times 4, 13-bit A-law times 8.
[[nodiscard]] std::int16_t decode_mulaw(std::uint8_t code);
[[nodiscard]] std::int16_t decode_alaw(std::uint8_t code);

}  // namespace spantape
