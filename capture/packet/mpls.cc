// SPDX-License-Identifier: AGPL-3.0-or-later
// MPLS (RFC 3032). Nothing in it says what the labels stand before: it is told from the bytes themselves.
#include "capture/packet/layers.h"

namespace spantape::layers {

namespace {

constexpr std::size_t kControlWordBytes = 4;

// Behind the label that says that it is the last one; nullptr: there is none.
At skip_labels(At at, At end) {
    for (; between(at, end) >= 4; at += 4)
        if ((at[2] & 1) != 0) return at + 4;
    return nullptr;
}

// As an IP header counts the bytes from there; 0: there is none.
std::size_t ip_bytes(At at, At end) {
    if (between(at, end) < 6) return 0;
    if (at[0] >> 4 == 4 && (at[0] & 0x0f) >= 5) return load16(at + 2);
    return at[0] >> 4 == 6 ? load16(at + 4) + std::size_t{40} : 0;
}

// A network card's address may begin like a version of IP, but not go on with the length that the bytes have. A small
// frame is padded, and its check sequence may be there.
bool is_surely_ip(At at, At end) {
    constexpr std::size_t kPaddedBytes = 46, kCheckBytes = 4;
    const std::size_t length = ip_bytes(at, end);
    const std::size_t there = between(at, end);
    if (length == 0 || length > there) return false;
    return length == there || length + kCheckBytes == there || there <= kPaddedBytes + kCheckBytes;
}

// The layer that is recognized there, and where it begins.
struct Inner {
    Layer layer = nullptr;
    At at = nullptr;
};

Inner inner_of(At at, At end) {
    if (is_surely_ip(at, end)) return {decode_ip, at};
    if (looks_like_ethernet(at, end)) return {decode_ethernet, at};
    // A pseudowire's control word (RFC 4385 §3) has four zero bits in front.
    if (between(at, end) > kControlWordBytes && at[0] >> 4 == 0 && looks_like_ethernet(at + kControlWordBytes, end))
        return {decode_ethernet, at + kControlWordBytes};
    return {};
}

}  // namespace

bool looks_like_ethernet(At at, At end) {
    if (between(at, end) < kEthernetBytes) return false;
    const std::uint16_t type = load16(at + 12);
    const At inner = at + kEthernetBytes;
    switch (type) {
        case kTypeIpv4:
            return inner == end || inner[0] >> 4 == 4;
        case kTypeIpv6:
            return inner == end || inner[0] >> 4 == 6;
        default:
            if (type > kLargestLength) return tag_bytes(type) != 0 || layer_of_type(type) != nullptr;
            return between(inner, end) >= 3 && inner[0] == 0xaa && inner[1] == 0xaa && inner[2] == 0x03;  // SNAP
    }
}

bool looks_like_mpls(At at, At end) {
    const At payload = skip_labels(at, end);
    return payload != nullptr && inner_of(payload, end).layer != nullptr;
}

DropReason decode_mpls(At at, At end, Descent& descent) {
    const At payload = skip_labels(at, end);
    if (payload == nullptr) return DropReason::truncated_link;
    const Inner inner = inner_of(payload, end);
    if (inner.layer != nullptr) return inner.layer(inner.at, end, descent);
    // Switches add trailers of their own, and captures are cut.
    const std::size_t length = ip_bytes(payload, end);
    if (length != 0 && (descent.cut || length <= between(payload, end))) return decode_ip(payload, end, descent);
    return between(payload, end) < kControlWordBytes + kEthernetBytes ? DropReason::truncated_link : DropReason::not_ip;
}

}  // namespace spantape::layers
