// SPDX-License-Identifier: AGPL-3.0-or-later
// Redundant audio (RFC 2198): a packet's own frame, and those of packets before it once more.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "storage/audio/codec.h"
#include "storage/segment/reader.h"

namespace spantape {

// What the frame holds, oldest first, each as if it had come in a packet of its own: with the sequence number that it
// had if each packet before it carried one frame, and with its own timestamp. A frame of another payload type is given
// as it is; of a malformed one nothing.
template <class Visit>
void for_each_audio_frame(const StoredFrame& frame, const PayloadTable& table, Visit visit);

struct RedundantBlock {
    std::uint8_t payload_type = 0;
    std::uint32_t offset = 0;  // of its timestamp, back from the packet's
    std::span<const std::uint8_t> payload;
};
// The blocks of a payload, the packet's own last; none when it is malformed. At most kMostBlocks.
inline constexpr std::size_t kMostBlocks = 8;
struct RedundantBlocks {
    std::array<RedundantBlock, kMostBlocks> blocks;
    std::size_t count = 0;
};
[[nodiscard]] RedundantBlocks redundant_blocks(std::span<const std::uint8_t> payload);

template <class Visit>
void for_each_audio_frame(const StoredFrame& frame, const PayloadTable& table, Visit visit) {
    const PayloadFormat& format = table[frame.payload_type & 0x7f];
    if (format.encoding != Encoding::redundancy) return visit(frame, format);
    const RedundantBlocks found = redundant_blocks(frame.payload);
    for (std::size_t i = 0; i < found.count; ++i) {
        const RedundantBlock& block = found.blocks[i];
        const PayloadFormat& own = table[block.payload_type & 0x7f];
        if (own.encoding == Encoding::redundancy || block.payload.empty()) continue;
        StoredFrame each = frame;
        each.sequence = static_cast<std::uint16_t>(frame.sequence - (found.count - 1 - i));
        each.payload_type = block.payload_type;
        each.timestamp = frame.timestamp - block.offset;
        each.payload = block.payload;
        visit(each, own);
    }
}

}  // namespace spantape
