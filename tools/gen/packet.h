// SPDX-License-Identifier: AGPL-3.0-or-later
// Ethernet, IPv4 and UDP around a payload that is already in place: one buffer a flow, headers written once, then
// only what changes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace spantape::gen {

struct Peer {
    std::uint32_t ip = 0;  // host byte order
    std::uint16_t port = 0;
};

// "10.16.0.1"
std::string dotted(std::uint32_t ip);

class PacketBuffer {
public:
    static constexpr std::size_t kHeaders = 14 + 20 + 8;

    // A packet with room for payload_bytes.
    PacketBuffer(const Peer& from, const Peer& to, std::size_t payload_bytes);

    std::span<std::uint8_t> payload() { return std::span(bytes_).subspan(kHeaders); }
    // Computes the checksums; call after every change of the payload. The bytes are valid until then.
    std::span<const std::uint8_t> finished(std::uint16_t identification);

private:
    std::vector<std::uint8_t> bytes_;
    std::uint32_t addresses_sum_ = 0;  // of the pseudo header
};

void put_u16(std::uint8_t* at, std::uint16_t value);
void put_u32(std::uint8_t* at, std::uint32_t value);

}  // namespace spantape::gen
