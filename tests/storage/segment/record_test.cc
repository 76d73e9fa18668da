// SPDX-License-Identifier: AGPL-3.0-or-later
// Seals, records and chunks as bytes: nothing on a disk here.
#include "storage/segment/record.h"

#include <cstring>
#include <random>

#include "storage/segment/crc32c.h"
#include "tests/storage/segment/helpers.h"

namespace spantape {
namespace {

constexpr std::uint64_t kSalt = 0x1122334455667788;

std::vector<std::byte> sealed_chunk(std::uint32_t frames) {
    std::vector<std::byte> record(chunk_bytes(frames));
    build_chunk(record, 7, 3, frames, kNsPerSecond);
    seal_record(record, kSalt);
    return record;
}

TEST(Crc32c, GivesTheCheckValueOfItsDefinition) {
    const char* digits = "123456789";
    EXPECT_EQ(crc32c(std::as_bytes(std::span(digits, 9))), 0xe3069283u);
    const std::vector<std::byte> zeros(32);
    EXPECT_EQ(crc32c(zeros), 0x8a9136aau);  // RFC 3720 B.4
}

// Bit by bit, as the polynomial is written.
std::uint32_t crc_by_bits(std::span<const std::byte> bytes, std::uint32_t crc) {
    crc = ~crc;
    for (const std::byte byte : bytes) {
        crc ^= static_cast<std::uint32_t>(byte);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

TEST(Crc32c, IsRightForEveryLengthAndStart) {
    const std::vector<std::byte> bytes = payload_of(1, 2, 9000);
    for (std::size_t length = 0; length < bytes.size(); length = length < 600 ? length + 1 : length + 997) {
        for (std::size_t start = 0; start < 9 && start + length <= bytes.size(); ++start) {
            const auto part = std::span(bytes).subspan(start, length);
            const auto crc = static_cast<std::uint32_t>(start * 77);
            ASSERT_EQ(crc32c(part, crc), crc_by_bits(part, crc)) << start << " " << length;
        }
    }
}

TEST(Crc32c, GoesOnWhereItStopped) {
    const auto bytes = payload_of(3, 4, 1000);
    const auto whole = crc32c(bytes);
    for (std::size_t cut = 0; cut <= bytes.size(); cut += 13) {
        EXPECT_EQ(crc32c(std::span(bytes).subspan(cut), crc32c(std::span(bytes).first(cut))), whole);
    }
}

TEST(Record, EveryFlippedBitOfAHeaderIsNoticed) {
    std::vector<std::byte> record = sealed_chunk(3);
    ASSERT_EQ(check_record(record, kSalt).state, RecordState::sealed);
    for (std::size_t bit = 0; bit < sizeof(ChunkHeader) * 8; ++bit) {
        record[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
        const auto state = check_record(record, kSalt).state;
        const bool in_body_seal = bit / 32 == offsetof(RecordHeader, seal) / 4;
        ASSERT_EQ(state, in_body_seal ? RecordState::damaged : RecordState::foreign) << "bit " << bit;
        record[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
}

TEST(Record, EveryFlippedBitOfABodyIsNoticedAndTheHeaderStillTrusted) {
    std::vector<std::byte> record = sealed_chunk(3);
    for (std::size_t bit = sizeof(ChunkHeader) * 8; bit < record.size() * 8; ++bit) {
        record[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
        ASSERT_EQ(check_record(record, kSalt).state, RecordState::damaged) << "bit " << bit;
        record[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
}

TEST(Record, EveryCutIsNoticed) {
    const std::vector<std::byte> record = sealed_chunk(3);
    for (std::size_t bytes = 0; bytes < record.size(); ++bytes) {
        ASSERT_NE(check_record(std::span(record).first(bytes), kSalt).state, RecordState::sealed) << bytes;
    }
}

TEST(Record, ARecordOfAnotherWriterIsForeign) {
    const auto record = sealed_chunk(1);
    EXPECT_EQ(check_record(record, kSalt + 1).state, RecordState::foreign);
    EXPECT_EQ(check_record(record, std::nullopt).state, RecordState::sealed);
}

TEST(Record, ABlocksRestOfSixtyFourBytesTakesPadding) {
    std::vector<std::byte> room(64, std::byte{0xff});
    write_padding(room, kSalt);
    const auto check = check_record(room, kSalt);
    EXPECT_EQ(check.state, RecordState::sealed);
    EXPECT_EQ(check.header.kind, RecordKind::padding);
    EXPECT_EQ(check.header.total_bytes, 64u);
}

TEST(Chunk, KeepsEveryFieldOfEveryFrameToTheNanosecond) {
    std::vector<std::byte> room(4096);
    ChunkBuilder builder;
    builder.open(room, {});
    const std::vector<TimeNs> arrivals{kNsPerSecond + 123'456'789, kNsPerSecond + 123'456'788, kNsPerSecond - 1,
                                       2 * kNsPerSecond + 999, kNsPerSecond + 123'456'789};
    for (std::uint32_t i = 0; i < arrivals.size(); ++i) {
        RingRecord frame = frame_record(i + 65533, i * 31, arrivals[i]);
        frame.payload_type = static_cast<std::uint8_t>(120 + i);
        frame.marker = i % 2;
        builder.add_frame(frame, payload_of(9, i, i * 31).data());
        builder.add_mark(FrameKind::gap, arrivals[i], 5);
    }
    EXPECT_EQ(builder.header().first_ns, kNsPerSecond - 1);
    EXPECT_EQ(builder.header().last_ns, 2 * kNsPerSecond + 999);
    const std::uint32_t frames = builder.header().frames;
    builder.close();
    RecordHeader header;
    std::memcpy(&header, room.data(), sizeof header);
    room.resize(header.total_bytes);
    seal_record(room, kSalt);
    const auto chunk = parse_chunk(room);
    ASSERT_TRUE(chunk) << chunk.error().message;
    std::uint32_t i = 0;
    EXPECT_TRUE(chunk->for_each_frame([&](const StoredFrame& frame) {
        EXPECT_EQ(frame.sequence, static_cast<std::uint16_t>(i + 65533));
        EXPECT_EQ(frame.timestamp, (i + 65533) * 160);
        EXPECT_EQ(frame.payload_type, 120 + i);
        EXPECT_EQ(frame.marker, i % 2 != 0);
        EXPECT_EQ(frame.arrival_ns, arrivals[i]);
        const auto expected = payload_of(9, i, i * 31);
        ASSERT_EQ(frame.payload.size(), expected.size());
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), std::as_bytes(frame.payload).begin()));
        ++i;
    }));
    EXPECT_EQ(i, arrivals.size());
    EXPECT_EQ(i, frames);
}

TEST(Chunk, AFrameTooFarInTimeDoesNotFit) {
    std::vector<std::byte> room(4096);
    ChunkBuilder builder;
    builder.open(room, {});
    builder.add_frame(frame_record(1, 0, kNsPerSecond), nullptr);
    constexpr TimeNs kReach = TimeNs{INT32_MAX} * 1000;
    EXPECT_TRUE(builder.fits(0, kNsPerSecond + kReach));
    EXPECT_FALSE(builder.fits(0, kNsPerSecond + kReach + 1));
    EXPECT_TRUE(builder.fits(0, kNsPerSecond - kReach));
    EXPECT_FALSE(builder.fits(0, kNsPerSecond - kReach - 2000));
    EXPECT_FALSE(builder.fits(0, INT64_MIN));
    EXPECT_FALSE(builder.fits(0, INT64_MAX));
}

TEST(Chunk, AMalformedBodyIsRefusedWhereverItIsCut) {
    const auto record = sealed_chunk(2);
    const auto whole = parse_chunk(record);
    ASSERT_TRUE(whole);
    const std::size_t entry = ChunkBuilder::entry_bytes(160);
    for (std::size_t bytes = 0; bytes <= whole->body.size(); ++bytes) {
        Chunk cut = *whole;
        cut.body.resize(bytes);
        std::size_t frames = 0;
        EXPECT_EQ(cut.for_each_frame([&](const StoredFrame&) { ++frames; }), bytes % entry == 0) << bytes;
        EXPECT_EQ(frames, bytes / entry);
    }
}

}  // namespace
}  // namespace spantape
