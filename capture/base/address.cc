// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/base/address.h"

#include <algorithm>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace spantape {

namespace {
constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}

IpAddress IpAddress::from_v4(const std::uint8_t* four_bytes) {
    IpAddress address;
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin());
    std::copy_n(four_bytes, 4, address.bytes.begin() + 12);
    return address;
}

IpAddress IpAddress::from_v6(const std::uint8_t* sixteen_bytes) {
    IpAddress address;
    std::copy_n(sixteen_bytes, 16, address.bytes.begin());
    return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    if (text.empty() || text.size() >= buffer.size()) return std::nullopt;
    std::copy(text.begin(), text.end(), buffer.begin());
    std::array<std::uint8_t, 16> raw{};
    if (inet_pton(AF_INET, buffer.data(), raw.data()) == 1) return from_v4(raw.data());
    if (inet_pton(AF_INET6, buffer.data(), raw.data()) == 1) return from_v6(raw.data());
    return std::nullopt;
}

bool IpAddress::is_v4() const { return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin()); }

bool IpAddress::is_unspecified() const {
    const auto first = bytes.begin() + (is_v4() ? 12 : 0);
    return std::all_of(first, bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

std::string IpAddress::to_string() const {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    const bool v4 = is_v4();
    inet_ntop(v4 ? AF_INET : AF_INET6, bytes.data() + (v4 ? 12 : 0), buffer.data(), buffer.size());
    return buffer.data();
}

std::string Endpoint::to_string() const {
    return ip.is_v4() ? fmt::format("{}:{}", ip.to_string(), port) : fmt::format("[{}]:{}", ip.to_string(), port);
}

}  // namespace spantape
