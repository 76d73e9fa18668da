// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/flow_spread.h"

#include "capture/packet/datagram.h"

namespace spantape {

std::uint32_t flow_spread_hash(std::span<const std::uint8_t> frame) {
    const auto bytes = static_cast<std::uint32_t>(frame.size());
    Datagram datagram;
    // The frame may go on elsewhere (in further segments of the card's), so it is taken for one that was cut. Why it
    // may not be of use is not asked: the addresses are there as far as they could be read.
    (void)decode_datagram({.data = frame.data(), .captured_bytes = bytes, .wire_bytes = bytes + 1}, datagram);
    // A sum does not tell which end came first.
    return static_cast<std::uint32_t>(mix_bits(hash_of(datagram.source) + hash_of(datagram.destination)) >> 32);
}

}  // namespace spantape
