// SPDX-License-Identifier: AGPL-3.0-or-later
// IP addresses and endpoints (address and port). IPv4 is kept in its IPv6-mapped form (RFC 4291 §2.5.5.2), so that
// one 16-byte value serves both families and compares as bytes.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace spantape {

struct IpAddress {
    std::array<std::uint8_t, 16> bytes{};  // network byte order

    static IpAddress from_v4(const std::uint8_t* four_bytes);
    static IpAddress from_v6(const std::uint8_t* sixteen_bytes);
    // Dotted IPv4 or textual IPv6, without brackets or scope.
    static std::optional<IpAddress> parse(std::string_view text);

    [[nodiscard]] bool is_v4() const;
    [[nodiscard]] bool is_unspecified() const;  // 0.0.0.0 or ::
    [[nodiscard]] std::string to_string() const;

    auto operator<=>(const IpAddress&) const = default;
};

struct Endpoint {
    IpAddress ip;
    std::uint16_t port = 0;  // host byte order

    // "192.0.2.1:5060", "[2001:db8::1]:5060"
    [[nodiscard]] std::string to_string() const;

    auto operator<=>(const Endpoint&) const = default;
};

inline std::uint64_t mix_bits(std::uint64_t value) {
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ULL;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ULL;
    return value ^ value >> 32;
}

inline std::uint64_t hash_of(const Endpoint& endpoint) {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::memcpy(&high, endpoint.ip.bytes.data(), 8);
    std::memcpy(&low, endpoint.ip.bytes.data() + 8, 8);
    return mix_bits(high * 31 + low + endpoint.port * 0x9e3779b97f4a7c15ULL);
}

struct IpAddressHash {
    std::size_t operator()(const IpAddress& address) const { return hash_of(Endpoint{address, 0}); }
};

struct EndpointHash {
    std::size_t operator()(const Endpoint& endpoint) const { return hash_of(endpoint); }
};

}  // namespace spantape
