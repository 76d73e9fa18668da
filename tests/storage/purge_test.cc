// SPDX-License-Identifier: AGPL-3.0-or-later
// What was purged is in no byte of the store, and what was not is there to the last byte; also when the purge is broken
// off at any of its steps and carried on.
#include "storage/purge.h"

#include <algorithm>

#include <sys/stat.h>

#include "tests/storage/segment/helpers.h"

namespace spantape {
namespace {

constexpr std::uint32_t kChunks = 12;
constexpr std::uint32_t kFrames = 20;

class PurgeTest : public ::testing::Test {
protected:
    PurgeTest() {
        std::filesystem::create_directory(segments());
        index_ = std::move(*Index::open(index_path()));
    }

    [[nodiscard]] std::string segments() const { return directory_.path() + "/segments"; }
    [[nodiscard]] std::string index_path() const { return directory_.path() + "/index"; }

    [[nodiscard]] static std::string marker(std::uint64_t ident) { return fmt::format("MARKER-OF-{:03}-", ident); }
    [[nodiscard]] static Recording recording_of(std::uint64_t ident, const std::vector<std::uint64_t>& streams) {
        Recording recording;
        recording.ident = ident;
        recording.session_id = ident + 1000;
        recording.state = RecordingState::stored;
        recording.start_ns = kNsPerSecond;
        recording.stop_ns = 2 * kNsPerSecond;
        recording.device_id = marker(ident) + "device";
        recording.ani = marker(ident) + "ani";
        recording.user[4] = marker(ident) + "user";
        for (const std::uint64_t stream : streams) {
            RecordedStream& one = recording.streams.emplace_back();
            one.stream_id = stream;
        }
        return recording;
    }

    // Writes streams and documents, chunks of all streams mixed, several versions of each document.
    void store(const std::vector<Recording>& recordings, std::uint32_t first_segment = 1,
               std::uint64_t segment_bytes = 8u << 20) {
        SegmentOptions options;
        options.directory = segments();
        options.segment_bytes = segment_bytes;
        auto writer = *SegmentWriter::open(options, first_segment);
        Index::Batch batch;
        std::vector<std::uint64_t> streams;
        for (const Recording& recording : recordings)
            for (const RecordedStream& stream : recording.streams)
                if (std::ranges::find(streams, stream.stream_id) == streams.end()) streams.push_back(stream.stream_id);
        for (std::uint32_t number = 0; number < kChunks; ++number) {
            for (const std::uint64_t stream : streams)
                batch.chunks.push_back(*append_chunk(*writer, stream, number, kFrames, kNsPerSecond));
            for (const Recording& recording : recordings) write_document(*writer, recording, batch);
        }
        batch.recordings = recordings;
        EXPECT_TRUE(writer->flush());
        EXPECT_TRUE(writer->reap(true));
        batch.watermark = Watermark{writer->position().segment, writer->position().offset};
        EXPECT_TRUE(index_->put(batch));
        // And once more on its own, so that files, logs and manifests of more than one generation hold it.
        for (const Recording& recording : recordings) {
            Index::Batch again;
            again.recordings.push_back(recording);
            EXPECT_TRUE(index_->put(again));
        }
    }
    static void write_document(SegmentWriter& writer, const Recording& recording, Index::Batch& batch) {
        const std::string json = to_json(recording);
        RecordHeader header;
        header.kind = RecordKind::recording;
        header.header_bytes = sizeof header;
        header.total_bytes = static_cast<std::uint32_t>(sizeof header + json.size());
        header.recording = recording.ident;
        auto room = writer.reserve(header.total_bytes);
        std::memcpy(room->data(), &header, sizeof header);
        std::memcpy(room->data() + sizeof header, json.data(), json.size());
        const RecordPosition at = writer.commit();
        batch.documents.push_back({recording.ident, at.segment, at.offset, at.bytes});
    }

    [[nodiscard]] PurgeTools tools() {
        return {.index = *index_,
                .segment_directory = segments(),
                .put_record = records_in_own_segments(segments(), *index_),
                .forget_keys = {}};
    }

    // Files below the store that hold these bytes.
    [[nodiscard]] std::vector<std::string> files_with(std::string_view needle) const {
        std::vector<std::string> found;
        for (const auto& file : std::filesystem::recursive_directory_iterator(directory_.path())) {
            if (!file.is_regular_file()) continue;
            const auto bytes = read_bytes(file.path());
            const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            if (text.find(needle) != std::string_view::npos) found.push_back(file.path());
        }
        return found;
    }
    [[nodiscard]] std::vector<std::string> files_with_audio_of(std::uint64_t stream) const {
        std::vector<std::string> found;
        for (std::uint32_t frame = 0; frame < kChunks * kFrames; frame += 37) {
            const auto payload = payload_of(stream, frame, 160);
            for (auto& file : files_with({reinterpret_cast<const char*>(payload.data()), payload.size()}))
                found.push_back(std::move(file));
        }
        return found;
    }
    void expect_gone(std::uint64_t ident, const std::vector<std::uint64_t>& streams) const {
        EXPECT_EQ(files_with(marker(ident)), std::vector<std::string>());
        for (const std::uint64_t stream : streams) EXPECT_EQ(files_with_audio_of(stream), std::vector<std::string>());
        const auto recording = index_->recording(ident);
        ASSERT_TRUE(recording);
        EXPECT_FALSE(*recording);
    }
    void expect_whole(const Recording& recording) const {
        const auto found = index_->recording(recording.ident);
        ASSERT_TRUE(found && *found);
        EXPECT_EQ(to_json(**found), to_json(recording));
        SegmentReader reader(segments());
        for (const RecordedStream& stream : recording.streams) {
            const auto chunks = index_->chunks(stream.stream_id);
            ASSERT_TRUE(chunks);
            ASSERT_EQ(chunks->size(), kChunks);
            for (const ChunkEntry& chunk : *chunks) expect_chunk(reader, chunk);
        }
    }
    void expect_segments_sound() const {
        const auto numbers = list_segments(segments());
        for (const std::uint32_t segment : *numbers) {
            const auto scanned =
                scan_segment(segment_path(segments(), segment), 0,
                             [](std::uint64_t, const RecordHeader&, std::span<const std::byte>) { return Result<>{}; });
            ASSERT_TRUE(scanned);
            EXPECT_EQ(scanned->damaged, 0u);
        }
    }

    const TemporaryDirectory directory_;
    std::unique_ptr<Index> index_;
};

TEST_F(PurgeTest, NoByteOfItIsLeftAndTheOthersAreWhole) {
    const std::vector<Recording> recordings{recording_of(1, {11, 12}), recording_of(2, {21, 22}),
                                            recording_of(3, {31, 32})};
    store(recordings);
    ASSERT_FALSE(files_with(marker(2)).empty());
    ASSERT_FALSE(files_with_audio_of(21).empty());
    const auto purged = purge(tools(), {2});
    ASSERT_TRUE(purged) << purged.error().message;
    EXPECT_EQ(purged->purged, std::vector<std::uint64_t>{2});
    EXPECT_EQ(purged->streams, 2u);
    EXPECT_EQ(purged->chunks, 2 * kChunks);
    EXPECT_EQ(purged->documents, kChunks);
    expect_gone(2, {21, 22});
    expect_whole(recordings[0]);
    expect_whole(recordings[2]);
    expect_segments_sound();
    EXPECT_TRUE(index_->purging()->empty());
    ASSERT_TRUE(index_->chunks(21));
    EXPECT_TRUE(index_->chunks(21)->empty());
    RecordingQuery query;
    query.equal.emplace_back("ani", marker(2) + "ani");
    EXPECT_TRUE(index_->search(query)->empty());
}

TEST_F(PurgeTest, IsStillTrueAfterTheIndexWasClosedAndOpened) {
    store({recording_of(1, {11}), recording_of(2, {21})});
    ASSERT_TRUE(purge(tools(), {2}));
    index_.reset();
    index_ = std::move(*Index::open(index_path()));
    expect_gone(2, {21});
    expect_whole(recording_of(1, {11}));
}

TEST_F(PurgeTest, AStreamThatAnotherRecordingSharesStays) {
    const std::vector<Recording> recordings{recording_of(1, {11, 12}), recording_of(2, {12, 13})};
    store(recordings);
    ASSERT_TRUE(purge(tools(), {1}));
    expect_gone(1, {11});
    expect_whole(recordings[1]);
    ASSERT_TRUE(purge(tools(), {2}));
    expect_gone(2, {12, 13});
}

TEST_F(PurgeTest, AStreamOfASessionThatGoesOnStays) {
    Recording running = recording_of(2, {});
    Recording finished = recording_of(1, {11});
    running.state = RecordingState::recording;
    running.session_id = finished.session_id;
    store({finished, running});
    const auto purged = purge(tools(), {1});
    ASSERT_TRUE(purged);
    EXPECT_EQ(purged->streams, 0u);
    EXPECT_FALSE(files_with_audio_of(11).empty());
    EXPECT_EQ(files_with(marker(1)), std::vector<std::string>());
}

TEST_F(PurgeTest, TheLastOfASegmentTakesTheFileWithIt) {
    store({recording_of(1, {11}), recording_of(2, {21})});
    ASSERT_TRUE(purge(tools(), {1}));
    EXPECT_TRUE(std::filesystem::exists(segment_path(segments(), 1)));
    const auto purged = purge(tools(), {2});
    ASSERT_TRUE(purged);
    EXPECT_EQ(purged->segments_removed, 1u);
    EXPECT_FALSE(std::filesystem::exists(segment_path(segments(), 1)));
}

TEST_F(PurgeTest, ASegmentThatMayBeOpenStays) {
    store({recording_of(1, {11})});
    PurgeTools open = tools();
    open.first_open_segment = 1;
    ASSERT_TRUE(purge(open, {1}));
    EXPECT_TRUE(std::filesystem::exists(segment_path(segments(), 1)));
    expect_gone(1, {11});
    expect_segments_sound();
}

TEST_F(PurgeTest, SpaceOfASegmentThatStaysIsGivenBack) {
    std::vector<Recording> recordings;
    for (std::uint64_t ident = 1; ident <= 40; ++ident) recordings.push_back(recording_of(ident, {ident * 10}));
    store(recordings);
    const auto blocks = [&] {
        struct stat status{};
        EXPECT_EQ(stat(segment_path(segments(), 1).c_str(), &status), 0);
        return static_cast<std::uint64_t>(status.st_blocks) * 512;
    };
    const std::uint64_t before = blocks();
    std::vector<std::uint64_t> most;
    for (std::uint64_t ident = 2; ident <= 40; ++ident) most.push_back(ident);
    ASSERT_TRUE(purge(tools(), most));
    EXPECT_LT(blocks(), before / 2);
    expect_whole(recordings[0]);
}

TEST_F(PurgeTest, RefusesWhatIsLockedRunningOrNotThere) {
    Recording locked = recording_of(1, {11}), running = recording_of(2, {21});
    locked.locked = true;
    running.state = RecordingState::recording;
    store({locked, running});
    const auto purged = purge(tools(), {1, 2, 3});
    ASSERT_TRUE(purged);
    EXPECT_TRUE(purged->purged.empty());
    EXPECT_EQ(purged->refused.size(), 3u);
    expect_whole(locked);
    expect_whole(running);
}

TEST_F(PurgeTest, TheKeysOfWhatWasEncryptedAreForgottenBeforeTheRest) {
    store({recording_of(1, {11}), recording_of(2, {21})});
    // As an encrypting writer leaves them: flag and key id in the headers.
    const auto of_first = index_->chunks(11);
    for (const ChunkEntry& chunk : *of_first) {
        auto bytes = read_bytes(segment_path(segments(), chunk.segment));
        const std::span record = std::span(bytes).subspan(chunk.offset, chunk.bytes);
        RecordHeader header;
        std::memcpy(&header, record.data(), sizeof header);
        header.flags |= kRecordEncrypted;
        header.key_id = 77;
        std::memcpy(record.data(), &header, sizeof header);
        seal_record(record, header.salt);
        write_bytes(segment_path(segments(), chunk.segment), bytes);
    }
    std::vector<std::uint64_t> forgotten;
    PurgeTools with_keys = tools();
    with_keys.forget_keys = [&](std::span<const std::uint64_t> keys) -> Result<> {
        EXPECT_FALSE(files_with(marker(1)).empty()) << "keys go first";
        forgotten.assign(keys.begin(), keys.end());
        return {};
    };
    ASSERT_TRUE(purge(with_keys, {1}));
    EXPECT_EQ(forgotten, std::vector<std::uint64_t>{77});
    with_keys.forget_keys = [](std::span<const std::uint64_t>) -> Result<> { return fail("no key of ours"); };
    EXPECT_TRUE(purge(with_keys, {2})) << "nothing of it is encrypted";
}

TEST_F(PurgeTest, WhatAnErrorInterruptsIsCarriedOn) {
    const std::vector<Recording> recordings{recording_of(1, {11}), recording_of(2, {21})};
    store(recordings);
    PurgeTools failing = tools();
    failing.put_record = [](std::uint64_t, const auto&) -> Result<> { return fail("the disk is gone"); };
    ASSERT_FALSE(purge(failing, {1}));
    EXPECT_EQ(*index_->purging(), std::vector<std::uint64_t>{1});
    index_.reset();  // as after a crash
    index_ = std::move(*Index::open(index_path()));
    const auto resumed = resume_purge(tools());
    ASSERT_TRUE(resumed) << resumed.error().message;
    EXPECT_EQ(resumed->purged, std::vector<std::uint64_t>{1});
    expect_gone(1, {11});
    expect_whole(recordings[1]);
    EXPECT_TRUE(index_->purging()->empty());
    EXPECT_TRUE(resume_purge(tools())->purged.empty());
}

TEST_F(PurgeTest, WhatACrashLeftHalfOverwrittenIsCarriedOn) {
    const std::vector<Recording> recordings{recording_of(1, {11}), recording_of(2, {21})};
    store(recordings);
    ASSERT_TRUE(index_->mark_purging({1}));
    const auto chunks = *index_->chunks(11);
    auto bytes = read_bytes(segment_path(segments(), 1));
    for (std::size_t i = 0; i < chunks.size(); ++i) {  // some wholly, some but for their headers, some not at all
        const std::size_t kept = i % 3 == 0 ? 0 : i % 3 == 1 ? sizeof(ChunkHeader) : chunks[i].bytes;
        std::ranges::fill(std::span(bytes).subspan(chunks[i].offset + kept, chunks[i].bytes - kept), std::byte{0});
    }
    write_bytes(segment_path(segments(), 1), bytes);
    ASSERT_TRUE(resume_purge(tools()));
    expect_gone(1, {11});
    expect_whole(recordings[1]);
    expect_segments_sound();
}

TEST_F(PurgeTest, APlaceWhereAnotherRecordLiesIsLeftAlone) {
    const std::vector<Recording> recordings{recording_of(1, {11}), recording_of(2, {21})};
    store(recordings);
    // A broken index: the entries of stream 11 name the places of stream 21.
    Index::Batch wrong;
    const auto of_second = index_->chunks(21);
    for (ChunkEntry chunk : *of_second) {
        chunk.stream_id = 11;
        wrong.chunks.push_back(chunk);
    }
    ASSERT_TRUE(index_->put(wrong));
    ASSERT_TRUE(purge(tools(), {1}));
    expect_whole(recordings[1]);
}

TEST_F(PurgeTest, ThePurgeRecordNamesRecordingAndStreams) {
    store({recording_of(1, {11, 12}), recording_of(2, {12})});
    ASSERT_TRUE(purge(tools(), {1}));
    std::vector<std::uint64_t> streams;
    const auto segment = list_segments(segments())->back();
    ASSERT_TRUE(scan_segment(segment_path(segments(), segment), 0,
                             [&](std::uint64_t, const RecordHeader& header, std::span<const std::byte> record) {
                                 EXPECT_EQ(header.kind, RecordKind::purge);
                                 EXPECT_EQ(header.recording, 1u);
                                 streams = purged_streams(record);
                                 return Result<>{};
                             }));
    EXPECT_EQ(streams, std::vector<std::uint64_t>{11});
}

TEST_F(PurgeTest, ADocumentWithoutADaemonIsDurableInIndexAndSegments) {
    Recording recording = recording_of(1, {11});
    store({recording});
    recording.locked = true;
    recording.lock_reason = "a case";
    ASSERT_TRUE(put_document(segments(), *index_, recording));
    EXPECT_EQ(to_json(**index_->recording(1)), to_json(recording));
    EXPECT_EQ(index_->documents(1)->size(), kChunks + 1);
    EXPECT_EQ(purge(tools(), {1})->refused.size(), 1u);
}

TEST_F(PurgeTest, ExpiredAreTheFinishedUnlockedOnesPastTheirDays) {
    constexpr TimeNs kDay = 86'400 * kNsPerSecond;
    std::vector<Recording> recordings;
    for (std::uint64_t ident = 1; ident <= 8; ++ident) {
        recordings.push_back(recording_of(ident, {}));
        recordings.back().start_ns = static_cast<TimeNs>(ident) * kDay;
    }
    recordings[0].keep_days = -1;  // as configured
    recordings[1].keep_days = 0;   // for ever
    recordings[2].keep_days = 5;
    recordings[3].keep_days = 5;
    recordings[4].keep_days = 5;
    recordings[4].locked = true;
    recordings[5].keep_days = 3;
    recordings[5].state = RecordingState::recording;
    recordings[6].keep_days = 2;
    recordings[7].keep_days = INT32_MAX;
    store(recordings);
    using Idents = std::vector<std::uint64_t>;
    EXPECT_EQ(*index_->expired(8 * kDay, 0, 100), Idents{3});
    EXPECT_EQ(*index_->expired(9 * kDay, 0, 100), (Idents{7, 3, 4}));
    EXPECT_EQ(*index_->expired(9 * kDay, 8, 100), (Idents{1, 7, 3, 4}));
    EXPECT_EQ(*index_->expired(9 * kDay, 9, 100), (Idents{7, 3, 4}));
    EXPECT_EQ(index_->expired(9 * kDay, 8, 2)->size(), 2u);
    EXPECT_EQ(index_->expired(INT64_MAX, 1, 100)->size(), 4u) << "neither 2 nor 5, 6, 8";
}

}  // namespace
}  // namespace spantape
