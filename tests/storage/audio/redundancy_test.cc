// SPDX-License-Identifier: AGPL-3.0-or-later
// RFC 2198 payloads: their blocks, and what is malformed.
#include "storage/audio/redundancy.h"

#include <gtest/gtest.h>

#include <vector>

namespace spantape {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST(Redundancy, BlocksComeOldestFirstWithTheirOffsets) {
    const Bytes payload{0x80 | 5, 0x05, 0x00, 2, 0x80 | 7, 0x02, 0x81, 0, 0, 'a', 'b'};  // 320 and 160 ticks back
    Bytes long_block = payload;
    long_block.insert(long_block.end(), 256 + 3, 'x');
    const RedundantBlocks found = redundant_blocks(long_block);
    ASSERT_EQ(found.count, 3u);
    EXPECT_EQ(found.blocks[0].payload_type, 5);
    EXPECT_EQ(found.blocks[0].offset, 320u);
    EXPECT_EQ(Bytes(found.blocks[0].payload.begin(), found.blocks[0].payload.end()), (Bytes{'a', 'b'}));
    EXPECT_EQ(found.blocks[1].payload_type, 7);
    EXPECT_EQ(found.blocks[1].offset, 160u);
    EXPECT_EQ(found.blocks[1].payload.size(), 256u);
    EXPECT_EQ(found.blocks[2].payload_type, 0);
    EXPECT_EQ(found.blocks[2].payload.size(), 3u);
}

TEST(Redundancy, WhatIsCutOrEndlessHoldsNothing) {
    const Bytes whole{0x80, 0x02, 0x80, 2, 0, 1, 2, 3};
    EXPECT_EQ(redundant_blocks(whole).count, 2u);
    for (std::size_t bytes = 0; bytes < 7; ++bytes)
        EXPECT_EQ(redundant_blocks(std::span(whole).first(bytes)).count, 0u) << bytes;
    EXPECT_EQ(redundant_blocks(Bytes(400, 0x80)).count, 0u);
}

TEST(Redundancy, EachBlockIsAFrameOfItsOwn) {
    const std::vector<PayloadMapping> mappings{{121, "red", 8000, 1, ""}};
    const PayloadTable table = payload_table(mappings);
    const Bytes payload{0x80 | 8, 0x02, 0x80, 1, 0, 1, 2};
    const StoredFrame packet{10, 121, false, 5000, 77, payload};
    std::vector<StoredFrame> frames;
    for_each_audio_frame(packet, table, [&](const StoredFrame& frame, const PayloadFormat& format) {
        EXPECT_TRUE(format.audible());
        frames.push_back(frame);
    });
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0].sequence, 9);
    EXPECT_EQ(frames[0].timestamp, 5000u - 160);
    EXPECT_EQ(frames[0].payload_type, 8);
    EXPECT_EQ(frames[1].sequence, 10);
    EXPECT_EQ(frames[1].timestamp, 5000u);
    EXPECT_EQ(frames[1].payload.size(), 1u);
}

}  // namespace
}  // namespace spantape
