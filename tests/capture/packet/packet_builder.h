// SPDX-License-Identifier: AGPL-3.0-or-later
// Builds packets for tests from the inside out: each function puts its header before what it is given.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace spantape::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes text(std::string_view letters) { return {letters.begin(), letters.end()}; }

inline void append16(Bytes& bytes, std::size_t value) {
    bytes.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes.push_back(static_cast<std::uint8_t>(value));
}

inline Bytes operator+(Bytes first, const Bytes& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

inline Bytes udp(const Bytes& payload, std::uint16_t source = 40000, std::uint16_t destination = 5060) {
    Bytes header;
    append16(header, source);
    append16(header, destination);
    append16(header, payload.size() + 8);
    append16(header, 0);
    return header + payload;
}

inline Bytes tcp(const Bytes& payload, std::uint32_t sequence, std::uint8_t flags, std::uint16_t source = 40000,
                 std::uint16_t destination = 5060) {
    Bytes header;
    append16(header, source);
    append16(header, destination);
    append16(header, sequence >> 16);
    append16(header, sequence & 0xffff);
    header.resize(20);
    header[12] = 0x50;
    header[13] = flags;
    return header + payload;
}

// From 192.0.2.1 to 198.51.100.2.
inline Bytes ipv4(const Bytes& payload, std::uint8_t protocol = 17, std::uint16_t fragment = 0,
                  const Bytes& options = {}) {
    const std::size_t header_bytes = 20 + options.size();
    Bytes header{static_cast<std::uint8_t>(0x40 | header_bytes / 4), 0};
    append16(header, header_bytes + payload.size());
    append16(header, 4711);
    append16(header, fragment);
    header = header + Bytes{64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2};
    return header + options + payload;
}

// From 2001:db8::1 to 2001:db8::2.
inline Bytes ipv6(const Bytes& payload, std::uint8_t next_header = 17) {
    Bytes header{0x60, 0, 0, 0};
    append16(header, payload.size());
    header = header + Bytes{next_header, 64};
    for (const std::uint8_t last : {1, 2}) {
        Bytes address(16);
        address[0] = 0x20;
        address[1] = 0x01;
        address[2] = 0x0d;
        address[3] = 0xb8;
        address[15] = last;
        header = header + address;
    }
    return header + payload;
}

// An IPv6 extension header whose length field counts words of 8 beyond the first.
inline Bytes extension(std::uint8_t next_header, std::uint8_t more_words, const Bytes& payload) {
    Bytes header(8 + more_words * std::size_t{8});
    header[0] = next_header;
    header[1] = more_words;
    return header + payload;
}

inline Bytes ipv6_fragment(std::uint8_t next_header, std::uint16_t offset_and_more, const Bytes& payload) {
    Bytes header{next_header, 0};
    append16(header, offset_and_more);
    return header + Bytes{0, 0, 0, 7} + payload;
}

inline Bytes typed(std::size_t type, const Bytes& payload) {
    Bytes header;
    append16(header, type);
    return header + payload;
}

// A VLAN tag: what stands behind the tag's own EtherType.
inline Bytes tag(std::uint16_t vlan, std::size_t type, const Bytes& payload) {
    Bytes header;
    append16(header, vlan);
    return header + typed(type, payload);
}

inline Bytes snap(std::size_t type, const Bytes& payload) {
    return Bytes{0xaa, 0xaa, 0x03, 0, 0, 0} + typed(type, payload);
}

inline Bytes ethernet(std::size_t type, const Bytes& payload) {
    return Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2} + typed(type, payload);
}

inline Bytes cooked_v1(std::size_t type, const Bytes& payload) {
    return Bytes{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0} + typed(type, payload);
}

inline Bytes cooked_v2(std::size_t type, const Bytes& payload) {
    return typed(type, Bytes{0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0} + payload);
}

}  // namespace spantape::test
