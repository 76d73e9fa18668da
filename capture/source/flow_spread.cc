// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/flow_spread.h"

#include <cstddef>
#include <cstring>

namespace spantape {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kMacAddresses = 12;
constexpr std::uint8_t kTcp = 6, kUdp = 17;

std::uint16_t u16(const std::uint8_t* at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }

// The finalizer of MurmurHash3: each bit of the input changes about half of the output's.
std::uint64_t mix(std::uint64_t value) {
    value = (value ^ value >> 33) * 0xff51afd7ed558ccdULL;
    value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return value ^ value >> 33;
}

// One end: its address and port (0: not counted).
std::uint64_t end_hash(const std::uint8_t* address, std::size_t bytes, std::uint16_t port) {
    std::uint64_t hash = port;
    for (std::size_t at = 0; at < bytes; at += 4) {
        std::uint32_t word = 0;
        std::memcpy(&word, address + at, sizeof word);
        hash = mix(hash << 32 ^ hash >> 32 ^ word);
    }
    return hash;
}

// A sum does not tell which end came first.
std::uint32_t pair_hash(const std::uint8_t* source, const std::uint8_t* destination, std::size_t bytes, Bytes ports) {
    const bool counted = ports.size() >= 4;
    const std::uint64_t sum = end_hash(source, bytes, counted ? u16(ports.data()) : 0) +
                              end_hash(destination, bytes, counted ? u16(ports.data() + 2) : 0);
    return static_cast<std::uint32_t>(mix(sum) >> 32);
}

std::uint32_t ipv4_hash(Bytes packet) {
    if (packet.size() < 20 || packet[0] >> 4 != 4) return 0;
    const std::size_t header = std::size_t{packet[0] & 0x0fu} * 4;
    const bool fragment = (u16(packet.data() + 6) & 0x3fff) != 0;  // more of them to come, or an offset
    Bytes ports;
    if (!fragment && (packet[9] == kUdp || packet[9] == kTcp) && header >= 20 && packet.size() > header)
        ports = packet.subspan(header);
    return pair_hash(packet.data() + 12, packet.data() + 16, 4, ports);
}

// A packet with extension headers is told by its addresses alone, as a fragment is.
std::uint32_t ipv6_hash(Bytes packet) {
    if (packet.size() < 40 || packet[0] >> 4 != 6) return 0;
    Bytes ports;
    if (packet[6] == kUdp || packet[6] == kTcp) ports = packet.subspan(40);
    return pair_hash(packet.data() + 8, packet.data() + 24, 16, ports);
}

// Behind the label that says that it is the bottom of the stack (RFC 3032 §2.1) stands the packet; its first four bits
// are its version.
std::uint32_t mpls_hash(Bytes labels) {
    while (labels.size() >= 4) {
        const bool bottom = (labels[2] & 1) != 0;
        labels = labels.subspan(4);
        if (!bottom) continue;
        if (labels.empty()) return 0;
        return labels[0] >> 4 == 6 ? ipv6_hash(labels) : ipv4_hash(labels);
    }
    return 0;
}

}  // namespace

std::uint32_t flow_spread_hash(Bytes frame) {
    if (frame.size() < kMacAddresses + 2) return 0;
    frame = frame.subspan(kMacAddresses);
    while (frame.size() >= 2) {
        const std::uint16_t type = u16(frame.data());
        switch (type) {
            case 0x8100:  // 802.1Q
            case 0x88a8:  // 802.1ad
            case 0x9100:  // QinQ before there was a standard
            case 0x9200:
                if (frame.size() < 4) return 0;
                frame = frame.subspan(4);
                continue;
            case 0x0800:
                return ipv4_hash(frame.subspan(2));
            case 0x86dd:
                return ipv6_hash(frame.subspan(2));
            case 0x8847:
            case 0x8848:
                return mpls_hash(frame.subspan(2));
            default:
                return 0;
        }
    }
    return 0;
}

}  // namespace spantape
