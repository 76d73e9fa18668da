// SPDX-License-Identifier: AGPL-3.0-or-later
// Takes captured packets apart down to UDP and TCP. Runs once for every packet of the port: no allocation, no
// exception, and every header is bounds-checked before its first byte is read. Ethernet with IPv4 and UDP takes the
// straight way.
#include "capture/packet/datagram.h"

#include <cstring>

namespace spantape {

namespace {

using At = const std::uint8_t*;

constexpr std::size_t kEthernetBytes = 14;
constexpr std::size_t kCookedV1Bytes = 16;
constexpr std::size_t kCookedV2Bytes = 20;
constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kIpv6Bytes = 40;
constexpr std::size_t kUdpBytes = 8;
constexpr std::size_t kTcpBytes = 20;

constexpr std::uint16_t kTypeIpv4 = 0x0800;
constexpr std::uint16_t kTypeIpv6 = 0x86dd;
constexpr std::uint16_t kLargestLength = 0x05ff;  // EtherTypes begin above; below stands an 802.3 length
constexpr std::uint16_t kCookedLlc = 0x0004;      // LINUX_SLL_P_802_2
constexpr std::uint8_t kProtocolTcp = 6;
constexpr std::uint8_t kProtocolUdp = 17;

std::uint16_t load16(At at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }

std::uint32_t load32(At at) { return std::uint32_t{load16(at)} << 16 | load16(at + 2); }

std::size_t between(At at, At end) { return static_cast<std::size_t>(end - at); }

// address.cc does the same behind a call; here it is two stores.
void store_v4(IpAddress& address, At four_bytes) {
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(address.bytes.data(), kMapped, sizeof kMapped);
    std::memcpy(address.bytes.data() + sizeof kMapped, four_bytes, 4);
}

// What rides in UDP and is no media or signalling of its own. The ports alone prove nothing (all but L2TP's and
// VXLAN's are even, so RTP may use them): the first bytes must be the tunnel's too, which no RTP or SIP begins with.
bool is_tunnel(std::uint16_t port, std::span<const std::uint8_t> payload) {
    const std::uint8_t first = payload[0];
    switch (port) {
        case 1701:  // L2TP, RFC 2661 §3.1 (version 2), RFC 3931 §4.1.2 (version 3)
            return (first & 0xc0) != 0x80 && (first & 0x34) == 0 && payload.size() >= 6 &&
                   (payload[1] == 2 || payload[1] == 3);
        case 2152:
            return (first & 0xf0) == 0x30 && payload.size() >= 8 && payload[1] == 0xff;  // GTP-U, 3GPP TS 29.281
        case 4789:
        case 8472:
            return first == 0x08 && payload.size() >= 8;  // VXLAN, RFC 7348 §5
        case 37008:
            return first == 1 && payload.size() >= 4 && payload[1] <= 5;  // TZSP
        default:
            return false;
    }
}

// at..end is the IP payload as far as it was captured.
DropReason decode_udp(At at, At end, const Packet& packet, Datagram& datagram) {
    if (between(at, end) < kUdpBytes) return DropReason::bad_udp;
    const std::size_t length = load16(at + 4);
    if (length < kUdpBytes) return DropReason::bad_udp;
    if (length > between(at, end)) {
        return packet.captured_bytes < packet.wire_bytes ? DropReason::snapped : DropReason::bad_udp;
    }
    if (length == kUdpBytes) return DropReason::empty_udp;
    datagram.source.port = load16(at);
    datagram.destination.port = load16(at + 2);
    datagram.payload = {at + kUdpBytes, length - kUdpBytes};
    if (is_tunnel(datagram.destination.port, datagram.payload)) return DropReason::unknown_encapsulation;
    datagram.time_ns = packet.time_ns;
    datagram.source_index = packet.source;
    datagram.transport = Transport::udp;
    return DropReason::none;
}

// at..end is the IP payload as far as it was captured. A payload that the snap length cut is given as far as it goes:
// what follows in the byte stream shows the gap.
DropReason decode_tcp(At at, At end, const Packet& packet, Datagram& datagram) {
    if (between(at, end) < kTcpBytes) return DropReason::bad_tcp;
    const std::size_t header_bytes = (at[12] >> 4) * std::size_t{4};
    if (header_bytes < kTcpBytes || header_bytes > between(at, end)) return DropReason::bad_tcp;
    datagram.source.port = load16(at);
    datagram.destination.port = load16(at + 2);
    datagram.payload = {at + header_bytes, end};
    datagram.time_ns = packet.time_ns;
    datagram.source_index = packet.source;
    datagram.transport = Transport::tcp;
    datagram.tcp_flags = at[13];
    datagram.tcp_sequence = load32(at + 4);
    return DropReason::none;
}

// IANA protocol numbers that are neither UDP nor TCP.
DropReason reason_of_protocol(std::uint8_t protocol) {
    switch (protocol) {
        case 4:    // IPv4 in IP
        case 41:   // IPv6 in IP
        case 47:   // GRE
        case 94:   // IP in IP, KA9Q
        case 97:   // Ethernet in IP
        case 98:   // encapsulation header, RFC 1241
        case 115:  // L2TP version 3
        case 137:  // MPLS in IP
        case 143:  // Ethernet, RFC 8986
            return DropReason::unknown_encapsulation;
        default:
            return DropReason::not_udp;
    }
}

DropReason decode_ipv4(At at, At end, const Packet& packet, Datagram& datagram) {
    if (between(at, end) < kIpv4Bytes || at[0] >> 4 != 4) return DropReason::bad_ip;
    const std::size_t header_bytes = (at[0] & 0x0fu) * std::size_t{4};
    if (header_bytes < kIpv4Bytes || header_bytes > between(at, end)) return DropReason::bad_ip;
    const std::size_t total_bytes = load16(at + 2);
    if (total_bytes != 0) {  // 0: the card splits it up after the mirror (TSO), the packet ends where the bytes end
        if (total_bytes < header_bytes) return DropReason::bad_ip;
        if (total_bytes < between(at, end)) end = at + total_bytes;
    }
    constexpr std::uint16_t kMoreFragmentsOrOffset = 0x3fff;
    if ((load16(at + 6) & kMoreFragmentsOrOffset) != 0) return DropReason::ip_fragment;
    const std::uint8_t protocol = at[9];
    if (protocol != kProtocolUdp && protocol != kProtocolTcp) return reason_of_protocol(protocol);
    store_v4(datagram.source.ip, at + 12);
    store_v4(datagram.destination.ip, at + 16);
    if (protocol == kProtocolTcp) [[unlikely]]
        return decode_tcp(at + header_bytes, end, packet, datagram);
    return decode_udp(at + header_bytes, end, packet, datagram);
}

// Walks the extension headers (RFC 8200 §4) from `protocol` at `at` on. On none, `at` stands at the UDP or TCP header,
// as `protocol` says.
DropReason skip_extensions(std::uint8_t& protocol, At& at, At end) {
    for (;;) {
        std::size_t header_bytes = 8;
        switch (protocol) {
            case kProtocolUdp:
            case kProtocolTcp:
                return DropReason::none;
            case 0:    // hop-by-hop options
            case 43:   // routing
            case 60:   // destination options
            case 135:  // mobility, RFC 6275
            case 139:  // host identity, RFC 7401
            case 140:  // shim6, RFC 5533
                if (between(at, end) < 8) return DropReason::bad_ip;
                header_bytes += at[1] * std::size_t{8};
                break;
            case 51:  // authentication, RFC 4302 §2.2: counts in words of 4
                if (between(at, end) < 8) return DropReason::bad_ip;
                header_bytes += at[1] * std::size_t{4};
                break;
            case 44: {  // fragment; one with offset 0 and no more to come is the whole packet (RFC 6946)
                if (between(at, end) < 8) return DropReason::bad_ip;
                constexpr std::uint16_t kOffsetOrMore = 0xfff9;
                if ((load16(at + 2) & kOffsetOrMore) != 0) return DropReason::ip_fragment;
                break;
            }
            default:
                return reason_of_protocol(protocol);
        }
        if (header_bytes > between(at, end)) return DropReason::bad_ip;
        protocol = at[0];
        at += header_bytes;
    }
}

DropReason decode_ipv6(At at, At end, const Packet& packet, Datagram& datagram) {
    if (between(at, end) < kIpv6Bytes || at[0] >> 4 != 6) return DropReason::bad_ip;
    const std::size_t payload_bytes = load16(at + 4);
    At next = at + kIpv6Bytes;
    // 0: a jumbogram (RFC 2675) or, as with IPv4, one that the card splits up
    if (payload_bytes != 0 && payload_bytes < between(next, end)) end = next + payload_bytes;
    std::uint8_t protocol = at[6];
    const DropReason reason = skip_extensions(protocol, next, end);
    if (reason != DropReason::none) return reason;
    std::memcpy(datagram.source.ip.bytes.data(), at + 8, 16);
    std::memcpy(datagram.destination.ip.bytes.data(), at + 24, 16);
    if (protocol == kProtocolTcp) return decode_tcp(next, end, packet, datagram);
    return decode_udp(next, end, packet, datagram);
}

// Raw IP: the version nibble is all that tells them apart.
DropReason decode_ip(At at, At end, const Packet& packet, Datagram& datagram) {
    if (at == end) return DropReason::bad_ip;
    switch (at[0] >> 4) {
        case 4:
            return decode_ipv4(at, end, packet, datagram);
        case 6:
            return decode_ipv6(at, end, packet, datagram);
        default:
            return DropReason::not_ip;
    }
}

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

// What follows an EtherType (or an 802.3 length); each turn of the loop consumes a tag or a SNAP header.
DropReason decode_type(std::uint16_t type, At at, At end, const Packet& packet, Datagram& datagram) {
    for (;;) {
        switch (type) {
            case kTypeIpv4:
                return decode_ipv4(at, end, packet, datagram);
            case kTypeIpv6:
                return decode_ipv6(at, end, packet, datagram);
            case 0x8100:  // 802.1Q
            case 0x88a8:  // 802.1ad
            case 0x9100:  // QinQ before 802.1ad had a number
            case 0x9200:
            case 0x9300:
                if (between(at, end) < 4) return DropReason::truncated_link;
                type = load16(at + 2);
                at += 4;
                break;
            case 0x8847:  // MPLS
            case 0x8848:  // MPLS with upstream label
            case 0x8864:  // PPPoE session
            case 0x88e5:  // MACsec
            case 0x88e7:  // 802.1ah
            case 0x8909:  // Cisco metadata
            case 0x8926:  // VN-tag
            case 0x893f:  // 802.1BR
            case 0x894f:  // network service header
                return DropReason::unknown_encapsulation;
            default: {
                if (type > kLargestLength) return DropReason::not_ip;
                const DropReason reason = skip_llc(type, at, end);
                if (reason != DropReason::none) return reason;
            }
        }
    }
}

DropReason decode_cooked(std::uint16_t type, At at, At end, const Packet& packet, Datagram& datagram) {
    // Below the EtherTypes stand numbers of Linux' own, of which only 802.2 can carry IP.
    if (type <= kLargestLength && type != kCookedLlc) return DropReason::not_ip;
    return decode_type(type, at, end, packet, datagram);
}

// The address family stands in the byte order of the capturing host (DLT_NULL) or the network (DLT_LOOP), and IPv6 has
// another number on each system.
DropReason decode_null_loopback(At at, At end, const Packet& packet, Datagram& datagram) {
    if (between(at, end) < 4) return DropReason::truncated_link;
    const std::uint32_t low = at[0] | at[1] << 8;
    const std::uint32_t high = at[3] | at[2] << 8;
    const bool little = at[2] == 0 && at[3] == 0;
    const bool big = at[0] == 0 && at[1] == 0;
    if (!little && !big) return DropReason::not_ip;
    switch (little ? low : high) {
        case 2:
            return decode_ipv4(at + 4, end, packet, datagram);
        case 10:  // Linux
        case 24:  // NetBSD, OpenBSD
        case 28:  // FreeBSD
        case 30:  // macOS
            return decode_ipv6(at + 4, end, packet, datagram);
        default:
            return DropReason::not_ip;
    }
}

struct ReasonText {
    std::string_view name;
    std::string_view description;
};

constexpr ReasonText kReasons[] = {
    {"none", "the packet was used"},
#define DROP_REASON(name, text) {#name, text},
#include "capture/packet/drop_reasons.def"
#undef DROP_REASON
    {"unknown", "not a drop reason"},
};
static_assert(std::size(kReasons) == kDropReasons + 1);

const ReasonText& text_of(DropReason reason) {
    const auto index = static_cast<std::size_t>(reason);
    return kReasons[index < kDropReasons ? index : kDropReasons];
}

}  // namespace

std::string_view name_of(DropReason reason) { return text_of(reason).name; }
std::string_view description_of(DropReason reason) { return text_of(reason).description; }

DropReason decode_datagram(const Packet& packet, Datagram& datagram) {
    const At at = packet.data;
    const At end = at + packet.captured_bytes;
    const std::size_t bytes = packet.captured_bytes;
    if (packet.link == LinkType::ethernet) {
        if (bytes < kEthernetBytes) return DropReason::truncated_link;
        const std::uint16_t type = load16(at + 12);
        if (type == kTypeIpv4) [[likely]] {
            return decode_ipv4(at + kEthernetBytes, end, packet, datagram);
        }
        return decode_type(type, at + kEthernetBytes, end, packet, datagram);
    }
    switch (packet.link) {
        case LinkType::linux_cooked_v1:
            if (bytes < kCookedV1Bytes) return DropReason::truncated_link;
            return decode_cooked(load16(at + 14), at + kCookedV1Bytes, end, packet, datagram);
        case LinkType::linux_cooked_v2:
            if (bytes < kCookedV2Bytes) return DropReason::truncated_link;
            return decode_cooked(load16(at), at + kCookedV2Bytes, end, packet, datagram);
        case LinkType::raw_ip:
            return decode_ip(at, end, packet, datagram);
        case LinkType::null_loopback:
            return decode_null_loopback(at, end, packet, datagram);
        case LinkType::ethernet:
            break;
    }
    return DropReason::truncated_link;
}

}  // namespace spantape
