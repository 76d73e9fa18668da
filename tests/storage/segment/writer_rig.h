// SPDX-License-Identifier: AGPL-3.0-or-later
// A media writer over a real or a made-up disk, turned by hand, and streams whose frames are remembered.
#pragma once

#include <memory>
#include <thread>

#include "storage/media_writer.h"
#include "tests/storage/memory_index.h"
#include "tests/storage/segment/helpers.h"
#include "tests/storage/segment/test_stream.h"

namespace spantape {

struct Rig {
    explicit Rig(const SegmentOptions& options, std::size_t queue = 64, MediaWriterOptions with = {})
        : writing(std::move(with)),
          queues(queue),
          segments(*SegmentWriter::open(options, 1)),
          directory(options.directory) {
        make();
    }
    Rig(std::unique_ptr<SegmentWriter> over, const std::string& where)
        : queues(64), segments(std::move(over)), directory(where) {
        make();
    }
    void make() {
        writer = std::make_unique<MediaWriter>(writing, *segments, index, std::vector<WorkerToWriter*>{&queues},
                                               commands, events, control);
    }

    void open(TestStream& stream) { ASSERT_TRUE(queues.opened.push(&stream.handle)); }
    void command(WriterCommand what) { ASSERT_TRUE(commands.push(std::move(what))); }

    // Turns the writer for so much time, in steps of 10 ms; lets the disk do its work in between.
    void turn(TimeNs for_ns) {
        for (const TimeNs end = now + for_ns; now < end; now += 10 * kNsPerMs) {
            for (int i = 0; i < 100 && writer->step(now); ++i) {
            }
            collect();
        }
    }
    template <class Done>
    bool turn_until(Done done) {
        for (int i = 0; i < 3000; ++i) {
            turn(10 * kNsPerMs);
            if (done()) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
    void collect() {
        while (auto event = events.pop()) {
            if (auto* stored = std::get_if<RecordingStored>(&*event)) recordings.push_back(*stored);
            if (auto* flushed = std::get_if<Flushed>(&*event)) tokens.push_back(flushed->token);
            if (auto* ready_now = std::get_if<BlackoutReady>(&*event)) ready.push_back(*ready_now);
            if (auto* failed = std::get_if<StorageFailed>(&*event)) failures.push_back(failed->message);
        }
        while (auto handle = queues.returned.pop()) returned.push_back(*handle);
    }
    bool flush_all(std::uint64_t token) {
        command(FlushAll{token});
        return turn_until([&] { return !tokens.empty() && tokens.back() == token; });
    }

    // The stream's frames as the index and the segments give them.
    void expect_stored(const TestStream& stream, std::size_t payload_bytes = 160) {
        SegmentReader reader(directory);
        std::vector<std::uint16_t> sequences;
        std::uint32_t chunk_number = 0;
        const auto entries = *index.chunks(stream.handle.stream_id);
        for (const ChunkEntry& entry : entries) {
            ASSERT_EQ(entry.chunk_number, chunk_number++);
            const auto chunk = reader.read(entry);
            ASSERT_TRUE(chunk) << chunk.error().message;
            ASSERT_EQ(chunk->header.frames, entry.frames);
            ASSERT_TRUE(chunk->for_each_frame([&](const StoredFrame& frame) {
                ASSERT_LT(sequences.size(), stream.expected.size());
                const auto expected =
                    payload_of(stream.handle.stream_id, stream.expected[sequences.size()], payload_bytes);
                ASSERT_EQ(frame.payload.size(), expected.size());
                ASSERT_EQ(std::memcmp(frame.payload.data(), expected.data(), expected.size()), 0);
                sequences.push_back(frame.sequence);
            }));
        }
        ASSERT_EQ(sequences.size(), stream.expected.size());
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            ASSERT_EQ(sequences[i], static_cast<std::uint16_t>(stream.expected[i]));
        }
    }
    Chunk last_chunk(const TestStream& stream) {
        SegmentReader reader(directory);
        return *reader.read(index.chunks(stream.handle.stream_id)->back());
    }

    MediaWriterOptions writing;
    WorkerToWriter queues;
    std::unique_ptr<SegmentWriter> segments;
    std::string directory;
    MemoryIndex index;
    SpscQueue<WriterCommand> commands{64};
    SpscQueue<WriterEvent> events{64};
    Wakeup control;
    std::unique_ptr<MediaWriter> writer;
    TimeNs now = kNsPerSecond;
    std::vector<RecordingStored> recordings;
    std::vector<std::uint64_t> tokens;
    std::vector<BlackoutReady> ready;
    std::vector<std::string> failures;
    std::vector<StreamHandle*> returned;
};

inline SegmentOptions small(const std::string& directory) {
    SegmentOptions options;
    options.directory = directory;
    options.segment_bytes = 8u << 20;
    return options;
}

inline Recording recording_of(std::uint64_t ident, std::uint64_t session) {
    Recording recording;
    recording.ident = ident;
    recording.session_id = session;
    return recording;
}

}  // namespace spantape
