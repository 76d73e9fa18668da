// SPDX-License-Identifier: AGPL-3.0-or-later
// The straight way of a packet, Ethernet with IPv4 and UDP, which runs once for every packet of the port. All else
// branches off to the other files of this folder.
#include "capture/packet/datagram.h"

#include <algorithm>
#include <cstring>

#include "capture/packet/layers.h"

namespace spantape {

namespace layers {

namespace {

constexpr std::size_t kIpv4Bytes = 20;
constexpr std::size_t kUdpBytes = 8;

// address.cc does the same behind a call; here it is two stores.
void store_v4(IpAddress& address, At four_bytes) {
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(address.bytes.data(), kMapped, sizeof kMapped);
    std::memcpy(address.bytes.data() + sizeof kMapped, four_bytes, 4);
}

// RFC 3550 §5.1: version 2 stands in the first two bits. A tunnel's header does not begin so.
bool begins_like_rtp(std::uint8_t first) { return (first & 0xc0) == 0x80; }

// The straight way is one function to the compiler; the other ways call it.
[[gnu::always_inline]] inline DropReason straight_udp(At at, At end, Descent& descent) {
    if (between(at, end) < kUdpBytes) return DropReason::bad_udp;
    Datagram& datagram = descent.datagram;
    datagram.source.port = load16(at);
    datagram.destination.port = load16(at + 2);
    const std::size_t length = load16(at + 4);
    const std::size_t there = between(at, end);
    if (length < kUdpBytes) return DropReason::bad_udp;
    if (length == kUdpBytes) return DropReason::empty_udp;
    if (length > there && !descent.cut) return DropReason::bad_udp;
    datagram.payload = {at + kUdpBytes, std::min(length, there) - kUdpBytes};
    datagram.transport = Transport::udp;
    if (!datagram.payload.empty() && !begins_like_rtp(datagram.payload[0])) [[unlikely]] {
        if (const auto opened = open_udp_tunnel(descent)) return *opened;
    }
    return length > there ? DropReason::snapped : DropReason::none;
}

[[gnu::always_inline]] inline DropReason straight_ipv4(At at, At end, Descent& descent) {
    if (between(at, end) < kIpv4Bytes || at[0] >> 4 != 4) return DropReason::bad_ip;
    const std::size_t header_bytes = (at[0] & 0x0fu) * std::size_t{4};
    if (header_bytes < kIpv4Bytes || header_bytes > between(at, end)) return DropReason::bad_ip;
    const std::size_t total_bytes = load16(at + 2);
    if (total_bytes != 0) {  // 0: the card splits it up after the mirror (TSO), the packet ends where the bytes end
        if (total_bytes < header_bytes) return DropReason::bad_ip;
        if (total_bytes < between(at, end)) end = at + total_bytes;
    }
    store_v4(descent.datagram.source.ip, at + 12);
    store_v4(descent.datagram.destination.ip, at + 16);
    constexpr std::uint16_t kMoreFragmentsOrOffset = 0x3fff;
    if ((load16(at + 6) & kMoreFragmentsOrOffset) != 0) [[unlikely]]
        return join_ipv4(at, at + header_bytes, end, descent);
    if (at[9] != kProtocolUdp) [[unlikely]]
        return decode_transport(at[9], at + header_bytes, end, descent);
    return straight_udp(at + header_bytes, end, descent);
}

}  // namespace

DropReason decode_udp(At at, At end, Descent& descent) { return straight_udp(at, end, descent); }
DropReason decode_ipv4(At at, At end, Descent& descent) { return straight_ipv4(at, end, descent); }

}  // namespace layers

DropReason decode_datagram(const Packet& packet, Datagram& datagram, Fragments* fragments) {
    using namespace layers;
    const At at = packet.data;
    const At end = at + packet.captured_bytes;
    datagram.time_ns = packet.time_ns;
    datagram.source_index = packet.source;
    Descent descent{datagram, fragments, packet.captured_bytes < packet.wire_bytes};
    if (packet.link == LinkType::ethernet && packet.captured_bytes >= kEthernetBytes && load16(at + 12) == kTypeIpv4)
        [[likely]]
        return straight_ipv4(at + kEthernetBytes, end, descent);
    return decode_link(packet.link, at, end, descent);
}

}  // namespace spantape
