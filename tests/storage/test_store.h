// SPDX-License-Identifier: AGPL-3.0-or-later
// A whole store on the real disk, made by the segment writer and the real index: recordings of two streams each, of
// which every chunk and every document is remembered.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/index/index.h"
#include "tests/storage/segment/helpers.h"

namespace spantape {

inline Result<RecordPosition> append_document(SegmentWriter& writer, const Recording& recording) {
    const std::string json = to_json(recording);
    auto room = writer.reserve(static_cast<std::uint32_t>(document_record_bytes(json)));
    if (!room) return std::unexpected(room.error());
    write_document(*room, recording, json);
    return writer.commit();
}

inline Result<RecordPosition> append_purge(SegmentWriter& writer, std::uint64_t ident,
                                           const std::vector<std::uint64_t>& streams) {
    auto room = writer.reserve(purge_record_bytes(streams.size()));
    if (!room) return std::unexpected(room.error());
    write_purge(*room, ident, streams);
    return writer.commit();
}

class TestStore {
public:
    static constexpr std::uint32_t kFrames = 20;  // of a chunk
    static constexpr std::uint32_t kChunks = 12;  // of a stream

    explicit TestStore(std::uint64_t recordings = 5) {
        std::filesystem::create_directories(segments());
        open_index();
        EXPECT_TRUE(index->take_numbers("boot", 1));
        EXPECT_TRUE(index->take_numbers("ident", recordings));
        EXPECT_TRUE(index->take_numbers("session", recordings));
        EXPECT_TRUE(index->take_numbers("global_call", recordings));
        open_writer(1);
        for (std::uint64_t ident = 1; ident <= recordings; ++ident) {
            Recording recording;
            recording.ident = ident;
            recording.session_id = ident;
            recording.global_call_id = fmt::format("{:04}{:010}", 1, ident);
            recording.start_ns = kNsPerSecond;
            recording.stop_ns = kNsPerSecond + kChunks * kFrames * 20 * kNsPerMs;
            for (const Side side : {Side::device, Side::far}) {
                RecordedStream stream;
                stream.stream_id = stream_of(ident, side);
                stream.side = side;
                stream.payloads.push_back({0, "PCMU", 8000, 1, ""});
                stream.start_ns = kNsPerSecond;
                stream.counters.stored = kChunks * kFrames;
                recording.streams.push_back(stream);
            }
            put_document(recording);
            recordings_.push_back(recording);
        }
        // As calls run: chunks of all of them between one another, in batches.
        for (std::uint32_t number = 0; number < kChunks; ++number) {
            for (const Recording& recording : recordings_)
                for (const RecordedStream& stream : recording.streams) put_chunk(stream.stream_id, number);
            finish_batch();
        }
        for (Recording& recording : recordings_) {
            recording.state = RecordingState::stored;
            put_document(recording);
        }
        finish_batch();
    }

    static std::uint64_t stream_of(std::uint64_t ident, Side side) {
        return std::uint64_t{1} << 40 | ident * 2 | (side == Side::far ? 1 : 0);
    }
    [[nodiscard]] std::string path() const { return directory_.path(); }
    [[nodiscard]] std::string segments() const { return path() + "/segments"; }
    [[nodiscard]] std::string index_path() const { return path() + "/index"; }

    void open_index() {
        auto opened = Index::open(index_path());
        if (!opened) throw std::runtime_error(opened.error().message);
        index = std::move(*opened);
    }
    void open_writer(std::uint32_t first) {
        SegmentOptions options;
        options.directory = segments();
        options.segment_bytes = 2u << 20;
        writer = std::move(*SegmentWriter::open(options, first));
    }
    void close() {
        writer.reset();
        index.reset();
    }

    void put_chunk(std::uint64_t stream, std::uint32_t number) {
        const auto entry = append_chunk(*writer, stream, number, kFrames,
                                        kNsPerSecond + number * kFrames * 20 * kNsPerMs, (stream & 0xffff) / 2);
        ASSERT_TRUE(entry) << entry.error().message;
        batch.chunks.push_back(*entry);
        chunks.push_back(*entry);
        end_ = {entry->segment, entry->offset + entry->bytes};
    }
    void put_document(const Recording& recording) {
        const auto at = append_document(*writer, recording);
        ASSERT_TRUE(at) << at.error().message;
        batch.recordings.push_back(recording);
        end_ = {at->segment, at->offset + at->bytes};
    }
    void put_purge(std::uint64_t ident, const std::vector<std::uint64_t>& streams) {
        const auto at = append_purge(*writer, ident, streams);
        ASSERT_TRUE(at) << at.error().message;
        end_ = {at->segment, at->offset + at->bytes};
    }
    void finish_batch() {
        ASSERT_TRUE(writer->flush());
        ASSERT_TRUE(writer->reap(true));
        batch.watermark = end_;
        ASSERT_TRUE(index->put(batch));
        batch = {};
    }

    void change(const ChunkEntry& chunk, std::uint64_t byte, std::byte mask = std::byte{0x10}) const {
        const std::string file = segment_path(segments(), chunk.segment);
        auto bytes = read_bytes(file);
        bytes.at(chunk.offset + byte) ^= mask;
        write_bytes(file, bytes);
    }

    std::unique_ptr<Index> index;
    std::unique_ptr<SegmentWriter> writer;
    std::vector<ChunkEntry> chunks;
    std::vector<Recording> recordings_;
    Index::Batch batch;

private:
    TemporaryDirectory directory_;
    Watermark end_;
};

}  // namespace spantape
