// SPDX-License-Identifier: AGPL-3.0-or-later
// What a capture's packets begin with, and EtherTypes with what stands between them and IP.
#include "capture/packet/layers.h"

namespace spantape::layers {

namespace {

constexpr std::size_t kCookedV1Bytes = 16;
constexpr std::size_t kCookedV2Bytes = 20;
constexpr std::uint16_t kCookedLlc = 0x0004;  // LINUX_SLL_P_802_2

// IEEE 802.2 LLC. On none, `type` and `at` are those behind a SNAP header (RFC 1042).
DropReason skip_llc(std::uint16_t& type, At& at, At end) {
    if (between(at, end) < 3) return DropReason::truncated_link;
    constexpr std::uint8_t kSnap = 0xaa;
    constexpr std::uint8_t kUnnumbered = 0x03;
    if (at[0] != kSnap || at[1] != kSnap || at[2] != kUnnumbered) return DropReason::not_ip;
    if (between(at, end) < 8) return DropReason::truncated_link;
    const bool ethertype = at[3] == 0 && at[4] == 0 && (at[5] == 0 || at[5] == 0xf8);  // 0xf8: 802.1H bridges
    type = load16(at + 6);
    at += 8;
    return ethertype && type > kLargestLength ? DropReason::none : DropReason::not_ip;
}

DropReason decode_other_type(std::uint16_t type, At at, At end, Descent& descent) {
    if (const Layer layer = layer_of_type(type)) return open(layer, at, end, descent);
    constexpr std::uint16_t kMacsec = 0x88e5;
    constexpr std::uint16_t kServiceHeader = 0x894f;  // RFC 8300
    if (type == kMacsec || type == kServiceHeader) return DropReason::unknown_encapsulation;
    return DropReason::not_ip;
}

DropReason decode_cooked(std::uint16_t type, At at, At end, Descent& descent) {
    // Below the EtherTypes stand numbers of Linux' own, of which only 802.2 can carry IP.
    if (type <= kLargestLength && type != kCookedLlc) return DropReason::not_ip;
    return decode_type(type, at, end, descent);
}

// The address family stands in the byte order of the capturing host (DLT_NULL) or the network (DLT_LOOP), and IPv6 has
// another number on each system.
DropReason decode_null_loopback(At at, At end, Descent& descent) {
    if (between(at, end) < 4) return DropReason::truncated_link;
    const std::uint32_t low = at[0] | at[1] << 8;
    const std::uint32_t high = at[3] | at[2] << 8;
    const bool little = at[2] == 0 && at[3] == 0;
    const bool big = at[0] == 0 && at[1] == 0;
    if (!little && !big) return DropReason::not_ip;
    switch (little ? low : high) {
        case 2:
            return decode_ipv4(at + 4, end, descent);
        case 10:  // Linux
        case 24:  // NetBSD, OpenBSD
        case 28:  // FreeBSD
        case 30:  // macOS
            return decode_ipv6(at + 4, end, descent);
        default:
            return DropReason::not_ip;
    }
}

// Serial lines: PPP, or Cisco's HDLC, which has an EtherType behind an address that PPP never has.
DropReason decode_serial(At at, At end, Descent& descent) {
    if (at == end) return DropReason::truncated_link;
    constexpr std::uint8_t kUnicast = 0x0f;
    constexpr std::uint8_t kMulticast = 0x8f;
    if (at[0] == kUnicast || at[0] == kMulticast) {
        if (between(at, end) < 4) return DropReason::truncated_link;
        const std::uint16_t type = load16(at + 2);
        return type > kLargestLength ? decode_type(type, at + 4, end, descent) : DropReason::not_ip;
    }
    constexpr std::uint8_t kControl = 0x03;
    const bool directed =
        between(at, end) >= 2 && at[0] <= 1 && at[1] == kControl;  // pppd: a direction for the address
    return decode_ppp(directed ? at + 2 : at, end, descent);
}

// Endace's extensible record format: 16 bytes, extension headers of 8 each while the first bit of the last type says
// so, and the packet, before Ethernet with two bytes of padding.
DropReason decode_erf(At at, At end, Descent& descent) {
    if (between(at, end) < 16) return DropReason::truncated_link;
    const At header = at;
    bool more = (header[8] & 0x80) != 0;
    at += 16;
    for (; more; at += 8) {
        if (between(at, end) < 8) return DropReason::truncated_link;
        more = (at[0] & 0x80) != 0;
    }
    const std::size_t wire_bytes = load16(header + 14);
    switch (header[8] & 0x7f) {
        case 2:   // ETH
        case 11:  // COLOR_ETH
        case 16:  // DSM_COLOR_ETH
        case 20:  // COLOR_HASH_ETH
            if (between(at, end) < 2) return DropReason::truncated_link;
            at += 2;
            descent.cut |= between(at, end) < wire_bytes;
            return decode_ethernet(at, end, descent);
        case 1:   // HDLC_POS
        case 10:  // COLOR_HDLC_POS
        case 15:  // DSM_COLOR_HDLC_POS
        case 17:  // COLOR_MC_HDLC_POS
        case 19:  // COLOR_HASH_POS
            descent.cut |= between(at, end) < wire_bytes;
            return decode_serial(at, end, descent);
        case 22:  // IPV4
        case 23:  // IPV6
            descent.cut |= between(at, end) < wire_bytes;
            return decode_ip(at, end, descent);
        default:
            return DropReason::not_ip;
    }
}

}  // namespace

std::size_t tag_bytes(std::uint16_t type) {
    switch (type) {
        case 0x8100:  // 802.1Q
        case 0x88a8:  // 802.1ad
        case 0x9100:  // QinQ before 802.1ad had a number
        case 0x9200:
        case 0x9300:
            return 4;
        case 0x8926:  // Cisco VN-tag
            return 6;
        case 0x893f:  // 802.1BR
        case 0x8909:  // Cisco metadata: version, length, a security group's option
            return 8;
        default:
            return 0;
    }
}

DropReason decode_type(std::uint16_t type, At at, At end, Descent& descent) {
    for (;;) {
        if (type == kTypeIpv4) return decode_ipv4(at, end, descent);
        if (type == kTypeIpv6) return decode_ipv6(at, end, descent);
        if (const std::size_t bytes = tag_bytes(type)) {
            if (between(at, end) < bytes) return DropReason::truncated_link;
            at += bytes;
            type = load16(at - 2);
            continue;
        }
        if (type > kLargestLength) return decode_other_type(type, at, end, descent);
        const DropReason reason = skip_llc(type, at, end);
        if (reason != DropReason::none) return reason;
    }
}

DropReason decode_ethernet(At at, At end, Descent& descent) {
    if (between(at, end) < kEthernetBytes) return DropReason::truncated_link;
    return decode_type(load16(at + 12), at + kEthernetBytes, end, descent);
}

DropReason decode_link(LinkType link, At at, At end, Descent& descent) {
    switch (link) {
        case LinkType::ethernet:
            return decode_ethernet(at, end, descent);
        case LinkType::linux_cooked_v1:
            if (between(at, end) < kCookedV1Bytes) return DropReason::truncated_link;
            return decode_cooked(load16(at + 14), at + kCookedV1Bytes, end, descent);
        case LinkType::linux_cooked_v2:
            if (between(at, end) < kCookedV2Bytes) return DropReason::truncated_link;
            return decode_cooked(load16(at), at + kCookedV2Bytes, end, descent);
        case LinkType::raw_ip:
            return decode_ip(at, end, descent);
        case LinkType::null_loopback:
            return decode_null_loopback(at, end, descent);
        case LinkType::serial:
            return decode_serial(at, end, descent);
        case LinkType::pppoe:
            return decode_pppoe(at, end, descent);
        case LinkType::erf:
            return decode_erf(at, end, descent);
    }
    return DropReason::truncated_link;
}

}  // namespace spantape::layers
