// SPDX-License-Identifier: AGPL-3.0-or-later
// Rings and commands in; chunks, index and events out. The clock is turned by hand.
#include "storage/media_writer.h"

#include <cerrno>
#include <map>
#include <set>
#include <thread>

#include <sys/mount.h>

#include "tests/storage/memory_index.h"
#include "tests/storage/segment/helpers.h"
#include "tests/storage/segment/memory_disk.h"

namespace spantape {
namespace {

constexpr std::size_t kRingBytes = 16 << 10;

// A worker's stream: what was put on its ring is remembered.
struct TestStream {
    explicit TestStream(std::uint64_t id, std::uint64_t session) : memory(kRingBytes + 64) {
        void* aligned = memory.data();
        std::size_t room = memory.size();
        std::align(64, kRingBytes, aligned, room);
        handle.ring.attach({static_cast<std::byte*>(aligned), kRingBytes});
        handle.stream_id = id;
        handle.session_id = session;
        handle.flow.ssrc = static_cast<std::uint32_t>(id * 3);
        handle.flow.source = {*IpAddress::parse("192.0.2.1"), 1000};
        handle.flow.destination = {*IpAddress::parse("192.0.2.2"), 2000};
        handle.worker = 4;
    }

    bool put(const RingRecord& record, const std::vector<std::byte>& payload = {}) {
        std::byte* room = handle.ring.reserve(sizeof record + payload.size());
        if (room == nullptr) return false;
        std::memcpy(room, &record, sizeof record);
        if (!payload.empty()) std::memcpy(room + sizeof record, payload.data(), payload.size());
        handle.ring.commit();
        return true;
    }
    bool put_frame(TimeNs arrival_ns, std::size_t bytes = 160) {
        if (!put(frame_record(next, bytes, arrival_ns), payload_of(handle.stream_id, next, bytes))) return false;
        if (!paused) expected.push_back(next);
        ++next;
        return true;
    }
    bool put_mark(RingRecordKind kind, TimeNs arrival_ns = 0, std::uint32_t lost = 0) {
        RingRecord record;
        record.kind = kind;
        record.arrival_ns = arrival_ns;
        record.lost_us = lost;
        if (!put(record)) return false;
        if (kind == RingRecordKind::pause) paused = true;
        if (kind == RingRecordKind::resume) paused = false;
        return true;
    }

    std::vector<std::byte> memory;
    StreamHandle handle;
    std::uint32_t next = 0;
    bool paused = false;
    std::vector<std::uint32_t> expected;  // numbers of the frames that must be stored
};

struct Rig {
    explicit Rig(const SegmentOptions& options, std::size_t queue = 64)
        : queues(queue), segments(*SegmentWriter::open(options, 1)), directory(options.directory) {
        make();
    }
    Rig(std::unique_ptr<SegmentWriter> over, const std::string& where)
        : queues(64), segments(std::move(over)), directory(where) {
        make();
    }
    void make() {
        writer = std::make_unique<MediaWriter>(MediaWriterOptions{}, *segments, index,
                                               std::vector<WorkerToWriter*>{&queues}, commands, events, control);
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
    std::vector<std::string> failures;
    std::vector<StreamHandle*> returned;
};

SegmentOptions small(const std::string& directory) {
    SegmentOptions options;
    options.directory = directory;
    options.segment_bytes = 8u << 20;
    return options;
}

Recording recording_of(std::uint64_t ident, std::uint64_t session) {
    Recording recording;
    recording.ident = ident;
    recording.session_id = session;
    return recording;
}

TEST(MediaWriter, FramesAreStoredWithinTheFlushTimeWithoutBeingAsked) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    rig.turn(10 * kNsPerMs);
    ASSERT_TRUE(stream.put_frame(kNsPerSecond));
    rig.turn(900 * kNsPerMs);
    ASSERT_TRUE(rig.segments->reap(true));  // only the disk's own time is not the test's
    rig.turn(20 * kNsPerMs);
    rig.expect_stored(stream);
    EXPECT_GT(rig.index.watermark()->offset, 0u);
}

TEST(MediaWriter, ARingMoreThanHalfFullIsDrainedAtOnce) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    rig.turn(10 * kNsPerMs);
    for (int i = 0; i < 2000; ++i) {  // 2,000 packets in 400 ms
        ASSERT_TRUE(stream.put_frame(kNsPerSecond + i * 200'000)) << i;
        if (i % 50 == 49) rig.turn(10 * kNsPerMs);
    }
    ASSERT_TRUE(rig.flush_all(1));
    rig.expect_stored(stream);
}

TEST(MediaWriter, SaysHowFullTheRingsAre) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream fuller(1, 10), emptier(2, 10);
    rig.open(fuller);
    rig.open(emptier);
    while (fuller.handle.ring.used_bytes() * 8 < kRingBytes * 3) ASSERT_TRUE(fuller.put_frame(kNsPerSecond));
    const RingFill& fill = rig.writer->counters().ring_fill;
    const auto used_bytes = fuller.handle.ring.used_bytes();
    rig.turn(10 * kNsPerMs);
    EXPECT_EQ(fill.rings.get(), 2u);
    EXPECT_EQ(fill.used_bytes.get(), used_bytes);
    EXPECT_EQ(fill.capacity_bytes.get(), 2 * kRingBytes);
    EXPECT_EQ(fill.fullest_permille.get(), used_bytes * 1000 / kRingBytes);
    EXPECT_EQ(fill.by_fill[0].get(), 1u);
    EXPECT_EQ(fill.by_fill[2].get(), 1u);  // three eighths, and not more
    ASSERT_TRUE(rig.flush_all(1));
    rig.turn(100 * kNsPerMs);
    EXPECT_EQ(fill.used_bytes.get(), 0u);
    EXPECT_EQ(fill.worst_permille.get(), used_bytes * 1000 / kRingBytes);
}

TEST(MediaWriter, WhatLiesBetweenPauseAndResumeIsCountedAndNotStored) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    TimeNs at = kNsPerSecond;
    auto frames = [&](int count) {
        for (int i = 0; i < count; ++i) ASSERT_TRUE(stream.put_frame(at += 20 * kNsPerMs));
    };
    frames(5);
    stream.put_mark(RingRecordKind::pause, at);
    frames(7);
    rig.turn(600 * kNsPerMs);
    frames(2);
    stream.put_mark(RingRecordKind::resume, at);
    stream.put_mark(RingRecordKind::gap, at, 12);
    frames(3);
    stream.handle.lost_before = 4;  // by the worker
    stream.handle.duplicates = 6;
    ASSERT_TRUE(rig.flush_all(1));
    rig.expect_stored(stream);
    const Chunk chunk = rig.last_chunk(stream);
    EXPECT_EQ(chunk.header.counters.stored, 8u);
    EXPECT_EQ(chunk.header.counters.blacked_out, 9u);
    EXPECT_EQ(chunk.header.counters.dropped_us, 12u);
    EXPECT_EQ(chunk.header.counters.lost_before, 4u);
    EXPECT_EQ(chunk.header.counters.duplicates, 6u);
    EXPECT_EQ(chunk.header.counters.payload_bytes, 8u * 160);
    EXPECT_EQ(chunk.header.paused, 0);
    EXPECT_EQ(chunk.header.ssrc, 3u);
    EXPECT_EQ(chunk.header.source_port, 1000);
    EXPECT_EQ(chunk.header.worker, 4);
    EXPECT_EQ(chunk.header.stream_first_ns, kNsPerSecond + 20 * kNsPerMs);
}

TEST(MediaWriter, ClockJumpsOfYearsAreStored) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    constexpr TimeNs kYear = 365 * 86400 * kNsPerSecond;
    for (const TimeNs at : {kNsPerSecond, kYear, kYear + 1, -kYear, TimeNs{0}, INT64_MAX - 5, INT64_MIN + 5, kYear}) {
        ASSERT_TRUE(stream.put_frame(at));
    }
    ASSERT_TRUE(rig.flush_all(1));
    rig.expect_stored(stream);
}

TEST(MediaWriter, AnEndedStreamGoesBackToItsWorkerEvenWhenTheQueueWasFull) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()), 2);
    std::vector<std::unique_ptr<TestStream>> streams;
    for (std::uint64_t id = 1; id <= 40; ++id) {
        auto& stream = *streams.emplace_back(std::make_unique<TestStream>(id, id % 3));
        ASSERT_TRUE(stream.put_frame(kNsPerSecond));
        ASSERT_TRUE(stream.put_mark(RingRecordKind::end));
        while (!rig.queues.opened.push(&stream.handle)) rig.writer->step(rig.now);
    }
    ASSERT_TRUE(rig.flush_all(1));
    EXPECT_TRUE(rig.turn_until([&] { return rig.returned.size() == 40; }));
    EXPECT_EQ(std::set<StreamHandle*>(rig.returned.begin(), rig.returned.end()).size(), 40u);
    for (const auto& stream : streams) rig.expect_stored(*stream);
    // The slot serves its next stream.
    TestStream& again = *streams[7];
    again.handle.ring.reset();
    again.handle.stream_id = 1000;
    again.expected.clear();
    ASSERT_TRUE(again.put_frame(kNsPerSecond));
    rig.open(again);
    ASSERT_TRUE(rig.flush_all(2));
    rig.expect_stored(again);
}

TEST(MediaWriter, AFinalDocumentIsStoredAfterAllOfItsAudio) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    TestStream other(2, 11);
    rig.open(stream);
    rig.open(other);
    rig.turn(10 * kNsPerMs);
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(stream.put_frame(kNsPerSecond + i));
        ASSERT_TRUE(other.put_frame(kNsPerSecond + i));
    }
    ASSERT_TRUE(stream.put_mark(RingRecordKind::end));
    rig.command(PutRecording{recording_of(77, 10), true});
    ASSERT_TRUE(rig.turn_until([&] { return !rig.recordings.empty(); }));
    EXPECT_EQ(rig.recordings.front().ident, 77u);
    EXPECT_TRUE(rig.recordings.front().final);
    rig.expect_stored(stream);
    EXPECT_TRUE(*rig.index.recording(77));
    EXPECT_EQ(rig.returned, std::vector<StreamHandle*>{&stream.handle});
    // In the segment, too: a rebuild must find the audio first.
    std::vector<RecordKind> kinds;
    ASSERT_TRUE(scan_segment(segment_path(directory.path(), 1), 0,
                             [&](std::uint64_t, const RecordHeader& header, auto) -> Result<> {
                                 if (header.session_id == 10) kinds.push_back(header.kind);
                                 return {};
                             }));
    EXPECT_EQ(kinds, (std::vector{RecordKind::audio, RecordKind::recording}));
}

TEST(MediaWriter, NothingIsAnnouncedBeforeTheIndexHasIt) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    ASSERT_TRUE(stream.put_frame(kNsPerSecond));
    rig.index.refusals = 12;
    rig.command(PutRecording{recording_of(5, 10), false});
    rig.command(FlushAll{1});
    ASSERT_TRUE(rig.turn_until([&] {
        EXPECT_TRUE(rig.index.refusals == 0 || (rig.tokens.empty() && rig.recordings.empty()));
        return !rig.tokens.empty();
    }));
    EXPECT_EQ(rig.index.refusals, 0);
    ASSERT_EQ(rig.recordings.size(), 1u);
    rig.expect_stored(stream);
    // 12 refusals, 0.2 s apart: said once a second.
    EXPECT_GE(rig.failures.size(), 2u);
    EXPECT_LE(rig.failures.size(), 4u);
}

TEST(MediaWriter, AnIdleWriterWritesNothingAndDoesNotSpin) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    ASSERT_TRUE(stream.put_frame(kNsPerSecond));
    ASSERT_TRUE(rig.flush_all(1));
    rig.turn(20 * kNsPerMs);
    const auto position = rig.segments->position();
    const int puts = rig.index.puts;
    for (int i = 0; i < 1000; ++i) EXPECT_FALSE(rig.writer->step(rig.now += 10 * kNsPerMs));
    EXPECT_EQ(rig.segments->position().offset, position.offset);
    EXPECT_EQ(rig.index.puts, puts);
}

TEST(MediaWriter, AFullEventQueueLosesNoEvent) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    for (std::uint64_t ident = 1; ident <= 300; ++ident) {
        while (!rig.commands.push(PutRecording{recording_of(ident, 0), false})) rig.writer->step(rig.now);
    }
    for (int i = 0; i < 200; ++i) {  // nobody reads the events meanwhile
        rig.writer->step(rig.now += 10 * kNsPerMs);
        static_cast<void>(rig.segments->reap(true));
    }
    ASSERT_TRUE(rig.turn_until([&] { return rig.recordings.size() == 300; }));
    for (std::uint64_t ident = 1; ident <= 300; ++ident) EXPECT_EQ(rig.recordings[ident - 1].ident, ident);
}

TEST(MediaWriter, OnAFullDiskNothingAnnouncedIsMissingAndAllGoesOnAfterwards) {
    const TemporaryDirectory directory;
    if (mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=20m") != 0) GTEST_SKIP() << "needs root to mount";
    struct Unmount {
        std::string at;
        ~Unmount() { umount2(at.c_str(), MNT_DETACH); }
    } unmount{directory.path()};
    write_bytes(directory.path() + "/filler", std::vector<std::byte>(10u << 20));
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    std::uint64_t full_at = 0;
    for (std::uint64_t i = 0; i < 60000 && full_at == 0; ++i) {
        if (!stream.put_frame(kNsPerSecond + static_cast<TimeNs>(i))) full_at = i;
        if (i % 40 == 39) rig.turn(10 * kNsPerMs);
    }
    EXPECT_GT(full_at, 10000u);
    const std::size_t said = rig.failures.size();
    ASSERT_GE(said, 1u);
    EXPECT_NE(rig.failures.front().find("No space left"), std::string::npos) << rig.failures.front();
    rig.command(PutRecording{recording_of(5, 10), false});
    rig.turn(3 * kNsPerSecond);
    EXPECT_TRUE(rig.recordings.empty());
    EXPECT_LE(rig.failures.size(), said + 4);
    EXPECT_GE(rig.failures.size(), said + 2);
    std::filesystem::remove(directory.path() + "/filler");
    ASSERT_TRUE(rig.turn_until([&] { return !rig.recordings.empty(); }));
    for (int i = 0; i < 500; ++i) {
        ASSERT_TRUE(stream.put_frame(2 * kNsPerSecond + i));
        if (i % 40 == 39) rig.turn(10 * kNsPerMs);
    }
    ASSERT_TRUE(rig.flush_all(1));
    rig.expect_stored(stream);
}

// Random frames, marks, streams, recordings, refusals of the index and faults of the disk, and a power cut at the end:
// what was announced is there after recovery; without a cut, everything is.
TEST(MediaWriter, WhateverHappensWhatWasAnnouncedIsThere) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t round = 0; round < 60; ++round) {
        SCOPED_TRACE(round);
        const TemporaryDirectory directory;
        MemoryDisk disk(seed + round);
        const std::uint64_t rarity = disk.below(3) == 0 ? 0 : 10 + disk.below(100);
        bool faults = true;
        disk.fault = [&](MemoryDisk::Operation) { return faults && rarity > 0 && disk.below(rarity) == 0 ? EIO : 0; };
        SegmentOptions options;
        options.directory = "/disk";
        options.segment_bytes = 2u << 20;
        options.buffers = 2 + disk.below(4);
        Rig rig(*SegmentWriter::open(options, 1, std::make_unique<MemoryDevice>(disk, options.buffers)),
                directory.path());

        std::vector<std::unique_ptr<TestStream>> streams;
        std::vector<TestStream*> running;
        std::map<std::uint64_t, std::size_t> session_frames;  // of ended sessions: frames expected
        std::uint64_t next_stream = 1;
        TimeNs at = kNsPerSecond;
        const std::uint64_t steps = 200 + disk.below(2000);
        for (std::uint64_t i = 0; i < steps; ++i) {
            const std::uint64_t what = disk.below(100);
            if (running.empty() || (what < 3 && running.size() < 20)) {
                const std::uint64_t id = next_stream++;
                running.push_back(streams.emplace_back(std::make_unique<TestStream>(id, id)).get());
                ASSERT_TRUE(rig.queues.opened.push(&running.back()->handle));
            }
            TestStream& stream = *running[disk.below(running.size())];
            at += static_cast<TimeNs>(disk.below(5 * kNsPerMs));
            if (what < 70) {
                for (std::uint64_t n = disk.below(20); n > 0; --n) stream.put_frame(at);
            } else if (what < 74) {
                stream.put_mark(stream.paused ? RingRecordKind::resume : RingRecordKind::pause, at);
            } else if (what < 76) {
                stream.put_mark(RingRecordKind::gap, at, 3);
            } else if (what < 79 && stream.put_mark(RingRecordKind::end)) {
                const std::uint64_t session = stream.handle.session_id;
                session_frames[session] = stream.expected.size();
                std::erase(running, &stream);
                Recording recording = recording_of(session, session);
                recording.state = RecordingState::stored;
                RecordedStream recorded;
                recorded.stream_id = session;
                recording.streams.push_back(recorded);
                while (!rig.commands.push(PutRecording{recording, true})) rig.turn(10 * kNsPerMs);
            } else if (what < 81) {
                rig.index.refusals += static_cast<int>(disk.below(3));
            } else {
                rig.turn(static_cast<TimeNs>(1 + disk.below(10)) * 10 * kNsPerMs);
            }
        }
        const bool power_cut = disk.below(2) == 0;
        faults = false;
        rig.index.refusals = 0;
        if (!power_cut) {
            ASSERT_TRUE(rig.flush_all(99));
        }
        rig.collect();
        if (power_cut) {
            disk.dump_after_power_cut(directory.path());
            const auto recovered = recover(directory.path(), rig.index);
            ASSERT_TRUE(recovered) << recovered.error().message;
            EXPECT_TRUE(rig.index.unfinished()->empty());
        } else {
            disk.dump(directory.path());
            EXPECT_EQ(rig.recordings.size(), session_frames.size());
        }
        for (const auto& stream : streams) {
            const std::uint64_t id = stream->handle.stream_id;
            const bool announced = std::ranges::count(rig.recordings, id, &RecordingStored::ident) > 0;
            if (!power_cut || announced) rig.expect_stored(*stream);
            if (announced) {
                EXPECT_TRUE(*rig.index.recording(id));
            }
            // What the index knows must be readable, whatever else is missing.
            SegmentReader reader(directory.path());
            const auto entries = *rig.index.chunks(id);
            for (const ChunkEntry& entry : entries) ASSERT_TRUE(reader.read(entry));
        }
        if (testing::Test::HasFailure()) return;
    }
}

// The real thread, real disk, real clock: what is on the rings when it is told to stop is stored.
TEST(MediaWriter, ItsThreadStoresEverythingBeforeItStops) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    std::vector<std::unique_ptr<TestStream>> streams;
    for (std::uint64_t id = 1; id <= 50; ++id) streams.push_back(std::make_unique<TestStream>(id, id));
    std::atomic<bool> stop{false};
    std::thread thread([&] { rig.writer->run(stop); });
    for (auto& stream : streams) {
        ASSERT_TRUE(rig.queues.opened.push(&stream->handle));
        rig.writer->wakeup().notify();
    }
    for (int i = 0; i < 400; ++i) {
        for (auto& stream : streams) {
            while (!stream->put_frame(kNsPerSecond + i * 20 * kNsPerMs)) {
                rig.writer->wakeup().notify();
                std::this_thread::yield();
            }
        }
    }
    stop = true;
    rig.writer->wakeup().signal();
    thread.join();
    for (const auto& stream : streams) rig.expect_stored(*stream);
    EXPECT_EQ(rig.writer->counters().frames.load(), 50u * 400);
    EXPECT_EQ(rig.writer->counters().failures.load(), 0u);
}

}  // namespace
}  // namespace spantape
