// SPDX-License-Identifier: AGPL-3.0-or-later
// What a payload type means, and payloads -> 16-bit samples. Stateless; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "capture/sip/events.h"

namespace spantape {

enum class Encoding : std::uint8_t {
    pcmu,     // ITU-T G.711 mu-law
    pcma,     // ITU-T G.711 A-law
    l16,      // RFC 3551 §4.5.11: 16-bit, big endian
    silence,  // comfort noise, telephone events, and what cannot be decoded: rendered as silence
};

struct PayloadFormat {
    Encoding encoding = Encoding::silence;
    std::uint32_t clock_rate_hz = 8000;  // RTP clock; for what is decodable also the sample rate
    std::uint8_t channels = 1;           // interleaved; mixed to one by decode()

    [[nodiscard]] bool audible() const { return encoding != Encoding::silence; }
    bool operator==(const PayloadFormat&) const = default;
};

// The meaning of each of the 128 payload types on one stream: the last entry for a number in `mappings`, else the
// static assignment (RFC 3551 §6), else silence on an 8 kHz clock.
using PayloadTable = std::array<PayloadFormat, 128>;
[[nodiscard]] PayloadTable payload_table(std::span<const PayloadMapping> mappings);

// Samples that decode() will give; 0 for silence and for a G.711 payload of one byte, which is a silence descriptor.
[[nodiscard]] std::size_t decoded_samples(const PayloadFormat& format, std::size_t payload_bytes);
// Decodes into out, which holds at least decoded_samples(); gives how many were written.
std::size_t decode(const PayloadFormat& format, std::span<const std::uint8_t> payload, std::span<std::int16_t> out);

// One G.711 code to its 16-bit value: 14-bit mu-law times 4, 13-bit A-law times 8.
[[nodiscard]] std::int16_t decode_mulaw(std::uint8_t code);
[[nodiscard]] std::int16_t decode_alaw(std::uint8_t code);

}  // namespace spantape
