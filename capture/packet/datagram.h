// SPDX-License-Identifier: AGPL-3.0-or-later
// Bytes of a captured packet -> UDP datagram or TCP segment. No allocation; any thread, with Fragments of its own.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "capture/base/address.h"
#include "capture/base/clock.h"
#include "capture/packet/drop_reason.h"
#include "capture/source/source.h"

namespace spantape {

class Fragments;

enum class Transport : std::uint8_t { udp, tcp };

struct Datagram {
    Endpoint source;
    Endpoint destination;
    std::span<const std::uint8_t> payload;  // in the packet's bytes or, where it was joined, in those of Fragments
    TimeNs time_ns = 0;
    std::uint8_t source_index = 0;  // Packet::source
    Transport transport = Transport::udp;
    std::uint8_t tcp_flags = 0;      // RFC 9293 §3.1: FIN 1, SYN 2, RST 4, PSH 8, ACK 16; of tcp only
    std::uint32_t tcp_sequence = 0;  // of the payload's first byte, or of the SYN; of tcp only
};

// Takes a packet apart down to UDP (RFC 768) or TCP (RFC 9293; its payload may be empty):
// - link layers: Ethernet II, 802.3 LLC/SNAP, any depth of 802.1Q/802.1ad/QinQ, VN, 802.1BR and Cisco metadata tags,
//   Linux cooked v1 and v2, raw IP, BSD null/loopback, PPP, PPPoE, ERF;
// - IPv4 (RFC 791), IPv6 with extension headers (RFC 8200 §4), fragments of both joined by `fragments`;
// - within one another, up to a depth of 16: MPLS with IP or Ethernet (RFC 4448), 802.1ah, PPPoE, GRE with IP,
//   Ethernet or PPP (RFC 2784, 2890, 2637), ERSPAN I, II and III, IP in IP, EtherIP, MPLS in IP and UDP, VXLAN, Geneve,
//   GTP-U, L2TPv2, TZSP. The addresses given are the innermost.
// On DropReason::none `datagram` is filled. Otherwise source and destination hold the innermost addresses that could be
// read and, behind a whole UDP or TCP header, its ports; all else is undefined. DropReason::held is no drop: the packet
// waits in `fragments`, which settles it later. Without `fragments` a fragment is fragment_incomplete.
// Checksums are not looked at (cards fill them in after the mirror). Trailing bytes beyond the IP length (Ethernet
// padding) are left out.
DropReason decode_datagram(const Packet& packet, Datagram& datagram, Fragments* fragments = nullptr);

}  // namespace spantape
