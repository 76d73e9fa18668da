// SPDX-License-Identifier: AGPL-3.0-or-later
// Stores of older programs: what purging and retention need is made when they are opened, and not before.
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "storage/index/blocks.h"
#include "storage/index/index.h"
#include "storage/index/keys.h"
#include "tests/storage/index/temporary_directory.h"

namespace spantape {
namespace {

using index_test::TemporaryDirectory;

Recording recording_of(std::uint64_t ident, std::uint64_t stream) {
    Recording recording;
    recording.ident = ident;
    recording.state = RecordingState::stored;
    recording.start_ns = kNsPerSecond;
    recording.keep_days = 1;
    recording.streams.emplace_back().stream_id = stream;
    return recording;
}

class Database {
public:
    explicit Database(const std::string& path) {
        std::vector<rocksdb::ColumnFamilyDescriptor> families;
        for (const char* name : {"default", "recordings", "chunks", "lookup"})
            families.emplace_back(name, rocksdb::ColumnFamilyOptions());
        families.back().options.merge_operator = blocks::block_merge();
        EXPECT_TRUE(rocksdb::DB::Open({}, path, families, &handles_, &db_).ok());
    }
    ~Database() {
        for (auto* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
        delete db_;
    }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    rocksdb::DB* operator->() const { return db_; }
    [[nodiscard]] rocksdb::ColumnFamilyHandle* meta() const { return handles_[0]; }
    [[nodiscard]] rocksdb::ColumnFamilyHandle* lookup() const { return handles_[3]; }

private:
    rocksdb::DB* db_ = nullptr;
    std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

// As an older format had it, without the entries that begin so, and with others.
void make_old(const std::string& path, std::uint32_t format, const std::vector<std::string>& prefixes,
              const std::vector<std::string>& entries = {}) {
    const Database db(path);
    for (const std::string& prefix : prefixes)
        ASSERT_TRUE(db->DeleteRange({}, db.lookup(), prefix, prefix + "\xff").ok());
    for (const std::string& entry : entries) ASSERT_TRUE(db->Put({}, db.lookup(), entry, "").ok());
    ASSERT_TRUE(db->Put({}, db.meta(), "format", index_keys::u32_bytes(format)).ok());
}

std::size_t entries_of_format_4(const std::string& path) {
    const Database db(path);
    const std::unique_ptr<rocksdb::Iterator> iterator(db->NewIterator({}, db.lookup()));
    std::size_t entries = 0;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next())
        if (iterator->key()[0] == 'f' || iterator->key()[0] == 't') ++entries;
    return entries;
}

class OldIndex : public testing::Test {
protected:
    OldIndex() {
        auto index = *Index::open(path_);
        Index::Batch batch;
        for (std::uint64_t ident = 1; ident <= 3; ++ident) {
            batch.recordings.push_back(recording_of(ident, ident < 3 ? 5 : 6));
            batch.documents.push_back({ident, 4, 4096 * ident, 700});
        }
        batch.watermark = Watermark{4, 99'000};
        EXPECT_TRUE(index->put(batch));
        index.reset();
        make_old(path_, 2, {"s", "k", "d", "a", "p", "b", "w"});
    }
    const TemporaryDirectory directory_;
    const std::string path_ = directory_.sub("index");
};

TEST_F(OldIndex, IsBroughtToTheNewestFormatWhenItIsOpened) {
    for (int turn = 0; turn < 2; ++turn) {
        const auto index = *Index::open(path_);
        EXPECT_EQ(*index->recordings_of(5), (std::vector<std::uint64_t>{1, 2}));
        EXPECT_EQ(*index->recordings_of(6), std::vector<std::uint64_t>{3});
        EXPECT_EQ(index->expired(INT64_MAX, 0, 10)->size(), 3u);
        EXPECT_EQ(index->archive_due(kFirstDue, 10)->size(), 3u);
        EXPECT_TRUE(index->documents(1)->empty());
        EXPECT_EQ(*index->documents_known_from(), 5u) << "the segments before are to be searched";
    }
}

TEST_F(OldIndex, ThoseThatOnlyReadAreToldWhatMakesItNew) {
    const auto index = Index::open_read_only(path_);
    ASSERT_FALSE(index);
    EXPECT_NE(index.error().message.find("has format 2, and must be brought to format 5 first: start spantaped once"),
              std::string::npos)
        << index.error().message;
}

// Format 4 had an entry of each recording by time and under each value.
TEST(IndexOfFormat4, IsSearchedByBlocksAndKeepsWhatItKnowsOfDocuments) {
    const TemporaryDirectory directory;
    const std::string path = directory.sub("index");
    Index::Batch batch;
    for (std::uint64_t ident = 1; ident <= 5000; ++ident) {
        batch.recordings.push_back(recording_of(ident, 5));
        batch.recordings.back().start_ns = static_cast<TimeNs>(ident) * kNsPerSecond;
        batch.recordings.back().channel = ident % 2 == 0 ? 7 : 8;
        batch.documents.push_back({ident, 1, 4096 * ident, 700});
    }
    {
        const auto index = *Index::open(path);
        ASSERT_TRUE(index->put(batch));
        const auto due = index->archive_due(kFirstDue, 5000);
        ASSERT_EQ(due->size(), 5000u);
        ASSERT_TRUE(index->done_archiving({due->begin(), due->begin() + 4990}));
    }
    // A block that an interrupted migration left behind names a recording that is no more.
    const std::string left = index_keys::block_key(index_keys::posting_prefix("channel", "7"), 5);
    make_old(path, 4, {"p", "b", "w"}, {"fchannel 7 0123456789abcdef", "t0123456789abcdef", left});
    {
        const auto index = *Index::open(path);
        EXPECT_EQ(index->documents(2)->size(), 1u);
        EXPECT_EQ(*index->documents_known_from(), 0u);
        EXPECT_EQ(index->archive_due(kFirstDue, 5000)->size(), 10u) << "what is done does not come again";
    }
    const auto index = *Index::open_read_only(path);
    EXPECT_EQ(index->search({.equal = {{"channel", "7"}}, .limit = 10'000})->size(), 2500u);
    const auto last = index->search({.from_ns = 10 * kNsPerSecond, .to_ns = 4500 * kNsPerSecond, .limit = 1});
    ASSERT_EQ(last->size(), 1u);
    EXPECT_EQ(last->front().ident, 4500u);
    EXPECT_EQ(entries_of_format_4(path), 0u);
}

TEST(NewIndex, KnowsWhereEveryDocumentLies) {
    const TemporaryDirectory directory;
    const auto index = *Index::open(directory.sub("index"));
    Index::Batch batch;
    batch.recordings.push_back(recording_of(7, 1));
    batch.documents = {{7, 1, 4096, 700}, {8, 1, 8192, 500}, {7, 2, 64, 800}};
    ASSERT_TRUE(index->put(batch));
    EXPECT_EQ(*index->documents(7), (std::vector<DocumentEntry>{{7, 1, 4096, 700}, {7, 2, 64, 800}}));
    EXPECT_EQ(*index->documents_known_from(), 0u);
    ASSERT_TRUE(index->purge(7, {1}));
    EXPECT_TRUE(index->documents(7)->empty());
    EXPECT_EQ(index->documents(8)->size(), 1u);
}

TEST(NewIndex, ALockTakesARecordingFromThoseThatExpire) {
    const TemporaryDirectory directory;
    const auto index = *Index::open(directory.sub("index"));
    Index::Batch batch;
    batch.recordings.push_back(recording_of(7, 1));
    ASSERT_TRUE(index->put(batch));
    EXPECT_EQ(index->expired(INT64_MAX, 0, 10)->size(), 1u);
    batch.recordings[0].locked = true;
    ASSERT_TRUE(index->put(batch));
    EXPECT_TRUE(index->expired(INT64_MAX, 0, 10)->empty());
}

class ArchiveEntries : public testing::Test {
protected:
    void put(const Recording& recording) const {
        Index::Batch batch;
        batch.recordings.push_back(recording);
        ASSERT_TRUE(index_->put(batch));
    }
    [[nodiscard]] std::vector<ArchiveDue> due() const { return *index_->archive_due(kFirstDue, 100); }
    static Recording finished(std::uint64_t ident, std::int64_t action, TimeNs stop_ns) {
        Recording recording = recording_of(ident, ident);
        recording.archive_action = action;
        recording.stop_ns = stop_ns;
        return recording;
    }
    const TemporaryDirectory directory_;
    std::unique_ptr<Index> index_ = *Index::open(directory_.sub("index"));
};

TEST_F(ArchiveEntries, AreThereFromTheEndOfARecordingUntilItIsDone) {
    Recording recording = finished(7, 3, 5 * kNsPerSecond);
    recording.state = RecordingState::recording;
    put(recording);
    EXPECT_TRUE(due().empty());
    recording.state = RecordingState::stored;
    put(recording);
    const ArchiveDue expected{3, 5 * kNsPerSecond, 7, false};
    EXPECT_EQ(due(), std::vector{expected});
    ASSERT_TRUE(index_->done_archiving({expected}));
    recording.ani = "555";
    put(recording);  // changes nothing about archiving
    EXPECT_TRUE(due().empty());
    index_.reset();
    index_ = *Index::open(directory_.sub("index"));
    EXPECT_TRUE(due().empty());
}

TEST_F(ArchiveEntries, StandInTheOrderOfActionsAndEnds) {
    put(finished(1, 5, 30));
    put(finished(2, -1, 1'999'999'999));
    put(finished(3, 5, 2 * kNsPerSecond));
    put(finished(4, 0, 9));  // not to be archived
    put(finished(5, INT64_MIN, 9));
    put(finished(6, INT64_MAX, 9));
    std::vector<std::uint64_t> idents;
    for (const ArchiveDue& each : due()) idents.push_back(each.ident);
    // An end before the start counts as the start, 1 s.
    EXPECT_EQ(idents, (std::vector<std::uint64_t>{5, 2, 1, 3, 6}));
    const auto behind = index_->archive_due({5, kNsPerSecond + 1, 0, false}, 1);
    ASSERT_EQ(behind->size(), 1u);
    EXPECT_EQ(behind->front(), (ArchiveDue{5, 2 * kNsPerSecond, 3, false}));
}

TEST_F(ArchiveEntries, ComeBackWithAnotherActionAndWhenItIsUnlocked) {
    put(finished(7, 3, 5));
    ASSERT_TRUE(index_->done_archiving(due()));
    put(finished(7, 4, 5));
    ASSERT_EQ(due().size(), 1u);
    EXPECT_EQ(due().front().action, 4);
    Recording locked = finished(7, 4, 5);
    locked.locked = true;
    put(locked);
    ASSERT_EQ(due().size(), 1u);
    EXPECT_TRUE(due().front().locked);
    ASSERT_TRUE(index_->done_archiving(due()));
    put(finished(7, 4, 5));
    ASSERT_EQ(due().size(), 1u);
    EXPECT_FALSE(due().front().locked);
    ASSERT_TRUE(index_->purge(7, {}));
    EXPECT_TRUE(due().empty());
}

TEST_F(ArchiveEntries, CopiesAreKnownUntilTheyAreForgotten) {
    put(finished(7, 3, 5));
    const ArchivedCopy first{7, 3, "/mnt/archive", "20260101/7/a.wav"}, second{7, -4, "/b", "x"}, other{8, 3, "", ""};
    for (const ArchivedCopy& copy : {first, second, other}) ASSERT_TRUE(index_->put_archived(copy));
    EXPECT_EQ(*index_->archived(7), (std::vector{second, first}));
    ASSERT_TRUE(index_->purge(7, {}));
    EXPECT_EQ(index_->archived(7)->size(), 2u) << "a moved recording's copy is known on";
    ASSERT_TRUE(index_->forget_archived(second));
    EXPECT_EQ(*index_->archived(7), std::vector{first});
    std::size_t all = 0;
    ASSERT_TRUE(index_->for_each_archived([&](const ArchivedCopy&) { return ++all, Result<>{}; }));
    EXPECT_EQ(all, 2u);
}

// As a reader may find it while a purge makes it durable, one family before another.
TEST(HalfPurgedIndex, IsReadAsIfThePurgeWereDoneByThoseThatOnlyRead) {
    const TemporaryDirectory directory;
    const std::string path = directory.sub("index");
    auto index = *Index::open(path);
    Index::Batch batch;
    for (const std::uint64_t ident : {1, 2, 3}) batch.recordings.push_back(recording_of(ident, ident));
    ASSERT_TRUE(index->put(batch));
    index.reset();
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const char* name : {"default", "recordings", "chunks", "lookup"})
        families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    families.back().options.merge_operator = blocks::block_merge();
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open({}, path, families, &handles, &db).ok());
    ASSERT_TRUE(db->Delete({}, handles[1], index_keys::u64_bytes(2)).ok());
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
    delete db;

    const auto reader = *Index::open_read_only(path);
    const auto found = reader->search({});
    ASSERT_TRUE(found) << found.error().message;
    ASSERT_EQ(found->size(), 2u);
    EXPECT_EQ(found->front().ident, 3u);
    EXPECT_EQ(found->back().ident, 1u);
    const auto writer = *Index::open(path);
    EXPECT_FALSE(writer->search({})) << "there it is damage";
}

}  // namespace
}  // namespace spantape
