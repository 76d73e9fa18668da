// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/frame.h"

namespace spantape {

namespace {

constexpr std::size_t kFixedHeaderBytes = 12;
constexpr std::uint8_t kFirstRtcpType = 192;  // RFC 5761 §4: 192-223 on the wire are RTCP packet types
constexpr std::uint8_t kLastRtcpType = 223;

std::uint16_t read_u16(const std::uint8_t* at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }
std::uint32_t read_u32(const std::uint8_t* at) {
    return static_cast<std::uint32_t>(at[0]) << 24 | static_cast<std::uint32_t>(at[1]) << 16 |
           static_cast<std::uint32_t>(at[2]) << 8 | at[3];
}

}  // namespace

RtpParse parse_rtp(std::span<const std::uint8_t> datagram, RtpHeader& header) {
    const std::uint8_t* bytes = datagram.data();
    if (datagram.size() < 4 || bytes[0] >> 6 != 2) return RtpParse::not_rtp;
    if (bytes[1] >= kFirstRtcpType && bytes[1] <= kLastRtcpType) return RtpParse::rtcp;
    if (datagram.size() < kFixedHeaderBytes) return RtpParse::not_rtp;

    std::size_t offset = kFixedHeaderBytes + std::size_t{4} * (bytes[0] & 0x0f);  // CSRCs
    if (offset > datagram.size()) return RtpParse::malformed;
    if ((bytes[0] & 0x10) != 0) {  // extension, RFC 3550 §5.3.1
        if (offset + 4 > datagram.size()) return RtpParse::malformed;
        offset += 4 + std::size_t{4} * read_u16(bytes + offset + 2);
        if (offset > datagram.size()) return RtpParse::malformed;
    }
    std::size_t padding = 0;
    bool bad_padding = false;
    if ((bytes[0] & 0x20) != 0) {  // its last byte tells its length
        padding = datagram.back();
        bad_padding = padding == 0 || padding > datagram.size() - offset;
        if (bad_padding) padding = 0;
    }
    header.payload_type = bytes[1] & 0x7f;
    header.marker = (bytes[1] & 0x80) != 0;
    header.sequence = read_u16(bytes + 2);
    header.timestamp = read_u32(bytes + 4);
    header.ssrc = read_u32(bytes + 8);
    header.header_bytes = static_cast<std::uint16_t>(offset);
    header.padding_bytes = static_cast<std::uint8_t>(padding);
    header.payload = datagram.subspan(offset, datagram.size() - offset - padding);
    return bad_padding ? RtpParse::bad_padding : RtpParse::ok;
}

}  // namespace spantape
