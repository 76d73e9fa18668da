// SPDX-License-Identifier: AGPL-3.0-or-later
// PPP and PPPoE.
#include <algorithm>

#include "capture/packet/layers.h"

namespace spantape::layers {

namespace {

// RFC 1661 §2: the protocol has two bytes, the second odd, or one where the line compresses it.
DropReason decode_protocol(std::uint16_t protocol, At at, At end, Descent& descent) {
    switch (protocol) {
        case 0x0021:
            return decode_ipv4(at, end, descent);
        case 0x0057:
            return decode_ipv6(at, end, descent);
        case 0x0281:  // MPLS
        case 0x0283:
            return decode_type(kTypeMpls, at, end, descent);
        case 0x002d:  // TCP with its header compressed
        case 0x002f:
        case 0x0031:  // bridged
        case 0x003d:  // multilink
        case 0x0053:  // encrypted
        case 0x0055:
        case 0x0061:  // headers compressed, RFC 2509
        case 0x00fb:  // compressed
        case 0x00fd:
            return DropReason::unknown_encapsulation;
        default:
            return DropReason::not_ip;
    }
}

}  // namespace

DropReason decode_ppp(At at, At end, Descent& descent) {
    if (between(at, end) < 2) return DropReason::truncated_link;
    if (at[0] == 0xff && at[1] == 0x03) at += 2;  // RFC 1662 §3.1: all stations, unnumbered
    if (between(at, end) < 2) return DropReason::truncated_link;
    if ((at[0] & 1) != 0) return decode_protocol(at[0], at + 1, end, descent);
    return decode_protocol(load16(at), at + 2, end, descent);
}

// RFC 2516 §4, in its session stage.
DropReason decode_pppoe(At at, At end, Descent& descent) {
    if (between(at, end) < 6) return DropReason::truncated_link;
    constexpr std::uint8_t kVersionAndType = 0x11;
    if (at[0] != kVersionAndType || at[1] != 0) return DropReason::not_ip;
    const std::size_t length = load16(at + 4);
    at += 6;
    return decode_ppp(at, at + std::min(length, between(at, end)), descent);
}

}  // namespace spantape::layers
