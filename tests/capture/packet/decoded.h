// SPDX-License-Identifier: AGPL-3.0-or-later
// What decode_datagram makes of built packets, in a form to compare.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "capture/packet/datagram.h"
#include "tests/capture/packet/tunnel_capsules.h"

namespace spantape::test {

struct Decoded {
    DropReason reason = DropReason::count;
    std::string source;
    std::string destination;
    std::string payload;
    TimeNs time_ns = 0;
    int source_index = 0;
};

// Decodes from memory of exactly that size, so that the address sanitizer sees every byte read beyond.
inline Decoded decode(const Bytes& bytes, LinkType link = LinkType::ethernet, std::size_t wire_bytes = 0,
                      Fragments* fragments = nullptr) {
    const auto exact = std::make_unique<std::uint8_t[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), exact.get());
    const Packet packet{exact.get(),
                        static_cast<std::uint32_t>(bytes.size()),
                        static_cast<std::uint32_t>(std::max(wire_bytes, bytes.size())),
                        1234,
                        link,
                        3};
    Datagram datagram;
    Decoded decoded{decode_datagram(packet, datagram, fragments)};
    if (decoded.reason != DropReason::none) return decoded;
    decoded.source = datagram.source.to_string();
    decoded.destination = datagram.destination.to_string();
    decoded.payload.assign(datagram.payload.begin(), datagram.payload.end());
    decoded.time_ns = datagram.time_ns;
    decoded.source_index = datagram.source_index;
    return decoded;
}

inline std::string_view reason(const Bytes& bytes, LinkType link = LinkType::ethernet) {
    return name_of(decode(bytes, link).reason);
}

inline void expect_hello_v4(const Decoded& decoded) {
    EXPECT_EQ(name_of(decoded.reason), "none");
    EXPECT_EQ(decoded.source, "192.0.2.1:40000");
    EXPECT_EQ(decoded.destination, "198.51.100.2:5060");
    EXPECT_EQ(decoded.payload, "hello");
    EXPECT_EQ(decoded.time_ns, 1234);
    EXPECT_EQ(decoded.source_index, 3);
}

inline void expect_hello_v6(const Decoded& decoded) {
    EXPECT_EQ(name_of(decoded.reason), "none");
    EXPECT_EQ(decoded.source, "[2001:db8::1]:40000");
    EXPECT_EQ(decoded.destination, "[2001:db8::2]:5060");
    EXPECT_EQ(decoded.payload, "hello");
}

}  // namespace spantape::test
