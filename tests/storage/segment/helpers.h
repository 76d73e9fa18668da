// SPDX-License-Identifier: AGPL-3.0-or-later
// What the segment tests share: a directory that vanishes, records that can be recognised, files as bytes.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "storage/segment/chunk_builder.h"
#include "storage/segment/reader.h"
#include "storage/segment/record.h"
#include "storage/segment/scan.h"
#include "storage/segment/writer.h"

namespace spantape {

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "spantape-test-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) std::abort();
        path_ = name;
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

inline std::uint64_t test_seed() {
    const char* given = std::getenv("SPANTAPE_TEST_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
    std::printf("seed: SPANTAPE_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return seed;
}

inline std::vector<std::byte> read_bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::vector<std::byte> bytes(std::filesystem::file_size(path));
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}
inline void write_bytes(const std::string& path, const std::vector<std::byte>& bytes) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// Payload that only this frame has.
inline std::vector<std::byte> payload_of(std::uint64_t stream, std::uint32_t number, std::size_t bytes) {
    std::vector<std::byte> payload(bytes);
    std::uint64_t state = stream * 1'000'003 + number;
    for (std::byte& byte : payload) byte = static_cast<std::byte>((state = state * 6364136223846793005 + 1) >> 56);
    return payload;
}

inline RingRecord frame_record(std::uint32_t number, std::size_t payload_bytes, TimeNs arrival_ns) {
    RingRecord record;
    record.kind = RingRecordKind::frame;
    record.sequence = static_cast<std::uint16_t>(number);
    record.timestamp = number * 160;
    record.payload_bytes = static_cast<std::uint16_t>(payload_bytes);
    record.arrival_ns = arrival_ns;
    return record;
}

// Writes a chunk of `frames` frames of 160 bytes, their numbers running through the stream.
inline void build_chunk(std::span<std::byte> room, std::uint64_t stream, std::uint32_t chunk_number,
                        std::uint32_t frames, TimeNs start_ns, std::uint64_t session = 0) {
    ChunkHeader header;
    header.stream_id = stream;
    header.chunk_number = chunk_number;
    header.record.session_id = session;
    header.stream_first_ns = start_ns - chunk_number * frames * 20 * kNsPerMs;
    ChunkBuilder builder;
    builder.open(room, header);
    for (std::uint32_t i = 0; i < frames; ++i) {
        const std::uint32_t number = chunk_number * frames + i;
        builder.add_frame(frame_record(number, 160, start_ns + i * 20 * kNsPerMs),
                          payload_of(stream, number, 160).data());
    }
    builder.header().counters.stored = (chunk_number + 1) * frames;
    builder.close();
}
inline constexpr std::uint32_t chunk_bytes(std::uint32_t frames) {
    return static_cast<std::uint32_t>(sizeof(ChunkHeader) + frames * ChunkBuilder::entry_bytes(160));
}

// Appends such a chunk; where it lies.
inline Result<ChunkEntry> append_chunk(SegmentWriter& writer, std::uint64_t stream, std::uint32_t chunk_number,
                                       std::uint32_t frames = 20, TimeNs start_ns = kNsPerSecond,
                                       std::uint64_t session = 0) {
    auto room = writer.reserve(chunk_bytes(frames));
    if (!room) return std::unexpected(room.error());
    build_chunk(*room, stream, chunk_number, frames, start_ns, session);
    const RecordPosition at = writer.commit();
    return ChunkEntry{stream,   chunk_number, at.segment, at.offset,
                      at.bytes, frames,       start_ns,   start_ns + (frames - 1) * 20 * kNsPerMs};
}

// Whether the chunk is there with every frame and every byte.
inline void expect_chunk(SegmentReader& reader, const ChunkEntry& entry) {
    const auto chunk = reader.read(entry);
    ASSERT_TRUE(chunk) << chunk.error().message;
    ASSERT_EQ(chunk->header.frames, entry.frames);
    std::uint32_t number = entry.chunk_number * entry.frames;
    const bool sound = chunk->for_each_frame([&](const StoredFrame& frame) {
        ASSERT_EQ(frame.sequence, static_cast<std::uint16_t>(number));
        const auto expected = payload_of(entry.stream_id, number, 160);
        ASSERT_EQ(frame.payload.size(), expected.size());
        ASSERT_EQ(std::memcmp(frame.payload.data(), expected.data(), expected.size()), 0);
        ++number;
    });
    EXPECT_TRUE(sound);
    EXPECT_EQ(number, (entry.chunk_number + 1) * entry.frames);
}

inline void apply_moves(const std::vector<MovedRange>& moves, std::vector<ChunkEntry>& entries) {
    for (const MovedRange& moved : moves) {
        for (ChunkEntry& entry : entries) {
            if (entry.segment != moved.segment || entry.offset < moved.offset ||
                entry.offset >= moved.offset + moved.bytes) {
                continue;
            }
            entry.segment = moved.to_segment;
            entry.offset = moved.to_offset + (entry.offset - moved.offset);
        }
    }
}

}  // namespace spantape
