// SPDX-License-Identifier: AGPL-3.0-or-later
// The audio that spantape-gen sends when it is given no files: every sample of every stream can be computed by
// whoever tests. All integers; the formula, named "tones-1" in manifests, for stream s (2 * call for the caller's,
// 2 * call + 1 for the callee's), sample n (packet * samples per packet + place in it; lost packets count) and sample
// rate R:
//
//   T[i]  = round(6000 * sin(2 * pi * i / R))                         for i = 0 ... R - 1
//   f1    = 300 + 10 * (s mod 97),  f2 = 1300 + 10 * (s / 97 mod 101) a pair of tones, in Hz
//   x     = (n + s * 0x9e3779b1) mod 2^32                             and then, all modulo 2^32:
//           x ^= x >> 16; x *= 0x7feb352d; x ^= x >> 15; x *= 0x846ca68b; x ^= x >> 16
//   value = T[f1 * n mod R] + T[f2 * n mod R] + (x mod 512) - 256     within ±12256
//
// On the wire: L16 as it is, big endian; G.711 by the segment search of the ITU's reference (G.191), which is
// mulaw_code() and alaw_code() below.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace spantape::gen {

inline constexpr const char* kFormula = "tones-1";

constexpr std::uint32_t scramble(std::uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

class KnownAudio {
public:
    explicit KnownAudio(std::uint32_t rate_hz) : table_(rate_hz) {
        for (std::uint32_t i = 0; i < rate_hz; ++i) {
            table_[i] = static_cast<std::int16_t>(std::lround(6000 * std::sin(2 * std::numbers::pi * i / rate_hz)));
        }
    }

    // Samples n ... n + count - 1 of the stream, each given to put(std::int16_t).
    template <class Put>
    void samples(std::uint32_t stream, std::uint64_t n, std::uint32_t count, Put put) const {
        const auto rate_hz = static_cast<std::uint32_t>(table_.size());
        const std::uint32_t f1 = 300 + 10 * (stream % 97);
        const std::uint32_t f2 = 1300 + 10 * (stream / 97 % 101);
        auto at1 = static_cast<std::uint32_t>(f1 * n % rate_hz);
        auto at2 = static_cast<std::uint32_t>(f2 * n % rate_hz);
        std::uint32_t x = static_cast<std::uint32_t>(n) + stream * 0x9e3779b1u;
        for (std::uint32_t i = 0; i < count; ++i) {
            const int noise = static_cast<int>(scramble(x++) % 512) - 256;
            put(static_cast<std::int16_t>(table_[at1] + table_[at2] + noise));
            if ((at1 += f1) >= rate_hz) at1 -= rate_hz;
            if ((at2 += f2) >= rate_hz) at2 -= rate_hz;
        }
    }

private:
    std::vector<std::int16_t> table_;
};

constexpr std::uint8_t mulaw_code(std::int16_t sample) {
    int value = sample >> 2;
    const int mask = value < 0 ? 0x7f : 0xff;
    if (value < 0) value = -value;
    if (value > 8159) value = 8159;
    value += 33;
    int segment = 0;
    while (value > (0x40 << segment) - 1) ++segment;
    return static_cast<std::uint8_t>((segment << 4 | (value >> (segment + 1) & 0x0f)) ^ mask);
}

constexpr std::uint8_t alaw_code(std::int16_t sample) {
    int value = sample >> 3;
    const int mask = value < 0 ? 0x55 : 0xd5;
    if (value < 0) value = -value - 1;
    int segment = 0;
    while (value > (0x20 << segment) - 1) ++segment;
    const int step = (segment < 2 ? value >> 1 : value >> segment) & 0x0f;
    return static_cast<std::uint8_t>((segment << 4 | step) ^ mask);
}

}  // namespace spantape::gen
