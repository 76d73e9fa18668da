// SPDX-License-Identifier: AGPL-3.0-or-later
// RTP clock rates by payload type: the static ones, and a small fixed table of those that a call's SDP named.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace spantape {

// The clock of a static audio payload type (RFC 3551 §6), Hz; 0: none, or comfort noise, which is no steady stream.
constexpr std::uint32_t static_clock_rate_hz(std::uint8_t payload_type) {
    switch (payload_type) {
        case 6:
            return 16000;
        case 10:
        case 11:
            return 44100;
        case 16:
            return 11025;
        case 17:
            return 22050;
        case 13:
            return 0;
        default:
            return payload_type <= 18 ? 8000 : 0;
    }
}

// Plain and small: it travels in decisions by value.
class PayloadClocks {
public:
    static constexpr std::size_t kMost = 8;

    // A later rate of a payload type takes the place of the earlier; what finds no room is left out.
    void set(std::uint8_t payload_type, std::uint32_t rate_hz) {
        for (Entry& entry : entries_) {
            if (entry.rate_hz != 0 && entry.payload_type != payload_type) continue;
            entry.payload_type = payload_type & 0x7f;
            entry.rate_hz = rate_hz & 0xffffff;
            return;
        }
    }
    void merge(const PayloadClocks& newer) {
        for (const Entry& entry : newer.entries_)
            if (entry.rate_hz != 0) set(static_cast<std::uint8_t>(entry.payload_type), entry.rate_hz);
    }
    // Hz; 0: not named.
    [[nodiscard]] std::uint32_t rate_hz(std::uint8_t payload_type) const {
        for (const Entry& entry : entries_)
            if (entry.rate_hz != 0 && entry.payload_type == payload_type) return entry.rate_hz;
        return 0;
    }
    bool operator==(const PayloadClocks&) const = default;

private:
    struct Entry {
        std::uint32_t payload_type : 8 = 0;
        std::uint32_t rate_hz : 24 = 0;
        bool operator==(const Entry&) const = default;
    };
    std::array<Entry, kMost> entries_{};
};

}  // namespace spantape
