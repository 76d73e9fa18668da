// SPDX-License-Identifier: AGPL-3.0-or-later
// Tunnels in UDP. The ports alone prove nothing (most are even, so RTP may use them): the first bytes must be those of
// the tunnel's data, which no RTP or SIP begins with. A tunnel's own messages (L2TP control, GTP echo) are left as what
// they are, UDP of no use to us.
#include <algorithm>

#include "capture/packet/layers.h"

namespace spantape::layers {

namespace {

using Opened = std::optional<DropReason>;

// RFC 7348 §5: the flag that says that there is a network identifier, and no other.
Opened open_vxlan(At at, At end, Descent& descent) {
    constexpr std::size_t kHeaderBytes = 8;
    if (between(at, end) < kHeaderBytes || at[0] != 0x08) return {};
    return open(decode_ethernet, at + kHeaderBytes, end, descent);
}

// RFC 8926 §3.4: version 0, no control message, reserved bits zero.
Opened open_geneve(At at, At end, Descent& descent) {
    constexpr std::size_t kHeaderBytes = 8;
    if (between(at, end) < kHeaderBytes || (at[0] & 0xc0) != 0 || (at[1] & 0xbf) != 0 || at[7] != 0) return {};
    const std::uint16_t type = load16(at + 2);
    if (type != kTypeIpv4 && type != kTypeIpv6 && type != kTypeBridging) return {};
    const std::size_t option_bytes = at[0] * std::size_t{4};
    at += kHeaderBytes;
    if (option_bytes > between(at, end)) return DropReason::truncated_link;
    if (type == kTypeBridging) return open(decode_ethernet, at + option_bytes, end, descent);
    return open(decode_ip, at + option_bytes, end, descent);
}

// Behind GTP's extension headers (3GPP TS 29.281 §5.2): a length in words of 4, contents, and the next one's type in
// the last byte. nullptr: they run beyond the end.
At skip_gtp_extensions(std::uint8_t next, At at, At end) {
    while (next != 0) {
        if (at == end) return nullptr;
        const std::size_t bytes = at[0] * std::size_t{4};
        if (bytes == 0 || bytes > between(at, end)) return nullptr;
        at += bytes;
        next = at[-1];
    }
    return at;
}

// 3GPP TS 29.281 §5.1: version 1, a user's packet. A word of options follows where any of three flags is set.
Opened open_gtp(At at, At end, Descent& descent) {
    constexpr std::size_t kHeaderBytes = 8;
    constexpr std::uint8_t kUserPacket = 0xff;
    if (between(at, end) < kHeaderBytes || (at[0] & 0xf0) != 0x30 || at[1] != kUserPacket) return {};
    const bool extended = (at[0] & 0x04) != 0;
    const bool optional = (at[0] & 0x07) != 0;
    const std::size_t length = load16(at + 2);
    at += kHeaderBytes;
    end = at + std::min(length, between(at, end));
    if (optional) {
        if (between(at, end) < 4) return DropReason::truncated_link;
        at += 4;
        at = skip_gtp_extensions(extended ? at[-1] : 0, at, end);
        if (at == nullptr) return DropReason::truncated_link;
    }
    if (at != end && (at[0] >> 4 == 4 || at[0] >> 4 == 6)) return open(decode_ip, at, end, descent);
    if (looks_like_ethernet(at, end)) return open(decode_ethernet, at, end, descent);
    return between(at, end) < kEthernetBytes ? DropReason::truncated_link : DropReason::unknown_encapsulation;
}

// RFC 2661 §3.1: data of version 2, with PPP in it; where its optional fields end.
Opened open_l2tp(At at, At end, Descent& descent) {
    constexpr std::size_t kSmallestBytes = 6;
    if (between(at, end) < kSmallestBytes) return {};
    const std::uint16_t flags = load16(at);
    if (load32(at) == 0x00030000) return DropReason::unknown_encapsulation;  // version 3, RFC 3931 §4.1.2.1
    constexpr std::uint16_t kControl = 0x8000, kLength = 0x4000, kSequence = 0x0800, kOffset = 0x0200;
    constexpr std::uint16_t kReservedAndVersion = 0x34ff;
    if ((flags & kControl) != 0 || (flags & kReservedAndVersion) != 2) return {};
    std::size_t header_bytes = kSmallestBytes;
    if ((flags & kLength) != 0) {
        const std::size_t length = load16(at + 2);
        if (length < between(at, end)) end = at + length;
        header_bytes += 2;
    }
    if ((flags & kSequence) != 0) header_bytes += 4;
    if ((flags & kOffset) != 0) {
        header_bytes += 2;
        if (header_bytes > between(at, end)) return DropReason::truncated_link;
        header_bytes += load16(at + header_bytes - 2);
    }
    if (header_bytes > between(at, end)) return DropReason::truncated_link;
    return open(decode_ppp, at + header_bytes, end, descent);
}

// Behind TZSP's tags; nullptr: they run beyond the end.
At skip_tzsp_tags(At at, At end) {
    constexpr std::uint8_t kPadding = 0, kLast = 1;
    while (at != end) {
        const std::uint8_t tag = *at++;
        if (tag == kLast) return at;
        if (tag == kPadding) continue;
        if (at == end || *at >= between(at, end)) return nullptr;
        at += 1 + *at;
    }
    return nullptr;
}

// TaZmen Sniffer Protocol: version 1, a packet received or to be sent, what it is, and tags.
Opened open_tzsp(At at, At end, Descent& descent) {
    constexpr std::size_t kHeaderBytes = 4;
    if (between(at, end) < kHeaderBytes || at[0] != 1 || at[1] > 1) return {};
    constexpr std::uint16_t kEthernet = 1, kWireless = 18, kPrism = 119, kRadioTap = 127;
    const std::uint16_t packet_type = load16(at + 2);
    if (packet_type == kWireless || packet_type == kPrism || packet_type == kRadioTap)
        return DropReason::unknown_encapsulation;
    if (packet_type != kEthernet) return {};
    const At packet = skip_tzsp_tags(at + kHeaderBytes, end);
    return packet == nullptr ? DropReason::truncated_link : open(decode_ethernet, packet, end, descent);
}

// RFC 7510
Opened open_mpls(At at, At end, Descent& descent) {
    if (!looks_like_mpls(at, end)) return {};
    return open(decode_mpls, at, end, descent);
}

}  // namespace

Opened open_udp_tunnel(Descent& descent) {
    const Datagram& datagram = descent.datagram;
    const At at = datagram.payload.data();
    const At end = at + datagram.payload.size();
    constexpr std::uint16_t kL2tp = 1701;
    switch (datagram.destination.port) {
        case 4789:
        case 8472:  // Linux' before there was a number
            return open_vxlan(at, end, descent);
        case 6081:
            return open_geneve(at, end, descent);
        case 2152:
            return open_gtp(at, end, descent);
        case 37008:
            return open_tzsp(at, end, descent);
        case 6635:
            return open_mpls(at, end, descent);
        case kL2tp:
            return open_l2tp(at, end, descent);
        default:  // RFC 2661 §8.1: the answers go from the number to any port
            return datagram.source.port == kL2tp ? open_l2tp(at, end, descent) : Opened{};
    }
}

}  // namespace spantape::layers
