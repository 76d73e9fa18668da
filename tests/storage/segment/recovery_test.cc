// SPDX-License-Identifier: AGPL-3.0-or-later
#include <atomic>
#include <cerrno>
#include <thread>

#include "tests/storage/memory_index.h"
#include "tests/storage/segment/helpers.h"

namespace spantape {
namespace {

SegmentOptions small(const std::string& directory) {
    SegmentOptions options;
    options.directory = directory;
    options.segment_bytes = 8u << 20;
    options.core_id = 12;
    return options;
}

Recording document(std::uint64_t ident, std::uint64_t session, RecordingState state = RecordingState::recording) {
    Recording recording;
    recording.ident = ident;
    recording.session_id = session;
    recording.state = state;
    recording.start_ns = kNsPerSecond;
    recording.device_id = "7001";
    return recording;
}

Result<> append_document(SegmentWriter& writer, const Recording& recording) {
    const std::string json = to_json(recording);
    auto room = writer.reserve(static_cast<std::uint32_t>(document_record_bytes(json)));
    if (!room) return std::unexpected(room.error());
    write_document(*room, recording, json);
    writer.commit();
    return {};
}

// Makes segments with chunks of stream 5, session 50, in flushes of ten.
std::vector<ChunkEntry> write_chunks(const std::string& directory, std::uint32_t chunks, std::uint32_t first = 1) {
    auto writer = *SegmentWriter::open(small(directory), first);
    std::vector<ChunkEntry> entries;
    for (std::uint32_t number = 0; number < chunks; ++number) {
        entries.push_back(*append_chunk(*writer, 5, number, 20, kNsPerSecond + number * 400 * kNsPerMs, 50));
        if (number % 10 == 9) {
            EXPECT_TRUE(writer->flush());
        }
    }
    EXPECT_TRUE(writer->flush());
    EXPECT_TRUE(writer->reap(true));
    return entries;
}

TEST(Recovery, OfNothingIsNothing) {
    const TemporaryDirectory directory;
    MemoryIndex index;
    const auto recovered = recover(directory.path() + "/none", index);
    ASSERT_TRUE(recovered);
    EXPECT_EQ(recovered->next_segment, 1u);
    EXPECT_EQ(recovered->summary.segments, 0u);
}

TEST(Recovery, AnEmptyIndexIsRebuiltFromTheSegments) {
    const TemporaryDirectory directory;
    const auto entries = write_chunks(directory.path(), 2600);  // two segments
    MemoryIndex index;
    const auto recovered = recover(directory.path(), index);
    ASSERT_TRUE(recovered) << recovered.error().message;
    EXPECT_EQ(recovered->summary.chunks, entries.size());
    EXPECT_EQ(recovered->summary.damaged_records, 0u);
    EXPECT_EQ(recovered->next_segment, 3u);
    const auto indexed = index.chunks(5);
    ASSERT_EQ(indexed->size(), entries.size());
    SegmentReader reader(directory.path());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        EXPECT_EQ((*indexed)[i].offset, entries[i].offset);
        EXPECT_EQ((*indexed)[i].first_ns, entries[i].first_ns);
        EXPECT_EQ((*indexed)[i].last_ns, entries[i].last_ns);
        if (i % 50 == 0) expect_chunk(reader, (*indexed)[i]);
    }
    // And once more: nothing new, and the number goes on.
    const auto again = recover(directory.path(), index);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->summary.chunks, 0u);
    EXPECT_EQ(again->next_segment, 3u);
}

TEST(Recovery, BeginsAtTheWatermark) {
    const TemporaryDirectory directory;
    const auto entries = write_chunks(directory.path(), 100);
    MemoryIndex index;
    Index::Batch batch;
    batch.recordings.push_back(document(1, 50, RecordingState::stored));
    batch.watermark = Watermark{entries[59].segment, entries[59].offset + entries[59].bytes};
    ASSERT_TRUE(index.put(batch));
    const auto recovered = recover(directory.path(), index);
    ASSERT_TRUE(recovered);
    EXPECT_EQ(recovered->summary.chunks, 40u);
    EXPECT_EQ(index.chunks(5)->front().chunk_number, 60u);
}

TEST(Recovery, UnwrittenSpaceIsGivenBack) {
    const TemporaryDirectory directory;
    const auto entries = write_chunks(directory.path(), 30);
    const std::string path = segment_path(directory.path(), 1);
    const auto used = std::filesystem::file_size(path);
    std::filesystem::resize_file(path, 8u << 20);  // as a kill leaves it
    MemoryIndex index;
    const auto recovered = recover(directory.path(), index);
    ASSERT_TRUE(recovered);
    EXPECT_EQ(recovered->summary.chunks, entries.size());
    EXPECT_EQ(recovered->summary.damaged_records, 0u);
    EXPECT_EQ(std::filesystem::file_size(path), used);
}

TEST(Recovery, ATornTailLosesOnlyWhatWasTorn) {
    const TemporaryDirectory directory;
    const auto entries = write_chunks(directory.path(), 30);
    const std::string path = segment_path(directory.path(), 1);
    const auto whole = read_bytes(path);
    for (std::size_t bytes = whole.size(); bytes > entries[25].offset; bytes -= 301) {
        auto torn = whole;
        torn.resize(bytes);
        for (const bool zeros : {false, true}) {
            if (zeros) torn.resize(whole.size() + 20000);
            write_bytes(path, torn);
            const auto there = std::ranges::count_if(
                entries, [&](const ChunkEntry& entry) { return entry.offset + entry.bytes <= bytes; });
            MemoryIndex index;
            const auto recovered = recover(directory.path(), index);
            ASSERT_TRUE(recovered);
            ASSERT_EQ(recovered->summary.chunks, static_cast<std::uint64_t>(there)) << bytes << " " << zeros;
        }
    }
}

TEST(Recovery, AHoleInTheMiddleHidesNothingBehindIt) {
    const TemporaryDirectory directory;
    const auto entries = write_chunks(directory.path(), 300);
    const std::string path = segment_path(directory.path(), 1);
    auto bytes = read_bytes(path);
    // Blocks that never came: from the middle of chunk 100 into the middle of chunk 200.
    const auto from = align_up(entries[100].offset + 100, kBlockBytes);
    const auto to = align_up(entries[200].offset + 100, kBlockBytes);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.begin() + static_cast<std::ptrdiff_t>(to),
              std::byte{0});
    write_bytes(path, bytes);
    const auto there = std::ranges::count_if(
        entries, [&](const ChunkEntry& entry) { return entry.offset + entry.bytes <= from || entry.offset >= to; });
    MemoryIndex index;
    const auto recovered = recover(directory.path(), index);
    ASSERT_TRUE(recovered);
    EXPECT_EQ(recovered->summary.chunks, static_cast<std::uint64_t>(there));
    EXPECT_GE(recovered->summary.damaged_records, 1u);
    EXPECT_LE(recovered->summary.damaged_records, 3u);
}

TEST(Recovery, ADamagedByteCostsItsRecordAndNoOther) {
    const TemporaryDirectory directory;
    const auto entries = write_chunks(directory.path(), 12);
    const std::string path = segment_path(directory.path(), 1);
    const auto whole = read_bytes(path);
    std::mt19937_64 random(1);
    for (std::size_t at = 0; at < sizeof(ChunkHeader) + 200; ++at) {
        auto bytes = whole;
        bytes[entries[4].offset + at] ^= static_cast<std::byte>(1 + random() % 255);
        write_bytes(path, bytes);
        MemoryIndex index;
        const auto recovered = recover(directory.path(), index);
        ASSERT_TRUE(recovered);
        ASSERT_EQ(recovered->summary.chunks, 11u) << "byte " << at;
        ASSERT_EQ(recovered->summary.damaged_records, 1u) << "byte " << at;
        const auto indexed = *index.chunks(5);
        for (const ChunkEntry& entry : indexed) ASSERT_NE(entry.chunk_number, 4u);
    }
}

TEST(Recovery, ADamagedSegmentHeaderCostsNoRecord) {
    const TemporaryDirectory directory;
    write_chunks(directory.path(), 12);
    const std::string path = segment_path(directory.path(), 1);
    auto bytes = read_bytes(path);
    for (std::size_t at = 0; at < kBlockBytes; ++at) bytes[at] = std::byte{0x5a};
    write_bytes(path, bytes);
    MemoryIndex index;
    const auto recovered = recover(directory.path(), index);
    ASSERT_TRUE(recovered);
    EXPECT_EQ(recovered->summary.chunks, 12u);
    EXPECT_EQ(recovered->summary.damaged_records, 1u);
}

// A sender can put anything into its packets, a whole record of ours too.
TEST(Recovery, ARecordInsideAPacketIsNotTakenForOneOfOurs) {
    const TemporaryDirectory directory;
    auto writer = *SegmentWriter::open(small(directory.path()), 1);
    ASSERT_TRUE(append_chunk(*writer, 5, 0));
    auto room = writer->reserve(64 << 10);
    ASSERT_TRUE(room);
    std::vector<std::byte> payload(20000);
    std::vector<std::byte> forged(chunk_bytes(2));
    build_chunk(forged, 666, 1, 2, kNsPerSecond);
    seal_record(forged, 0x6666);
    // Payload begins at 256 + 16: 48 further on lies a multiple of 64.
    std::memcpy(payload.data() + 48, forged.data(), forged.size());
    ChunkBuilder builder;
    builder.open(*room, {});
    builder.add_frame(frame_record(1, payload.size(), kNsPerSecond), payload.data());
    builder.close();
    const RecordPosition carrier = writer->commit();
    ASSERT_TRUE(append_chunk(*writer, 5, 1));
    ASSERT_TRUE(writer->flush());
    ASSERT_TRUE(writer->reap(true));
    writer.reset();
    const std::string path = segment_path(directory.path(), 1);
    auto bytes = read_bytes(path);
    ASSERT_EQ(check_record(std::span(bytes).subspan(carrier.offset + 320), std::nullopt).state, RecordState::sealed);
    bytes[carrier.offset] ^= std::byte{1};  // its carrier is damaged, so that the search runs through the payload
    write_bytes(path, bytes);
    MemoryIndex index;
    ASSERT_TRUE(recover(directory.path(), index));
    EXPECT_EQ(index.chunks(5)->size(), 2u);
    EXPECT_TRUE(index.chunks(666)->empty());
}

TEST(Recovery, AnUnfinishedRecordingEndsWithItsLastFrame) {
    const TemporaryDirectory directory;
    {
        auto writer = *SegmentWriter::open(small(directory.path()), 1);
        Recording recording = document(9, 50);
        RecordedStream stream;
        stream.stream_id = 5;
        stream.payloads.push_back({0, "PCMU", 8000, 1, ""});
        recording.streams.push_back(stream);
        ASSERT_TRUE(append_document(*writer, recording));
        for (std::uint32_t number = 0; number < 5; ++number) {
            ASSERT_TRUE(append_chunk(*writer, 5, number, 20, 2 * kNsPerSecond + number * 400 * kNsPerMs, 50));
        }
    }
    MemoryIndex index;
    const auto recovered = recover(directory.path(), index);
    ASSERT_TRUE(recovered) << recovered.error().message;
    EXPECT_EQ(recovered->summary.recordings, 1u);
    const auto recording = *index.recording(9);
    ASSERT_TRUE(recording);
    EXPECT_EQ(recording->state, RecordingState::interrupted);
    EXPECT_EQ(recording->ended_by, "crash");
    EXPECT_EQ(recording->start_ns, kNsPerSecond);
    EXPECT_EQ(recording->stop_ns, 4 * kNsPerSecond);  // 100 frames of 20 ms from 2 s on
    ASSERT_EQ(recording->streams.size(), 1u);
    EXPECT_EQ(recording->streams[0].start_ns, 2 * kNsPerSecond);
    EXPECT_EQ(recording->streams[0].duration_ns, 2 * kNsPerSecond);
    EXPECT_EQ(recording->streams[0].counters.stored, 100u);
    EXPECT_TRUE(index.unfinished()->empty());
}

TEST(Recovery, OfOneIdentTheLaterDocumentWins) {
    const TemporaryDirectory directory;
    {
        auto writer = *SegmentWriter::open(small(directory.path()), 1);
        Recording recording = document(9, 50);
        ASSERT_TRUE(append_document(*writer, recording));
        recording.ani = "5551234";
        ASSERT_TRUE(append_document(*writer, recording));
        recording.state = RecordingState::stored;
        recording.ended_by = "bye";
        recording.stop_ns = 7 * kNsPerSecond;
        ASSERT_TRUE(append_document(*writer, recording));
    }
    MemoryIndex index;
    ASSERT_TRUE(recover(directory.path(), index));
    const auto recording = *index.recording(9);
    ASSERT_TRUE(recording);
    EXPECT_EQ(recording->state, RecordingState::stored);
    EXPECT_EQ(recording->ended_by, "bye");
    EXPECT_EQ(recording->ani, "5551234");
    EXPECT_EQ(recording->stop_ns, 7 * kNsPerSecond);
}

// Two directions of one call, their chunks indexed already, the document that names them not yet written.
TEST(Recovery, StreamsThatTheDocumentLacksAreFoundBySession) {
    const TemporaryDirectory directory;
    RecordPosition end;
    {
        auto writer = *SegmentWriter::open(small(directory.path()), 1);
        const auto phone = *IpAddress::parse("192.0.2.1");
        const auto far = *IpAddress::parse("192.0.2.2");
        for (const bool reversed : {false, true}) {
            auto room = writer->reserve(chunk_bytes(10));
            ChunkHeader header;
            header.stream_id = reversed ? 71 : 70;
            header.record.session_id = 50;
            header.source_ip = (reversed ? far : phone).bytes;
            header.destination_ip = (reversed ? phone : far).bytes;
            header.source_port = reversed ? 4000 : 3000;
            header.destination_port = reversed ? 3000 : 4000;
            header.ssrc = 0xabc;
            header.stream_first_ns = kNsPerSecond + (reversed ? 5 : 0);
            header.counters.stored = 1;
            ChunkBuilder builder;
            builder.open(*room, header);
            builder.add_frame(frame_record(1, 160, kNsPerSecond + (reversed ? 5 : 0)), payload_of(1, 1, 160).data());
            builder.close();
            end = writer->commit();
        }
    }
    MemoryIndex index;
    Index::Batch batch;
    batch.recordings.push_back(document(9, 50));
    batch.watermark = Watermark{end.segment, end.offset + end.bytes};
    ASSERT_TRUE(index.put(batch));
    const auto recovered = recover(directory.path(), index);
    ASSERT_TRUE(recovered);
    EXPECT_EQ(recovered->summary.chunks, 0u);
    const auto recording = *index.recording(9);
    ASSERT_EQ(recording->streams.size(), 2u);
    EXPECT_EQ(recording->streams[0].stream_id, 70u);
    EXPECT_EQ(recording->streams[0].side, Side::device);
    EXPECT_EQ(recording->streams[0].flow.source.to_string(), "192.0.2.1:3000");
    EXPECT_EQ(recording->streams[0].flow.ssrc, 0xabcu);
    EXPECT_EQ(recording->streams[1].stream_id, 71u);
    EXPECT_EQ(recording->streams[1].side, Side::far);
    EXPECT_EQ(recording->stop_ns, kNsPerSecond + 5 + 20 * kNsPerMs);
}

TEST(Recovery, AudioWithoutADocumentBecomesARecording) {
    const TemporaryDirectory directory;
    write_chunks(directory.path(), 10);
    MemoryIndex index;
    const auto recovered = recover(directory.path(), index);
    ASSERT_TRUE(recovered);
    EXPECT_EQ(recovered->summary.recordings, 1u);
    const auto recording = *index.recording(1);
    ASSERT_TRUE(recording);
    EXPECT_EQ(recording->device_id, "unknown");
    EXPECT_EQ(recording->global_call_id, "00120000000001");
    EXPECT_EQ(recording->state, RecordingState::interrupted);
    EXPECT_EQ(recording->session_id, 50u);
    EXPECT_EQ(recording->start_ns, kNsPerSecond);
    EXPECT_EQ(recording->stop_ns, 5 * kNsPerSecond);
    ASSERT_EQ(recording->streams.size(), 1u);
    EXPECT_EQ(recording->streams[0].stream_id, 5u);
}

// Copies of the directory while a writer is at work, as kill -9 leaves it: what was durable before the copy began is
// found in each copy.
TEST(Recovery, WhateverMomentTheKillComesTheDurableChunksAreThere) {
    const TemporaryDirectory directory;
    const TemporaryDirectory copies;
    std::atomic<std::uint32_t> durable{0};  // written by the writer thread
    std::atomic<bool> stop{false};
    std::thread thread([&] {
        auto writer = *SegmentWriter::open(small(directory.path()), 1);
        std::uint32_t number = 0;
        std::vector<std::pair<std::uint64_t, std::uint32_t>> epochs;
        while (!stop) {
            for (int i = 0; i < 37; ++i) ASSERT_TRUE(append_chunk(*writer, 5, number++, 20, kNsPerSecond, 50));
            epochs.emplace_back(*writer->flush(), number);
            ASSERT_TRUE(writer->reap(false));
            for (const auto& [epoch, count] : epochs) {
                if (epoch <= writer->durable_epoch()) durable = std::max(durable.load(), count);
            }
            std::erase_if(epochs, [&](const auto& entry) { return entry.first <= writer->durable_epoch(); });
            // Slower towards the end, so that a slow machine does not spend its time on ever larger copies.
            std::this_thread::sleep_for(std::chrono::milliseconds(number < 5000 ? 1 : 50));
        }
    });
    for (int round = 0; round < 15; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        const std::uint32_t before = durable;
        const std::string copy = copies.path() + "/" + std::to_string(round);
        std::filesystem::copy(directory.path(), copy);
        MemoryIndex index;
        const auto recovered = recover(copy, index);
        ASSERT_TRUE(recovered) << recovered.error().message;
        EXPECT_GE(recovered->summary.chunks, before);
        const auto chunks = index.chunks(5);
        ASSERT_GE(chunks->size(), before);
        SegmentReader reader(copy);
        for (std::uint32_t number = 0; number < before; ++number) {
            ASSERT_EQ((*chunks)[number].chunk_number, number);
            if (number % 41 == 0) expect_chunk(reader, (*chunks)[number]);
        }
        std::filesystem::remove_all(copy);
    }
    stop = true;
    thread.join();
    EXPECT_GT(durable.load(), 100u);
}

}  // namespace
}  // namespace spantape
