// SPDX-License-Identifier: AGPL-3.0-or-later
// Where the packets of one burst lie until the next poll: libpcap takes each packet's memory back at the next one.
// Owned by one source. Memory that no packet ever needed is never touched, so it costs address space only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "capture/source/source.h"

namespace spantape {

class BurstBuffer {
public:
    // packet_bytes: what is kept of a packet at most.
    explicit BurstBuffer(std::size_t packet_bytes)
        : packet_bytes_((packet_bytes + kAlignment - 1) & ~(kAlignment - 1)),
          memory_(std::make_unique_for_overwrite<std::uint8_t[]>(packet_bytes_ * kBurstPackets)) {}

    // Gives up the packets of the last burst.
    void clear() { used_ = 0; }

    // Room for the bytes of one packet, at most packet_bytes; the caller fills it. As often as keep().
    std::uint8_t* room(std::size_t bytes) {
        std::uint8_t* to = memory_.get() + used_;
        used_ += (bytes + kAlignment - 1) & ~(kAlignment - 1);
        return to;
    }

    // The packet with its bytes in here; what does not fit is cut off, as by a snap length. At most kBurstPackets
    // between two clear().
    Packet keep(const Packet& packet) {
        Packet kept = packet;
        kept.captured_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(packet.captured_bytes, packet_bytes_));
        std::uint8_t* to = room(kept.captured_bytes);
        if (kept.captured_bytes != 0) std::memcpy(to, packet.data, kept.captured_bytes);
        kept.data = to;
        return kept;
    }

private:
    static constexpr std::size_t kAlignment = 16;

    std::size_t packet_bytes_;
    std::unique_ptr<std::uint8_t[]> memory_;
    std::size_t used_ = 0;
};

}  // namespace spantape
