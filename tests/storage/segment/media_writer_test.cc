// SPDX-License-Identifier: AGPL-3.0-or-later
// Rings and commands in; chunks, index and events out. The clock is turned by hand.
#include "storage/media_writer.h"

#include <cerrno>
#include <map>
#include <set>
#include <thread>

#include <sys/mount.h>

#include "tests/storage/segment/memory_disk.h"
#include "tests/storage/segment/writer_rig.h"

namespace spantape {
namespace {

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

TEST(MediaWriter, ChunksTellTheCountersOfTheirStream) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    TimeNs at = kNsPerSecond;
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(stream.put_frame(at += 20 * kNsPerMs));
    stream.put_mark(RingRecordKind::gap, at, 12);
    stream.handle.lost_before = 4;  // by the worker
    stream.handle.duplicates = 6;
    ASSERT_TRUE(rig.flush_all(1));
    rig.expect_stored(stream);
    const Chunk chunk = rig.last_chunk(stream);
    EXPECT_EQ(chunk.header.counters.stored, 8u);
    EXPECT_EQ(chunk.header.counters.blacked_out, 0u);
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
