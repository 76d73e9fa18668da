// SPDX-License-Identifier: AGPL-3.0-or-later
// Encapsulations for tests, built as packet_builder.h does: each function puts its header before what it is given.
#pragma once

#include <algorithm>

#include "tests/capture/packet/packet_builder.h"

namespace spantape::test {

// Other addresses than the inner packets': from 203.0.113.1 to 203.0.113.2, from 3001:db8::1 to 3001:db8::2.
inline Bytes outer_ipv4(const Bytes& payload, std::uint8_t protocol = 17) {
    Bytes packet = ipv4(payload, protocol);
    const Bytes addresses{203, 0, 113, 1, 203, 0, 113, 2};
    std::copy(addresses.begin(), addresses.end(), packet.begin() + 12);
    return packet;
}
inline Bytes outer_ipv6(const Bytes& payload, std::uint8_t next_header = 17) {
    Bytes packet = ipv6(payload, next_header);
    packet[8] = packet[24] = 0x30;
    return packet;
}

inline Bytes mpls_label(std::uint32_t label, bool last, const Bytes& payload) {
    Bytes header;
    append16(header, label >> 4);
    append16(header, (label & 0x0f) << 12 | (last ? 0x100u : 0u) | 64);
    return header + payload;
}

inline Bytes control_word(const Bytes& payload) { return Bytes{0, 0, 0, 7} + payload; }

// PPP's protocol numbers.
inline constexpr std::uint16_t kPppIpv4 = 0x0021;
inline constexpr std::uint16_t kPppIpv6 = 0x0057;
inline constexpr std::uint16_t kPppMpls = 0x0281;

inline Bytes ppp(std::uint16_t protocol, const Bytes& payload) { return typed(protocol, payload); }
inline Bytes ppp_hdlc(std::uint16_t protocol, const Bytes& payload) {
    return Bytes{0xff, 0x03} + ppp(protocol, payload);
}
inline Bytes ppp_short(std::uint8_t protocol, const Bytes& payload) { return Bytes{protocol} + payload; }

inline Bytes pppoe(const Bytes& payload) {
    Bytes header{0x11, 0, 0, 5};
    append16(header, payload.size());
    return header + payload;
}

// RFC 2784 and 2890, with the optional words that the flags ask for.
inline Bytes gre(std::uint16_t type, const Bytes& payload, std::uint16_t flags = 0) {
    Bytes header;
    append16(header, flags);
    append16(header, type);
    for (const std::uint16_t flag : {0x8000, 0x2000, 0x1000})
        if ((flags & flag) != 0) header = header + Bytes{0, 0, 1, 2};
    return header + payload;
}

// RFC 2637, with an acknowledgement.
inline Bytes enhanced_gre(const Bytes& payload) {
    Bytes header{0x30, 0x81, 0x88, 0x0b};
    append16(header, payload.size());
    return header + Bytes{0, 9, 0, 0, 0, 1, 0, 0, 0, 2} + payload;
}

inline Bytes erspan_one(const Bytes& frame) { return gre(0x88be, frame); }
inline Bytes erspan_two(const Bytes& frame, bool cut = false) {
    const std::uint8_t truncated = cut ? 0x04 : 0;
    return gre(0x88be, Bytes{0x10, 5, truncated, 1, 0, 0, 0, 2} + frame, 0x1000);
}
inline Bytes erspan_three(const Bytes& frame, bool subheader = false, std::uint8_t frame_type = 0) {
    const Bytes header{0x20, 5, 0, 1, 0, 0, 0, 9, 0, 0, static_cast<std::uint8_t>(frame_type << 2), subheader};
    return gre(0x22eb, header + Bytes(subheader ? 8 : 0) + frame, 0x1000);
}

inline Bytes ether_ip(const Bytes& frame) { return Bytes{0x30, 0} + frame; }

inline constexpr std::uint16_t kVxlanPort = 4789;
inline Bytes vxlan(const Bytes& frame, std::uint16_t port = kVxlanPort) {
    return udp(Bytes{0x08, 0, 0, 0, 0, 0, 42, 0} + frame, 55555, port);
}

inline Bytes geneve(std::uint16_t type, const Bytes& payload, std::uint8_t option_words = 0) {
    return udp(Bytes{option_words, 0} + typed(type, Bytes{0, 0, 42, 0} + Bytes(option_words * 4u, 1) + payload), 55555,
               6081);
}

// GTP-U with none, one or both of a sequence number and an extension header.
inline Bytes gtp(const Bytes& payload, bool sequence = false, bool extension_header = false) {
    Bytes optional;
    if (sequence || extension_header) optional = Bytes{0, 5, 0, static_cast<std::uint8_t>(extension_header ? 0x85 : 0)};
    if (extension_header) optional = optional + Bytes{1, 0x10, 1, 0};  // PDU session container
    const int flags = 0x30 | (sequence ? 0x02 : 0) | (extension_header ? 0x04 : 0);
    Bytes header{static_cast<std::uint8_t>(flags), 0xff};
    append16(header, optional.size() + payload.size());
    return udp(header + Bytes{0, 0, 0, 1} + optional + payload, 2152, 2152);
}

// L2TP version 2 with no optional field, or with all of them.
inline Bytes l2tp(const Bytes& ppp_frame, bool all_fields = false, std::uint16_t source = 1701,
                  std::uint16_t destination = 1701) {
    if (!all_fields) return udp(Bytes{0x00, 0x02, 0, 1, 0, 2} + ppp_frame, source, destination);
    Bytes header{0x4a, 0x02};
    append16(header, ppp_frame.size() + 17);
    return udp(header + Bytes{0, 1, 0, 2, 0, 3, 0, 4, 0, 3, 9, 9, 9} + ppp_frame, source, destination);
}

// With padding, a tag of two bytes and the end.
inline Bytes tzsp(const Bytes& frame) { return udp(Bytes{1, 0, 0, 1, 0, 41, 2, 7, 7, 1} + frame, 37008, 37008); }

// A record of the extensible record format. type: 2 is Ethernet, whose two bytes of padding are in `packet`.
inline Bytes erf(std::uint8_t type, const Bytes& packet, int extension_headers = 0) {
    Bytes header(8);
    header = header + Bytes{static_cast<std::uint8_t>(type | (extension_headers > 0 ? 0x80 : 0)), 4};
    append16(header, 16 + 8 * static_cast<std::size_t>(extension_headers) + packet.size());
    append16(header, 0);
    append16(header, packet.size() - (type == 2 ? 2 : 0));
    for (int left = extension_headers; left > 0; --left) {
        Bytes extension_header(8);
        extension_header[0] = left > 1 ? 0x83 : 0x03;
        header = header + extension_header;
    }
    return header + packet;
}

}  // namespace spantape::test
