// SPDX-License-Identifier: AGPL-3.0-or-later
// Which worker a frame belongs to where the card does not say: a hash of the addresses in which their order does not
// count, so that both directions between two ports come to one worker.
#pragma once

#include <cstdint>
#include <span>

namespace spantape {

// Of an Ethernet frame, through every encapsulation that decode_datagram() opens: the innermost addresses and, of TCP
// and UDP, the ports. Fragments are told by their addresses alone, so that all of one datagram come together. Of what
// has no IP header to be read: 0. Any bytes are good.
std::uint32_t flow_spread_hash(std::span<const std::uint8_t> frame);

// 0 <= result < workers.
inline unsigned spread_to(std::uint32_t hash, unsigned workers) {
    return static_cast<unsigned>(std::uint64_t{hash} * workers >> 32);
}

}  // namespace spantape
