// SPDX-License-Identifier: AGPL-3.0-or-later
// RTCP packets for tests, by hand from RFC 3550 §6: an implementation apart from the one that reads them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace spantape::test {

using RtcpBytes = std::vector<std::uint8_t>;

inline void append32(RtcpBytes& bytes, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

inline RtcpBytes rtcp_packet(std::uint8_t type, std::uint8_t count, std::initializer_list<std::uint32_t> words) {
    RtcpBytes bytes{static_cast<std::uint8_t>(0x80 | count), type, 0, static_cast<std::uint8_t>(words.size())};
    for (const std::uint32_t word : words) append32(bytes, word);
    return bytes;
}

// One report block: lost is 24 bits.
inline RtcpBytes receiver_report(std::uint32_t reporter, std::uint32_t about, std::uint8_t fraction, std::int32_t lost,
                                 std::uint32_t jitter, std::uint32_t last_sr = 0, std::uint32_t delay = 0) {
    const std::uint32_t loss = std::uint32_t{fraction} << 24 | (static_cast<std::uint32_t>(lost) & 0xffffff);
    return rtcp_packet(201, 1, {reporter, about, loss, 0x00010005, jitter, last_sr, delay});
}

inline RtcpBytes sender_report(std::uint32_t ssrc, std::uint64_t ntp_time) {
    return rtcp_packet(
        200, 0,
        {ssrc, static_cast<std::uint32_t>(ntp_time >> 32), static_cast<std::uint32_t>(ntp_time), 160, 50, 8000});
}

inline RtcpBytes operator+(RtcpBytes first, const RtcpBytes& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

}  // namespace spantape::test
