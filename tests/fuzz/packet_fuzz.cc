// SPDX-License-Identifier: AGPL-3.0-or-later
// decode_datagram over all link types: the first byte picks the link type, the second how much the snap length cut.
#include <cstdint>
#include <cstdlib>

#include "capture/packet/datagram.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace spantape;
    constexpr std::size_t kHeadBytes = 2;
    constexpr int kLinkTypes = static_cast<int>(LinkType::null_loopback) + 1;
    if (size < kHeadBytes) return 0;
    Packet packet;
    packet.link = static_cast<LinkType>(data[0] % kLinkTypes);
    packet.data = data + kHeadBytes;
    packet.captured_bytes = static_cast<std::uint32_t>(size - kHeadBytes);
    packet.wire_bytes = packet.captured_bytes + data[1];
    Datagram datagram;
    const DropReason reason = decode_datagram(packet, datagram);
    if (reason >= DropReason::count) std::abort();
    if (reason != DropReason::none) return 0;
    const std::uint8_t* end = packet.data + packet.captured_bytes;
    const bool may_be_empty = datagram.transport == Transport::tcp;
    if ((datagram.payload.empty() && !may_be_empty) || datagram.payload.data() < packet.data ||
        datagram.payload.data() + datagram.payload.size() > end) {
        std::abort();
    }
    return 0;
}
