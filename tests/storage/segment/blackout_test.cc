// SPDX-License-Identifier: AGPL-3.0-or-later
// What the writer leaves out: windows of capture time, on streams and on rings, and what it holds back for them.
#include <random>

#include "tests/storage/segment/writer_rig.h"

namespace spantape {
namespace {

constexpr TimeNs kFrameNs = 20 * kNsPerMs;

std::string all_segment_bytes(const std::string& directory) {
    std::string all;
    for (const auto& file : std::filesystem::directory_iterator(directory)) {
        std::ifstream in(file.path(), std::ios::binary);
        all.append(std::istreambuf_iterator<char>(in), {});
    }
    return all;
}

bool on_disk(const std::string& bytes, const TestStream& stream, std::uint32_t number) {
    const auto payload = payload_of(stream.handle.stream_id, number, 160);
    return bytes.find(std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size())) !=
           std::string::npos;
}

// Kind and arrival of each entry of the stream's chunks; whole milliseconds.
std::vector<std::pair<FrameKind, TimeNs>> entries_of(Rig& rig, const TestStream& stream) {
    std::vector<std::pair<FrameKind, TimeNs>> all;
    SegmentReader reader(rig.directory);
    const auto chunks = *rig.index.chunks(stream.handle.stream_id);
    for (const ChunkEntry& entry : chunks) {
        const Chunk chunk = *reader.read(entry);
        for (std::size_t at = 0; at < chunk.body.size();) {
            FrameHeader header;
            std::memcpy(&header, chunk.body.data() + at, sizeof header);
            all.emplace_back(static_cast<FrameKind>(header.flags >> kFrameKindShift),
                             chunk.header.base_ns + header.arrival_us * TimeNs{1000} + header.arrival_ns);
            at += sizeof header + header.payload_bytes;
        }
    }
    return all;
}

TEST(BlackoutWindows, TheUnionOfWindowsIsWhatCounts) {
    BlackoutWindows windows;
    windows.set(1, {10, 20});
    windows.set(2, {15, 30});
    windows.set(3, {40, 40});  // stopped before it began
    windows.set(4, {50, INT64_MAX});
    EXPECT_EQ(windows.at(9), nullptr);
    EXPECT_EQ(*windows.at(10), (BlackoutWindow{10, 30}));
    EXPECT_EQ(*windows.at(29), (BlackoutWindow{10, 30}));
    EXPECT_EQ(windows.at(30), nullptr);
    EXPECT_EQ(windows.at(40), nullptr);
    EXPECT_NE(windows.at(INT64_MAX - 1), nullptr);
    windows.end(4, 45);  // before its start
    EXPECT_EQ(windows.at(50), nullptr);
    windows.end(2, 17);
    EXPECT_EQ(*windows.at(10), (BlackoutWindow{10, 20}));
    windows.end(9, 1);  // not known
    EXPECT_EQ(windows.find(9), nullptr);
}

TEST(MediaWriterBlackout, FramesOnTheRingAreLeftOutToTheFrameAtBothEdges) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10), other(2, 11);
    rig.open(stream);
    rig.open(other);
    for (int i = 0; i < 50; ++i) {
        const TimeNs at = kNsPerSecond + i * kFrameNs;
        ASSERT_TRUE(stream.put_frame(at, 160, i < 10 || i >= 40));
        ASSERT_TRUE(other.put_frame(at));
    }
    const BlackoutWindow window{kNsPerSecond + 10 * kFrameNs, kNsPerSecond + 40 * kFrameNs};
    rig.command(Blackout{10, 1, window, 5, {}});
    ASSERT_TRUE(rig.turn_until([&] { return !rig.ready.empty(); }));
    EXPECT_EQ(rig.ready.front().token, 5u);
    EXPECT_TRUE(rig.ready.front().redact.streams.empty());  // nothing of it was taken before
    ASSERT_TRUE(rig.flush_all(1));
    rig.expect_stored(stream);
    rig.expect_stored(other);
    const ChunkHeader header = rig.last_chunk(stream).header;
    EXPECT_EQ(header.counters.stored, 20u);
    EXPECT_EQ(header.counters.blacked_out, 30u);
    EXPECT_EQ(header.paused, 0);
    std::vector<std::pair<FrameKind, TimeNs>> marks;
    for (const auto& entry : entries_of(rig, stream))
        if (entry.first != FrameKind::frame) marks.push_back(entry);
    EXPECT_EQ(marks, (std::vector<std::pair<FrameKind, TimeNs>>{{FrameKind::pause, window.from_ns},
                                                                {FrameKind::resume, window.to_ns}}));
    const std::string bytes = all_segment_bytes(directory.path());
    for (std::uint32_t i = 0; i < 50; ++i) EXPECT_EQ(on_disk(bytes, stream, i), i < 10 || i >= 40) << i;
}

TEST(MediaWriterBlackout, WhatWasTakenBeforeIsOnDiskAndIndexedWhenItIsToldToBeRedacted) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10), later(2, 10);
    rig.open(stream);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(stream.put_frame(kNsPerSecond + i * kFrameNs));
    rig.turn(500 * kNsPerMs);  // taken, and not flushed maybe
    const TimeNs from_ns = kNsPerSecond + 15 * kFrameNs;
    rig.command(Blackout{10, 1, {from_ns, INT64_MAX}, 5, {77}});  // 77 ended before
    ASSERT_TRUE(rig.turn_until([&] { return !rig.ready.empty(); }));
    const BlackoutReady& ready = rig.ready.front();
    EXPECT_EQ(ready.session, 10u);
    EXPECT_EQ(ready.redact.streams, (std::vector<std::uint64_t>{77, 1}));
    EXPECT_EQ(ready.redact.from_ns, from_ns);
    EXPECT_EQ(ready.redact.to_ns, INT64_MAX);
    rig.expect_stored(stream);  // by index and segments, with nothing else asked for
    // It goes on, for streams of the session that come later too, until its end is told.
    rig.open(later);
    for (int i = 20; i < 30; ++i) {
        ASSERT_TRUE(stream.put_frame(kNsPerSecond + i * kFrameNs, 160, i >= 25));
        ASSERT_TRUE(later.put_frame(kNsPerSecond + i * kFrameNs, 160, i >= 25));
    }
    rig.command(EndBlackout{10, 1, kNsPerSecond + 25 * kFrameNs});
    ASSERT_TRUE(rig.flush_all(1));
    rig.expect_stored(stream);
    rig.expect_stored(later);
}

TEST(MediaWriterBlackout, AStreamOfSeveralSessionsIsDarkInTheWindowsOfEach) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    stream.handle.joined(11);
    rig.command(Blackout{11, 1, {kNsPerSecond + 5 * kFrameNs, kNsPerSecond + 8 * kFrameNs}, 0, {}});
    rig.command(Blackout{10, 2, {kNsPerSecond + 7 * kFrameNs, kNsPerSecond + 9 * kFrameNs}, 0, {}});
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(stream.put_frame(kNsPerSecond + i * kFrameNs, 160, i < 5 || i >= 9));
    ASSERT_TRUE(rig.flush_all(1));
    rig.expect_stored(stream);
    // A session that is over keeps its windows for as long as the stream may have frames of them.
    rig.command(SessionOver{11});
    rig.turn(10 * kNsPerMs);
    ASSERT_TRUE(stream.put_frame(kNsPerSecond + 6 * kFrameNs, 160, false));
    ASSERT_TRUE(rig.flush_all(2));
    rig.expect_stored(stream);
}

TEST(MediaWriterBlackout, TheDocumentTellsStoredFromLeftOut) {
    const TemporaryDirectory directory;
    Rig rig(small(directory.path()));
    TestStream stream(1, 10);
    rig.open(stream);
    rig.command(Blackout{10, 1, {kNsPerSecond, kNsPerSecond + 4 * kFrameNs}, 0, {}});
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(stream.put_frame(kNsPerSecond + i * kFrameNs, 160, i >= 4));
    ASSERT_TRUE(stream.put_mark(RingRecordKind::end));
    Recording recording = recording_of(5, 10);
    recording.streams.push_back({.stream_id = 1, .counters = {.stored = 10, .payload_bytes = 1600}});
    rig.command(PutRecording{recording, true});
    ASSERT_TRUE(rig.turn_until([&] { return !rig.recordings.empty(); }));
    const Recording stored = **rig.index.recording(5);
    EXPECT_EQ(stored.streams[0].counters.stored, 6u);
    EXPECT_EQ(stored.streams[0].counters.blacked_out, 4u);
    EXPECT_EQ(stored.streams[0].counters.payload_bytes, 960u);
    rig.command(PutRecording{stored, false});  // an update of what was read back
    ASSERT_TRUE(rig.turn_until([&] { return rig.recordings.size() == 2; }));
    EXPECT_EQ((*rig.index.recording(5))->streams[0].counters.stored, 6u);
}

// Windows that open, grow, shrink and end at random over streams whose frames come out of order: what is kept is what
// a plain list of windows says at the moment when the writer can have taken a frame.
TEST(MediaWriterBlackout, RandomWindowsKeepExactlyWhatLiesOutside) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t round = 0; round < 40; ++round) {
        SCOPED_TRACE(fmt::format("seed {} round {}", seed, round));
        std::mt19937_64 random(seed + round);
        const auto below = [&](std::uint64_t limit) { return random() % limit; };
        const TemporaryDirectory directory;
        Rig rig(small(directory.path()));
        std::vector<std::unique_ptr<TestStream>> streams;
        for (std::uint64_t id = 1; id <= 4; ++id) {
            streams.push_back(std::make_unique<TestStream>(id, 10 + id % 2));
            rig.open(*streams.back());
        }
        struct Window {
            std::uint64_t session, id;
            TimeNs from_ns, to_ns;
        };
        std::vector<Window> windows;
        TimeNs now = 1000 * kNsPerSecond;
        std::uint64_t dark_frames = 0;
        for (int batch = 0; batch < 30; ++batch) {
            for (std::uint64_t changes = below(3); changes > 0; --changes) {
                const TimeNs edge = now + static_cast<TimeNs>(below(2000)) * kNsPerMs - kNsPerSecond;
                if (windows.empty() || below(2) == 0) {
                    const TimeNs to = below(3) == 0 ? INT64_MAX : edge + static_cast<TimeNs>(below(600)) * kNsPerMs;
                    windows.push_back({10 + below(2), windows.size() + 1, edge, to});
                    const Window& made = windows.back();
                    rig.command(Blackout{made.session, made.id, {made.from_ns, made.to_ns}, 0, {}});
                } else {
                    Window& ended = windows[below(windows.size())];
                    ended.to_ns = std::max(ended.from_ns, edge);
                    rig.command(EndBlackout{ended.session, ended.id, edge});
                }
            }
            rig.turn(10 * kNsPerMs);  // nothing is on the rings: from here on the list holds
            for (auto& stream : streams)
                for (int i = 0; i < 10; ++i) {
                    const TimeNs at = now + i * kFrameNs + static_cast<TimeNs>(below(120)) * kNsPerMs - 60 * kNsPerMs;
                    const bool dark = std::ranges::any_of(windows, [&](const Window& window) {
                        return window.session == stream->handle.session_id && at >= window.from_ns && at < window.to_ns;
                    });
                    dark_frames += dark;
                    ASSERT_TRUE(stream->put_frame(at, 160, !dark));
                }
            now += 200 * kNsPerMs;
            ASSERT_TRUE(rig.flush_all(static_cast<std::uint64_t>(batch) + 1));
        }
        std::uint64_t left_out = 0;
        for (auto& stream : streams) {
            // A last frame, in no window, so that the counters of all before it are in a chunk.
            for (const Window& window : windows) rig.command(EndBlackout{window.session, window.id, now});
            rig.turn(10 * kNsPerMs);
            ASSERT_TRUE(stream->put_frame(now + 100 * kNsPerSecond));
            ASSERT_TRUE(rig.flush_all(1000 + stream->handle.stream_id));
            rig.expect_stored(*stream);
            left_out += rig.last_chunk(*stream).header.counters.blacked_out;
            bool dark = false;  // FORMAT.md: between pause and resume there are no frames
            for (const auto& [kind, at] : entries_of(rig, *stream)) {
                if (kind == FrameKind::frame) {
                    EXPECT_FALSE(dark);
                } else {
                    EXPECT_EQ(dark, kind == FrameKind::resume);
                    dark = kind == FrameKind::pause;
                }
            }
        }
        EXPECT_EQ(left_out, dark_frames);
        if (testing::Test::HasFailure()) return;
    }
}

// --- hold back

struct HeldRig {
    explicit HeldRig(const std::string& directory)
        : rig(small(directory), 64, {.hold_back_ns = 2 * kNsPerSecond, .capture_now = [this] { return capture_ns; }}) {}
    // A frame each 20 ms, as it would come.
    void play(TestStream& stream, int frames, bool expect = true) {
        for (int i = 0; i < frames; ++i) {
            ASSERT_TRUE(stream.put_frame(capture_ns, 160, expect));
            capture_ns += kFrameNs;
            rig.turn(kFrameNs);
        }
    }
    TimeNs capture_ns = 1000 * kNsPerSecond;
    Rig rig;
};

TEST(MediaWriterHoldBack, ARetroactiveBlackoutWithinItNeverTouchedTheDisk) {
    const TemporaryDirectory directory;
    HeldRig held(directory.path());
    TestStream stream(1, 10, 128 << 10);
    held.rig.open(stream);
    held.play(stream, 150);              // 3 s
    held.play(stream, 75, false);        // 1.5 s that will have been too much
    ASSERT_TRUE(held.rig.flush_all(1));  // takes what is old enough, and no more
    std::string bytes = all_segment_bytes(directory.path());
    EXPECT_TRUE(on_disk(bytes, stream, 100));
    for (std::uint32_t i = 150; i < 225; ++i) ASSERT_FALSE(on_disk(bytes, stream, i)) << i;
    held.rig.command(Blackout{10, 1, {held.capture_ns - 75 * kFrameNs, INT64_MAX}, 5, {1}});
    ASSERT_TRUE(held.rig.turn_until([&] { return !held.rig.ready.empty(); }));
    EXPECT_TRUE(held.rig.ready.front().redact.streams.empty());
    held.play(stream, 50, false);
    held.rig.command(EndBlackout{10, 1, held.capture_ns});
    held.play(stream, 20);
    ASSERT_TRUE(stream.put_mark(RingRecordKind::end, held.capture_ns));
    held.rig.command(PutRecording{recording_of(1, 10), true});  // its session has ended: all of it is written
    ASSERT_TRUE(held.rig.turn_until([&] { return !held.rig.recordings.empty(); }));
    held.rig.expect_stored(stream);
    bytes = all_segment_bytes(directory.path());
    for (std::uint32_t i = 0; i < 295; ++i) ASSERT_EQ(on_disk(bytes, stream, i), i < 150 || i >= 275) << i;
}

TEST(MediaWriterHoldBack, ARingThatFillsIsDrainedBeforeItIsFull) {
    const TemporaryDirectory directory;
    HeldRig held(directory.path());
    TestStream stream(1, 10);  // 16 KiB: not enough for two seconds
    held.rig.open(stream);
    held.play(stream, 500);
    ASSERT_TRUE(stream.put_mark(RingRecordKind::end, held.capture_ns));
    held.rig.command(PutRecording{recording_of(1, 10), true});
    ASSERT_TRUE(held.rig.turn_until([&] { return !held.rig.recordings.empty(); }));
    held.rig.expect_stored(stream);
}

TEST(MediaWriterHoldBack, AtTheEndOfTheWriterEverythingIsTaken) {
    const TemporaryDirectory directory;
    HeldRig held(directory.path());
    TestStream stream(1, 10);
    held.rig.open(stream);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(stream.put_frame(held.capture_ns + i * kFrameNs));
    const std::atomic<bool> stop{true};
    held.rig.writer->run(stop);
    held.rig.expect_stored(stream);
}

}  // namespace
}  // namespace spantape
