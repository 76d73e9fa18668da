// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/rebuild.h"

#include "storage/verify.h"
#include "tests/storage/test_store.h"

namespace spantape {
namespace {

void expect_whole(const TestStore& store, std::uint64_t recordings = 5) {
    const auto report = verify_store(store.path());
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->whole()) << report->damage.front().reason;
    EXPECT_EQ(report->recordings, recordings);
    for (const char* left_over : {"/index.new", "/index.old"})
        EXPECT_FALSE(std::filesystem::exists(store.path() + left_over)) << left_over;
}

TEST(Rebuild, OfSegmentsAloneGivesWhatWasThere) {
    TestStore store;
    store.close();
    std::filesystem::remove_all(store.index_path());
    const auto summary = rebuild_index(store.path());
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->chunks, store.chunks.size());
    EXPECT_EQ(summary->recordings, 10u);
    EXPECT_EQ(summary->damaged_records, 0u);
    expect_whole(store);
    store.open_index();
    for (const Recording& recording : store.recordings_) {
        const auto found = *store.index->recording(recording.ident);
        ASSERT_TRUE(found);
        EXPECT_EQ(to_json(*found), to_json(recording));
    }
    SegmentReader reader(store.segments());
    for (std::uint64_t ident = 1; ident <= 5; ++ident) {
        const auto chunks = *store.index->chunks(TestStore::stream_of(ident, Side::far));
        EXPECT_EQ(chunks.size(), TestStore::kChunks);
        for (const ChunkEntry& chunk : chunks) expect_chunk(reader, chunk);
    }
    // What is given out from now on was never given out.
    EXPECT_EQ(*store.index->take_numbers("ident", 1), 6u);
    EXPECT_EQ(*store.index->take_numbers("session", 1), 6u);
    EXPECT_EQ(*store.index->take_numbers("global_call", 1), 6u);
    EXPECT_EQ(*store.index->take_numbers("boot", 1), 2u);
}

TEST(Rebuild, NumbersThatNoSegmentBearsAreKeptFromTheOldIndex) {
    TestStore store;
    ASSERT_TRUE(store.index->take_numbers("ident", 1000));
    store.close();
    ASSERT_TRUE(rebuild_index(store.path()));
    expect_whole(store);
    store.open_index();
    EXPECT_EQ(*store.index->take_numbers("ident", 1), 1006u);
}

TEST(Rebuild, OfABrokenIndexIsPossible) {
    TestStore store;
    store.close();
    for (const auto& file : std::filesystem::directory_iterator(store.index_path()))
        if (file.path().filename() != "LOCK") write_bytes(file.path(), std::vector<std::byte>(100, std::byte{7}));
    ASSERT_FALSE(Index::open_read_only(store.index_path()));
    ASSERT_TRUE(rebuild_index(store.path()));
    expect_whole(store);
}

TEST(Rebuild, IsRefusedWhileTheStoreIsOpen) {
    TestStore store;
    const auto refused = rebuild_index(store.path());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("in use"), std::string::npos) << refused.error().message;
    EXPECT_TRUE(store.index->recording(1)->has_value());
    EXPECT_FALSE(std::filesystem::exists(store.path() + "/index.new"));
}

TEST(Rebuild, WhatHasNoSegmentsIsNoStore) {
    const TemporaryDirectory directory;
    EXPECT_FALSE(rebuild_index(directory.path()));
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

// Whatever a rebuild that was killed leaves: the store can be opened, and the next one clears it away.
TEST(Rebuild, AnInterruptedOneIsRepairedByTheNext) {
    for (const bool exchanged : {false, true}) {
        for (const bool put_aside : {false, true}) {
            SCOPED_TRACE(fmt::format("{} {}", exchanged, put_aside));
            TestStore store;
            store.close();
            // Half an index of a rebuild that did not come further; or after the exchange: the old one.
            const std::string left_over = store.path() + (put_aside ? "/index.old" : "/index.new");
            std::filesystem::copy(store.index_path(), left_over, std::filesystem::copy_options::recursive);
            if (!exchanged) std::filesystem::remove(left_over + "/CURRENT");
            store.open_index();
            EXPECT_TRUE(store.index->recording(3)->has_value());
            store.close();
            ASSERT_TRUE(rebuild_index(store.path()));
            expect_whole(store);
        }
    }
    // On a file system without exchange, killed between the two renames: nothing is lost either.
    TestStore store;
    store.close();
    std::filesystem::rename(store.index_path(), store.path() + "/index.old");
    ASSERT_TRUE(rebuild_index(store.path()));
    expect_whole(store);
}

TEST(Rebuild, UnfinishedRecordingsAreEndedAsRecoveryDoes) {
    TestStore store;
    Recording open = store.recordings_[0];
    open.ident = 6;
    open.session_id = 6;
    open.state = RecordingState::recording;
    open.streams.clear();
    ASSERT_TRUE(store.index->take_numbers("ident", 1));
    ASSERT_TRUE(store.index->take_numbers("session", 1));
    store.put_document(open);
    store.put_chunk(TestStore::stream_of(6, Side::device), 0);
    store.finish_batch();
    store.close();
    ASSERT_TRUE(rebuild_index(store.path()));
    expect_whole(store, 6);
    store.open_index();
    const auto ended = *store.index->recording(6);
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->state, RecordingState::interrupted);
    ASSERT_EQ(ended->streams.size(), 1u);
    EXPECT_EQ(ended->streams[0].stream_id, TestStore::stream_of(6, Side::device));
}

TEST(Rebuild, WhatWasPurgedDoesNotComeBack) {
    TestStore store;
    const std::uint64_t shared = TestStore::stream_of(2, Side::far);  // stays: another recording refers to it
    store.put_purge(2, {TestStore::stream_of(2, Side::device)});
    store.finish_batch();
    ASSERT_TRUE(store.index->purge(2, {TestStore::stream_of(2, Side::device)}));
    store.close();
    for (const bool without : {false, true}) {
        if (without) std::filesystem::remove_all(store.index_path());
        ASSERT_TRUE(rebuild_index(store.path()));
        expect_whole(store, 4);
        store.open_index();
        EXPECT_FALSE(store.index->recording(2)->has_value());
        EXPECT_TRUE(store.index->chunks(TestStore::stream_of(2, Side::device))->empty());
        EXPECT_EQ(store.index->chunks(shared)->size(), TestStore::kChunks);
        EXPECT_TRUE(store.index->search({.equal = {{"ident", "2"}}})->empty());
        store.close();
    }
}

// The record is durable, and the crash came before the index was told.
TEST(Rebuild, APurgeThatACrashCutOffIsCarriedOutByRecovery) {
    TestStore store;
    store.put_purge(4, {TestStore::stream_of(4, Side::device), TestStore::stream_of(4, Side::far)});
    ASSERT_TRUE(store.writer->flush());
    ASSERT_TRUE(store.writer->reap(true));
    store.close();
    store.open_index();
    ASSERT_TRUE(store.index->recording(4)->has_value());
    ASSERT_TRUE(recover(store.segments(), *store.index));
    EXPECT_FALSE(store.index->recording(4)->has_value());
    EXPECT_TRUE(store.index->chunks(TestStore::stream_of(4, Side::far))->empty());
    store.close();
    expect_whole(store, 4);
    store.open_index();  // the last batches' chunks are read anew
    EXPECT_TRUE(store.index->chunks(TestStore::stream_of(4, Side::far))->empty());
    EXPECT_EQ(store.index->chunks(TestStore::stream_of(5, Side::far))->size(), TestStore::kChunks);
}

// Where the index failed for long, control went on with numbers that it had not taken.
TEST(Recovery, NumbersGoOnBehindWhatTheSegmentsBear) {
    TestStore store;
    Recording ahead = store.recordings_[0];
    ahead.ident = 900;
    ahead.global_call_id = "00010000000800";
    ASSERT_TRUE(append_document(*store.writer, ahead));
    ASSERT_TRUE(store.writer->flush());
    ASSERT_TRUE(store.writer->reap(true));
    ASSERT_TRUE(recover(store.segments(), *store.index));
    EXPECT_EQ(*store.index->take_numbers("ident", 1), 901u);
    EXPECT_EQ(*store.index->take_numbers("global_call", 1), 801u);
}

}  // namespace
}  // namespace spantape
