// SPDX-License-Identifier: AGPL-3.0-or-later
// Bytes of a captured packet -> UDP datagram or TCP segment. Pure function, no state, no allocation; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "capture/base/address.h"
#include "capture/base/clock.h"
#include "capture/source/source.h"

namespace spantape {

enum class DropReason : std::uint8_t {
    none = 0,
#define DROP_REASON(name, text) name,
#include "capture/packet/drop_reasons.def"
#undef DROP_REASON
    count
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count);

[[nodiscard]] std::string_view name_of(DropReason reason);         // "ip_fragment"
[[nodiscard]] std::string_view description_of(DropReason reason);  // "an IP fragment (not reassembled yet)"

enum class Transport : std::uint8_t { udp, tcp };

struct Datagram {
    Endpoint source;
    Endpoint destination;
    std::span<const std::uint8_t> payload;  // within the packet's bytes
    TimeNs time_ns = 0;
    std::uint8_t source_index = 0;  // Packet::source
    Transport transport = Transport::udp;
    std::uint8_t tcp_flags = 0;      // RFC 9293 §3.1: FIN 1, SYN 2, RST 4, PSH 8, ACK 16; of tcp only
    std::uint32_t tcp_sequence = 0;  // of the payload's first byte, or of the SYN; of tcp only
};

// Takes the link layer (Ethernet II, any depth of 802.1Q/802.1ad/QinQ tags, 802.3 LLC/SNAP, Linux cooked v1 and v2,
// raw IP, BSD null/loopback), IPv4 (RFC 791) or IPv6 with extension headers (RFC 8200 §4) and UDP (RFC 768) or TCP
// (RFC 9293) apart; of a TCP segment the payload may be empty.
// On DropReason::none `datagram` is filled; otherwise its contents are undefined. Checksums are not looked at (cards
// fill them in after the mirror). Trailing bytes beyond the IP length (Ethernet padding) are left out.
DropReason decode_datagram(const Packet& packet, Datagram& datagram);

}  // namespace spantape
