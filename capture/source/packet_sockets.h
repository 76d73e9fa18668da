// SPDX-License-Identifier: AGPL-3.0-or-later
// The packet sockets (packet(7)) that a library opened for itself, and what the kernel dropped on them: DPDK's
// af_packet driver has its own and does not say what they lost. Found by looking at the process's descriptors before
// and after the library was asked; owned by the library, which must keep them open. One thread at a time.
#pragma once

#include <cstdint>
#include <set>

namespace spantape {

class PacketSockets {
public:
    // Remembers which sockets are there already. No other thread may open packet sockets until find_new().
    PacketSockets();
    // Those that are there now and were not before are ours to ask from here on; what they dropped so far is forgotten.
    void find_new();
    // Packets that the kernel had no room for since the last call: it counts anew from each reading on.
    [[nodiscard]] std::uint64_t take_drops() const;

private:
    std::set<int> before_;
    std::set<int> ours_;
};

}  // namespace spantape
