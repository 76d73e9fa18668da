// SPDX-License-Identifier: AGPL-3.0-or-later
// Encapsulations that have a protocol number of IP or an EtherType of their own.
#include <algorithm>

#include "capture/packet/layers.h"

namespace spantape::layers {

namespace {

constexpr std::uint16_t kTypeErspan = 0x88be;       // types I and II
constexpr std::uint16_t kTypeErspanThree = 0x22eb;  // type III

// draft-foschiano-erspan-03. Type II has 8 bytes before the mirrored frame, type III 12 or, with a subheader of the
// switch, 20.
DropReason decode_erspan(At at, At end, Descent& descent) {
    constexpr std::size_t kTypeTwoBytes = 8;
    constexpr std::size_t kTypeThreeBytes = 12;
    constexpr std::size_t kSubheaderBytes = 8;
    if (between(at, end) < kTypeTwoBytes) return DropReason::truncated_link;
    descent.cut |= (at[2] & 0x04) != 0;  // T: the switch cut the frame
    const unsigned version = at[0] >> 4;
    if (version == 1) return decode_ethernet(at + kTypeTwoBytes, end, descent);
    if (version != 2) return DropReason::unknown_encapsulation;
    if (between(at, end) < kTypeThreeBytes) return DropReason::truncated_link;
    const unsigned frame_type = at[10] >> 2 & 0x1f;
    const bool subheader = (at[11] & 1) != 0;
    at += kTypeThreeBytes;
    if (subheader) {
        if (between(at, end) < kSubheaderBytes) return DropReason::truncated_link;
        at += kSubheaderBytes;
    }
    if (frame_type == 0) return decode_ethernet(at, end, descent);
    return frame_type == 2 ? decode_ip(at, end, descent) : DropReason::unknown_encapsulation;
}

struct GreFlags {
    bool checksum, routing, key, sequence, acknowledgement;
    unsigned version;
};

GreFlags gre_flags_of(std::uint16_t word) {
    return {(word & 0x8000) != 0, (word & 0x4000) != 0, (word & 0x2000) != 0,
            (word & 0x1000) != 0, (word & 0x0080) != 0, word & 7u};
}

// Version 0: RFC 2784 with RFC 2890. Version 1: RFC 2637 §4.1, whose key begins with the payload's length and which
// without a sequence number has no payload.
DropReason decode_gre(At at, At end, Descent& descent) {
    if (between(at, end) < 4) return DropReason::truncated_link;
    const GreFlags flags = gre_flags_of(load16(at));
    const std::uint16_t type = load16(at + 2);
    const bool enhanced = flags.version == 1;
    if (flags.version > 1 || flags.routing || (enhanced && (flags.checksum || !flags.key)))
        return DropReason::unknown_encapsulation;
    const std::size_t header_bytes =
        4 + 4 * (std::size_t{flags.checksum} + flags.key + flags.sequence + (enhanced && flags.acknowledgement));
    if (header_bytes > between(at, end)) return DropReason::truncated_link;
    const std::size_t payload_bytes = enhanced ? load16(at + 4) : between(at, end);
    at += header_bytes;
    end = at + std::min(payload_bytes, between(at, end));
    if (enhanced && !flags.sequence) return DropReason::not_udp;
    if (type == kTypeErspan && !flags.sequence) return decode_ethernet(at, end, descent);  // type I
    if (type == kTypeErspan || type == kTypeErspanThree) return decode_erspan(at, end, descent);
    return type > kLargestLength ? decode_type(type, at, end, descent) : DropReason::not_ip;
}

// RFC 3378
DropReason decode_ether_ip(At at, At end, Descent& descent) {
    if (between(at, end) < 2) return DropReason::truncated_link;
    constexpr unsigned kVersion = 3;
    return at[0] >> 4 == kVersion ? decode_ethernet(at + 2, end, descent) : DropReason::unknown_encapsulation;
}

// IEEE 802.1ah: a service's tag, and the customer's frame.
DropReason decode_backbone(At at, At end, Descent& descent) {
    if (between(at, end) < 4) return DropReason::truncated_link;
    return decode_ethernet(at + 4, end, descent);
}

}  // namespace

Layer layer_of_protocol(std::uint8_t protocol) {
    switch (protocol) {
        case 4:   // IPv4 in IP
        case 41:  // IPv6 in IP
        case 94:  // IP in IP, KA9Q
            return decode_ip;
        case 47:
            return decode_gre;
        case 97:
            return decode_ether_ip;
        case 137:  // MPLS in IP, RFC 4023
            return decode_mpls;
        case 143:  // Ethernet, RFC 8986
            return decode_ethernet;
        default:
            return nullptr;
    }
}

Layer layer_of_type(std::uint16_t type) {
    switch (type) {
        case kTypeMpls:
        case 0x8848:  // with a label that the upstream router gave
            return decode_mpls;
        case 0x8864:
            return decode_pppoe;
        case kTypePpp:
            return decode_ppp;
        case kTypeBridging:
            return decode_ethernet;
        case 0x88e7:
            return decode_backbone;
        default:
            return nullptr;
    }
}

DropReason open(Layer layer, At at, At end, Descent& descent) {
    if (++descent.opened > kDeepest) return DropReason::nested_too_deep;
    return layer(at, end, descent);
}

}  // namespace spantape::layers
