// SPDX-License-Identifier: AGPL-3.0-or-later
// IPv6, fragments of both versions, TCP, and what else stands behind an IP header.
#include <cstring>

#include "capture/packet/fragments.h"
#include "capture/packet/layers.h"

namespace spantape::layers {

namespace {

constexpr std::size_t kIpv6Bytes = 40;
constexpr std::size_t kExtensionBytes = 8;  // at least
constexpr std::size_t kTcpBytes = 20;
constexpr std::uint8_t kFragmentHeader = 44;
constexpr std::uint8_t kAuthentication = 51;

// A payload that the snap length cut is given as far as it goes: what follows in the byte stream shows the gap.
DropReason decode_tcp(At at, At end, Descent& descent) {
    if (between(at, end) < kTcpBytes) return DropReason::bad_tcp;
    const std::size_t header_bytes = (at[12] >> 4) * std::size_t{4};
    if (header_bytes < kTcpBytes || header_bytes > between(at, end)) return DropReason::bad_tcp;
    Datagram& datagram = descent.datagram;
    datagram.source.port = load16(at);
    datagram.destination.port = load16(at + 2);
    datagram.payload = {at + header_bytes, end};
    datagram.transport = Transport::tcp;
    datagram.tcp_flags = at[13];
    datagram.tcp_sequence = load32(at + 4);
    return DropReason::none;
}

void forget_ports(Datagram& datagram) { datagram.source.port = datagram.destination.port = 0; }

// IPv6 extension headers (RFC 8200 §4) behind which another header stands.
bool is_extension(std::uint8_t protocol) {
    switch (protocol) {
        case 0:   // hop-by-hop options
        case 43:  // routing
        case kFragmentHeader:
        case kAuthentication:
        case 60:   // destination options
        case 135:  // mobility, RFC 6275
        case 139:  // host identity, RFC 7401
        case 140:  // shim6, RFC 5533
            return true;
        default:
            return false;
    }
}

// `at` has kExtensionBytes at least.
std::size_t extension_bytes(std::uint8_t protocol, At at) {
    if (protocol == kFragmentHeader) return kExtensionBytes;
    return kExtensionBytes + at[1] * std::size_t{protocol == kAuthentication ? 4u : 8u};  // RFC 4302 §2.2
}

// A fragment header with offset 0 and no more to come stands in a whole packet (RFC 6946).
bool is_part(At at) { return (load16(at + 2) & 0xfff9) != 0; }

// Whether UDP or TCP can stand behind it. What else comes in fragments (ICMP, ESP) is not worth joining.
bool leads_to_transport(std::uint8_t protocol) {
    return protocol == kProtocolUdp || protocol == kProtocolTcp || is_extension(protocol) ||
           layer_of_protocol(protocol) != nullptr;
}

DropReason decode_ipv6_payload(std::uint8_t protocol, At at, At end, bool whole, Descent& descent);

// `whole`: the fragment's bytes are all there. Its addresses are in the descent's datagram.
DropReason join(Fragment fragment, bool whole, Descent& descent) {
    forget_ports(descent.datagram);
    if (!leads_to_transport(fragment.protocol)) return DropReason::not_udp;
    if (!whole) return descent.cut ? DropReason::snapped : DropReason::bad_ip;
    if (descent.fragments == nullptr) return DropReason::fragment_incomplete;
    if (++descent.opened > kDeepest) return DropReason::nested_too_deep;
    fragment.source = descent.datagram.source.ip;
    fragment.destination = descent.datagram.destination.ip;
    fragment.time_ns = descent.datagram.time_ns;
    const Fragments::Joined joined = descent.fragments->add(fragment);
    if (joined.reason != DropReason::none) return joined.reason;
    const At at = joined.bytes.data();
    const At end = at + joined.bytes.size();
    descent.cut = false;
    if (!fragment.ipv6) return decode_transport(joined.protocol, at, end, descent);
    return decode_ipv6_payload(joined.protocol, at, end, true, descent);
}

DropReason join_ipv6(At at, At end, bool whole, Descent& descent) {
    const std::uint16_t offset_and_more = load16(at + 2);
    return join({.id = load32(at + 4),
                 .protocol = at[0],
                 .ipv6 = true,
                 .more = (offset_and_more & 1) != 0,
                 .offset = offset_and_more & 0xfff8u,
                 .bytes = {at + kExtensionBytes, end}},
                whole, descent);
}

DropReason decode_ipv6_payload(std::uint8_t protocol, At at, At end, bool whole, Descent& descent) {
    while (is_extension(protocol)) {
        if (between(at, end) < kExtensionBytes) return DropReason::bad_ip;
        if (protocol == kFragmentHeader && is_part(at)) return join_ipv6(at, end, whole, descent);
        const std::size_t header_bytes = extension_bytes(protocol, at);
        if (header_bytes > between(at, end)) return DropReason::bad_ip;
        protocol = at[0];
        at += header_bytes;
    }
    return decode_transport(protocol, at, end, descent);
}

}  // namespace

DropReason decode_transport(std::uint8_t protocol, At at, At end, Descent& descent) {
    if (protocol == kProtocolUdp) return decode_udp(at, end, descent);
    if (protocol == kProtocolTcp) return decode_tcp(at, end, descent);
    forget_ports(descent.datagram);
    if (const Layer layer = layer_of_protocol(protocol)) return open(layer, at, end, descent);
    constexpr std::uint8_t kEncapsulation = 98;  // RFC 1241
    constexpr std::uint8_t kL2tpV3 = 115;        // RFC 3931: how long its cookie is only its two ends know
    if (protocol == kEncapsulation || protocol == kL2tpV3) return DropReason::unknown_encapsulation;
    return DropReason::not_udp;
}

DropReason join_ipv4(At at, At payload, At end, Descent& descent) {
    constexpr std::uint16_t kMoreFragments = 0x2000;
    constexpr std::uint16_t kOffset = 0x1fff;
    const std::uint16_t flags_and_offset = load16(at + 6);
    return join({.id = load16(at + 4),
                 .protocol = at[9],
                 .more = (flags_and_offset & kMoreFragments) != 0,
                 .offset = (flags_and_offset & kOffset) * 8u,
                 .bytes = {payload, end}},
                load16(at + 2) == between(at, end), descent);
}

DropReason decode_ipv6(At at, At end, Descent& descent) {
    if (between(at, end) < kIpv6Bytes || at[0] >> 4 != 6) return DropReason::bad_ip;
    std::memcpy(descent.datagram.source.ip.bytes.data(), at + 8, 16);
    std::memcpy(descent.datagram.destination.ip.bytes.data(), at + 24, 16);
    const std::size_t payload_bytes = load16(at + 4);
    const At payload = at + kIpv6Bytes;
    // 0: a jumbogram (RFC 2675) or, as with IPv4, one that the card splits up
    if (payload_bytes != 0 && payload_bytes < between(payload, end)) end = payload + payload_bytes;
    return decode_ipv6_payload(at[6], payload, end, payload_bytes == between(payload, end), descent);
}

DropReason decode_ip(At at, At end, Descent& descent) {
    if (at == end) return DropReason::bad_ip;
    switch (at[0] >> 4) {
        case 4:
            return decode_ipv4(at, end, descent);
        case 6:
            return decode_ipv6(at, end, descent);
        default:
            return DropReason::not_ip;
    }
}

}  // namespace spantape::layers
