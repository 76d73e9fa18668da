// SPDX-License-Identifier: AGPL-3.0-or-later
// The layers of a packet, each a function that takes its header off and goes on with what it carries; for the files of
// this folder only. All of them run on the worker's thread, allocate nothing, and check every header's bounds before
// its first byte is read. What is given is `at`..`end`: the layer's bytes as far as they were captured.
//
// They call one another down to UDP or TCP. What may come within itself is entered through open(), which bounds how
// deep.
#pragma once

#include <cstdint>
#include <optional>

#include "capture/packet/datagram.h"

namespace spantape::layers {

using At = const std::uint8_t*;

// What the layers of one packet share on the way down.
struct Descent {
    Datagram& datagram;
    Fragments* fragments = nullptr;  // none: fragments are not joined
    bool cut = false;                // the packet was longer on the wire
    unsigned opened = 0;             // encapsulations, and datagrams joined
};

inline constexpr unsigned kDeepest = 16;  // may be opened

using Layer = DropReason (*)(At at, At end, Descent& descent);

inline std::uint16_t load16(At at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }
inline std::uint32_t load32(At at) { return std::uint32_t{load16(at)} << 16 | load16(at + 2); }
inline std::size_t between(At at, At end) { return static_cast<std::size_t>(end - at); }

inline constexpr std::size_t kEthernetBytes = 14;
inline constexpr std::uint16_t kTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kTypeIpv6 = 0x86dd;
inline constexpr std::uint16_t kTypeMpls = 0x8847;
inline constexpr std::uint16_t kTypePpp = 0x880b;
inline constexpr std::uint16_t kTypeBridging = 0x6558;   // Ethernet in Ethernet's numbers, RFC 1701
inline constexpr std::uint16_t kLargestLength = 0x05ff;  // EtherTypes begin above; below stands an 802.3 length
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;

// datagram.cc: the straight way.
DropReason decode_ipv4(At at, At end, Descent& descent);
DropReason decode_udp(At at, At end, Descent& descent);

// ip.cc
DropReason decode_ip(At at, At end, Descent& descent);  // as the version nibble says
DropReason decode_ipv6(At at, At end, Descent& descent);
DropReason join_ipv4(At at, At payload, At end, Descent& descent);  // a fragment: `at` its header
DropReason decode_transport(std::uint8_t protocol, At at, At end, Descent& descent);

// link_layers.cc
DropReason decode_link(LinkType link, At at, At end, Descent& descent);
DropReason decode_ethernet(At at, At end, Descent& descent);
// Bytes of a tag behind its EtherType, the next EtherType included; 0: the type is no tag's.
[[nodiscard]] std::size_t tag_bytes(std::uint16_t type);
// What follows an EtherType (or an 802.3 length): tags, SNAP, IP, or an encapsulation.
DropReason decode_type(std::uint16_t type, At at, At end, Descent& descent);

// tunnels.cc. The layer of an IP protocol number or an EtherType that is an encapsulation; nullptr: it is none of ours.
[[nodiscard]] Layer layer_of_protocol(std::uint8_t protocol);
[[nodiscard]] Layer layer_of_type(std::uint16_t type);
DropReason open(Layer layer, At at, At end, Descent& descent);
DropReason decode_pppoe(At at, At end, Descent& descent);

// ppp.cc: PPP (RFC 1661), with or without its HDLC address and control bytes.
DropReason decode_ppp(At at, At end, Descent& descent);

// mpls.cc
DropReason decode_mpls(At at, At end, Descent& descent);
[[nodiscard]] bool looks_like_mpls(At at, At end);      // whole stack, and behind it what can be read
[[nodiscard]] bool looks_like_ethernet(At at, At end);  // with an EtherType that leads to IP

// udp_tunnels.cc: the tunnel in the datagram found, if it is one's data; else nothing, and the datagram stands.
std::optional<DropReason> open_udp_tunnel(Descent& descent);

}  // namespace spantape::layers
