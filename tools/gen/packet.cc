// SPDX-License-Identifier: AGPL-3.0-or-later
// Header layout (IEEE 802.3, RFC 791, RFC 768) and checksums (RFC 1071).
#include "tools/gen/packet.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace spantape::gen {
namespace {

std::uint32_t sum_words(const std::uint8_t* at, std::size_t bytes, std::uint32_t sum) {
    for (; bytes > 1; bytes -= 2, at += 2) sum += static_cast<std::uint32_t>(at[0] << 8 | at[1]);
    return bytes == 1 ? sum + static_cast<std::uint32_t>(at[0] << 8) : sum;
}

std::uint16_t folded(std::uint32_t sum) {
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

// Locally administered, one for each address.
void put_mac(std::uint8_t* at, std::uint32_t ip) {
    put_u16(at, 0x0200);
    put_u32(at + 2, ip);
}

}  // namespace

void put_u16(std::uint8_t* at, std::uint16_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value & 0xff);
}

void put_u32(std::uint8_t* at, std::uint32_t value) {
    put_u16(at, static_cast<std::uint16_t>(value >> 16));
    put_u16(at + 2, static_cast<std::uint16_t>(value & 0xffff));
}

std::string dotted(std::uint32_t ip) {
    return fmt::format("{}.{}.{}.{}", ip >> 24, ip >> 16 & 0xff, ip >> 8 & 0xff, ip & 0xff);
}

PacketBuffer::PacketBuffer(const Peer& from, const Peer& to, std::size_t payload_bytes)
    : bytes_(kHeaders + payload_bytes) {
    std::uint8_t* ethernet = bytes_.data();
    put_mac(ethernet, to.ip);
    put_mac(ethernet + 6, from.ip);
    put_u16(ethernet + 12, 0x0800);
    std::uint8_t* ip = ethernet + 14;
    const auto udp_bytes = static_cast<std::uint16_t>(payload_bytes + 8);
    ip[0] = 0x45;
    put_u16(ip + 2, static_cast<std::uint16_t>(udp_bytes + 20));
    put_u16(ip + 6, 0x4000);  // don't fragment
    ip[8] = 64;
    ip[9] = 17;  // UDP
    put_u32(ip + 12, from.ip);
    put_u32(ip + 16, to.ip);
    std::uint8_t* udp = ip + 20;
    put_u16(udp, from.port);
    put_u16(udp + 2, to.port);
    put_u16(udp + 4, udp_bytes);
    addresses_sum_ = sum_words(ip + 12, 8, 17u + udp_bytes);
}

std::span<const std::uint8_t> PacketBuffer::finished(std::uint16_t identification) {
    std::uint8_t* ip = bytes_.data() + 14;
    put_u16(ip + 4, identification);
    put_u16(ip + 10, 0);
    put_u16(ip + 10, folded(sum_words(ip, 20, 0)));
    std::uint8_t* udp = ip + 20;
    put_u16(udp + 6, 0);
    const std::uint16_t checksum = folded(sum_words(udp, bytes_.size() - 34, addresses_sum_));
    put_u16(udp + 6, checksum == 0 ? 0xffff : checksum);  // zero would mean: none
    return bytes_;
}

}  // namespace spantape::gen
