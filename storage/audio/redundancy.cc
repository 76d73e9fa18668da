// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/audio/redundancy.h"

namespace spantape {

RedundantBlocks redundant_blocks(std::span<const std::uint8_t> payload) {
    constexpr std::size_t kHeaderBytes = 4;
    RedundantBlocks out;
    std::array<std::size_t, kMostBlocks> bytes{};
    for (;;) {
        if (payload.empty() || out.count == kMostBlocks) return {};
        RedundantBlock& block = out.blocks[out.count];
        block.payload_type = payload[0] & 0x7f;
        const bool more = (payload[0] & 0x80) != 0;
        if (!more) {
            payload = payload.subspan(1);
            ++out.count;
            break;
        }
        if (payload.size() < kHeaderBytes) return {};
        block.offset = static_cast<std::uint32_t>(payload[1]) << 6 | payload[2] >> 2;
        bytes[out.count] = static_cast<std::size_t>(payload[2] & 3) << 8 | payload[3];
        payload = payload.subspan(kHeaderBytes);
        ++out.count;
    }
    for (std::size_t i = 0; i + 1 < out.count; ++i) {
        if (bytes[i] > payload.size()) return {};
        out.blocks[i].payload = payload.first(bytes[i]);
        payload = payload.subspan(bytes[i]);
    }
    out.blocks[out.count - 1].payload = payload;
    return out;
}

}  // namespace spantape
