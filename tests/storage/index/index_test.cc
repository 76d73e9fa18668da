// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/index.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "tests/storage/index/random_recording.h"
#include "tests/storage/index/temporary_directory.h"

namespace spantape {
namespace {

using index_test::same;
using index_test::TemporaryDirectory;

constexpr TimeNs kNoon = 1'700'000'000 * kNsPerSecond;

Recording recording_of(std::uint64_t ident, std::string device, TimeNs start_ns = kNoon) {
    Recording recording;
    recording.ident = ident;
    recording.device_id = std::move(device);
    recording.start_ns = start_ns;
    recording.state = RecordingState::stored;
    return recording;
}

ChunkEntry chunk_of(std::uint64_t stream_id, std::uint32_t number) {
    return {.stream_id = stream_id,
            .chunk_number = number,
            .segment = 3 + number,
            .offset = std::uint64_t{1} << 40 | number,
            .bytes = 1000 + number,
            .frames = 50,
            .first_ns = -5,
            .last_ns = kNoon + number};
}

std::vector<std::uint64_t> idents_of(const Result<std::vector<Recording>>& found) {
    EXPECT_TRUE(found) << found.error().message;
    std::vector<std::uint64_t> idents;
    if (found)
        for (const Recording& recording : *found) idents.push_back(recording.ident);
    return idents;
}

using Idents = std::vector<std::uint64_t>;

class IndexTest : public testing::Test {
protected:
    IndexTest() { open(); }
    void open() {
        index_.reset();
        auto opened = Index::open(path());
        if (!opened) throw std::runtime_error(opened.error().message);
        index_ = std::move(*opened);
    }
    [[nodiscard]] std::string path() const { return directory_.sub("index"); }
    void put(std::vector<Recording> recordings) {
        const auto done = index_->put({.chunks = {}, .recordings = std::move(recordings), .watermark = {}});
        ASSERT_TRUE(done) << done.error().message;
    }
    Idents search(std::vector<std::pair<std::string, std::string>> equal, std::size_t limit = 1000) {
        return idents_of(index_->search({.equal = std::move(equal), .limit = limit}));
    }
    Idents search_between(TimeNs from_ns, TimeNs to_ns) {
        return idents_of(index_->search({.equal = {}, .from_ns = from_ns, .to_ns = to_ns}));
    }

    TemporaryDirectory directory_;
    std::unique_ptr<Index> index_;
};

TEST_F(IndexTest, EmptyIndexHasNothing) {
    EXPECT_EQ(*index_->recording(1), std::nullopt);
    EXPECT_TRUE(index_->chunks(1)->empty());
    EXPECT_EQ(search({}), Idents{});
    EXPECT_EQ(search({{"ani", "5"}}), Idents{});
    EXPECT_EQ(idents_of(index_->unfinished()), Idents{});
    EXPECT_EQ(index_->watermark()->segment, 0U);
    EXPECT_EQ(index_->watermark()->offset, 0U);
}

TEST_F(IndexTest, RecordingReadsBackWhole) {
    index_test::Random random(7);
    for (int i = 0; i < 50; ++i) {
        const Recording recording = index_test::any_recording(random);
        put({recording});
        const auto back = index_->recording(recording.ident);
        ASSERT_TRUE(back && *back);
        EXPECT_TRUE(same(recording, **back));
    }
}

TEST_F(IndexTest, ChunksComeInOrderAndOfTheirStreamOnly) {
    Index::Batch batch;
    for (const std::uint32_t number : {2U, 0U, 300U, 1U, 256U}) batch.chunks.push_back(chunk_of(7, number));
    batch.chunks.push_back(chunk_of(6, 0));
    batch.chunks.push_back(chunk_of(UINT64_MAX, UINT32_MAX));
    ASSERT_TRUE(index_->put(batch));
    const auto chunks = index_->chunks(7);
    ASSERT_TRUE(chunks) << chunks.error().message;
    std::vector<std::uint32_t> numbers;
    for (const ChunkEntry& chunk : *chunks) numbers.push_back(chunk.chunk_number);
    EXPECT_EQ(numbers, (std::vector<std::uint32_t>{0, 1, 2, 256, 300}));
    const ChunkEntry& last = chunks->back();
    EXPECT_EQ(last.stream_id, 7U);
    EXPECT_EQ(last.segment, 303U);
    EXPECT_EQ(last.offset, std::uint64_t{1} << 40 | 300);
    EXPECT_EQ(last.bytes, 1300U);
    EXPECT_EQ(last.frames, 50U);
    EXPECT_EQ(last.first_ns, -5);
    EXPECT_EQ(last.last_ns, kNoon + 300);
    EXPECT_EQ(index_->chunks(UINT64_MAX)->size(), 1U);
    EXPECT_TRUE(index_->chunks(8)->empty());
}

TEST_F(IndexTest, EveryChunkIsFoundOnceThroughManyBatchesAndReopenings) {
    constexpr std::uint64_t kStreams = 37;
    std::vector<std::uint32_t> numbers(kStreams, 0);
    std::mt19937 random(1);
    for (int batch = 0; batch < 100; ++batch) {
        Index::Batch chunks;
        for (std::uint64_t stream = 0; stream < kStreams; ++stream)
            for (unsigned more = random() % 3; more > 0; --more)
                chunks.chunks.push_back(chunk_of(1000 + stream, numbers[stream]++));
        ASSERT_TRUE(index_->put(chunks));
        if (batch % 7 == 0) {
            ASSERT_TRUE(index_->put(chunks));  // as recovery does with what it finds again
        }
        if (batch % 23 == 0) open();
        if (batch % 10 != 0) continue;
        const auto reader = Index::open_read_only(path());
        ASSERT_TRUE(reader) << reader.error().message;
        for (const auto* index : {index_.get(), reader->get()})
            for (std::uint64_t stream = 0; stream < kStreams; ++stream) {
                const auto found = index->chunks(1000 + stream);
                ASSERT_TRUE(found) << found.error().message;
                ASSERT_EQ(found->size(), numbers[stream]) << "stream " << stream << " batch " << batch;
                for (std::uint32_t number = 0; number < numbers[stream]; ++number)
                    ASSERT_EQ((*found)[number].offset, chunk_of(1, number).offset);
            }
    }
}

TEST_F(IndexTest, NewestStartComesFirst) {
    put({recording_of(1, "a", kNoon), recording_of(2, "a", kNoon + 5), recording_of(3, "b", kNoon - 5),
         recording_of(4, "a", kNoon), recording_of(5, "a", -1), recording_of(6, "a", 1)});
    EXPECT_EQ(search({}), (Idents{2, 4, 1, 3, 6, 5}));
    EXPECT_EQ(search({{"device_id", "a"}}), (Idents{2, 4, 1, 6, 5}));
    EXPECT_EQ(search({}, 2), (Idents{2, 4}));
    EXPECT_EQ(search({{"device_id", "a"}}, 1), (Idents{2}));
    EXPECT_EQ(search({}, 0), Idents{});
}

TEST_F(IndexTest, TimeRangeIsInclusive) {
    put({recording_of(1, "a", 10), recording_of(2, "a", 20), recording_of(3, "a", 30), recording_of(4, "a", INT64_MAX),
         recording_of(5, "a", INT64_MIN)});
    EXPECT_EQ(search_between(10, 30), (Idents{3, 2, 1}));
    EXPECT_EQ(search_between(11, 29), (Idents{2}));
    EXPECT_EQ(search_between(30, 10), Idents{});
    EXPECT_EQ(search_between(INT64_MIN, INT64_MAX), (Idents{4, 3, 2, 1, 5}));
    EXPECT_EQ(search_between(INT64_MIN, INT64_MIN), (Idents{5}));
}

TEST_F(IndexTest, EveryColumnCanBeSearched) {
    Recording wanted = recording_of(77, "2001", kNoon + 999'999'999);
    wanted.global_call_id = "00010000000009";
    wanted.device_alias = "alias";
    wanted.sys_user = "sys";
    wanted.crm_user = "crm";
    wanted.station = "pc";
    wanted.group = "sales";
    wanted.gate = "gate";
    wanted.ani = "555";
    wanted.dnis = "800";
    wanted.call_id = "cid";
    wanted.call_instance = "1";
    wanted.direction = "O";
    wanted.filename = "/x.wav";
    for (std::size_t i = 0; i < wanted.user.size(); ++i) wanted.user[i] = "user" + std::to_string(i);
    wanted.agent_id = 11;
    wanted.priority = 5;
    wanted.keep_days = 9;
    wanted.archive_action = 3;
    wanted.channel = 8;
    wanted.stop_ns = wanted.start_ns + 3 * kNsPerSecond;
    put({recording_of(76, "x", kNoon + kNsPerSecond), wanted, recording_of(78, "x", kNoon - 1)});
    for (const std::string_view name : column_names()) {
        const std::string value = column(wanted, name).value;
        EXPECT_EQ(search({{std::string(name), value}}), (Idents{77})) << name;
        EXPECT_EQ(search({{std::string(name), value + "0"}}), Idents{}) << name;
    }
    EXPECT_EQ(search({{"GROUP", "sales"}, {"recordid", "77"}, {"DeviceID", "2001"}}), (Idents{77}));
    EXPECT_EQ(search({{"ident", "77"}, {"device_id", "x"}}), Idents{});
    EXPECT_EQ(search({{"device_id", "2001"}, {"priority", "6"}}), Idents{});
    EXPECT_EQ(search({{"recording_time", "soon"}}), Idents{});
    EXPECT_EQ(search({{"ident", "-1"}}), Idents{});
    EXPECT_EQ(search({{"ani", ""}, {"dnis", "800"}}), Idents{});
    EXPECT_EQ(search({{"ani", ""}}), (Idents{76, 78}));
}

TEST_F(IndexTest, UnknownColumnIsAnError) {
    const auto found = index_->search({.equal = {{"shoe_size", "9"}}});
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().message, "there is no column 'shoe_size'");
}

TEST_F(IndexTest, ValuesAreNotConfusedWithOneAnother) {
    Recording one = recording_of(1, "ab");
    Recording two = recording_of(2, std::string("a\0b", 3));
    Recording three = recording_of(3, "a");
    three.device_alias = "ab";
    Recording four = recording_of(4, "A");
    put({one, two, three, four});
    EXPECT_EQ(search({{"device_id", "ab"}}), (Idents{1}));
    EXPECT_EQ(search({{"device_id", std::string("a\0b", 3)}}), (Idents{2}));
    EXPECT_EQ(search({{"device_id", "a"}}), (Idents{3}));
    EXPECT_EQ(search({{"device_alias", "ab"}}), (Idents{3}));
}

TEST_F(IndexTest, LongValuesDifferBeyondTheIndexedPart) {
    const std::string base(5000, 'x');
    put({recording_of(1, base + "1"), recording_of(2, base + "2"), recording_of(3, base)});
    EXPECT_EQ(search({{"device_id", base + "2"}}), (Idents{2}));
    EXPECT_EQ(search({{"device_id", base}}), (Idents{3}));
    EXPECT_EQ(search({{"device_id", base + "3"}}), Idents{});
}

TEST_F(IndexTest, BytesThatAreNoUtf8AreFoundAndReplaced) {
    put({recording_of(1,
                      "\xff"
                      "5")});
    EXPECT_EQ(search({{"device_id",
                       "\xff"
                       "5"}}),
              (Idents{1}));
    put({recording_of(1, "7")});
    EXPECT_EQ(search({{"device_id",
                       "\xff"
                       "5"}}),
              Idents{});
    EXPECT_EQ(search({}), (Idents{1}));
}

TEST_F(IndexTest, ReplacedRecordingLeavesNoStaleEntries) {
    Recording recording = recording_of(1, "old", kNoon);
    recording.state = RecordingState::recording;
    put({recording});
    EXPECT_EQ(idents_of(index_->unfinished()), (Idents{1}));
    recording.device_id = "new";
    recording.start_ns = kNoon + kNsPerSecond;
    recording.state = RecordingState::stored;
    put({recording});
    EXPECT_EQ(search({{"device_id", "old"}}), Idents{});
    EXPECT_EQ(search({{"device_id", "new"}}), (Idents{1}));
    EXPECT_EQ(search_between(kNoon, kNoon), Idents{});
    EXPECT_EQ(search({}), (Idents{1}));
    EXPECT_EQ(idents_of(index_->unfinished()), Idents{});
}

TEST_F(IndexTest, LastOfSeveralVersionsInOneBatchWins) {
    put({recording_of(1, "first", kNoon), recording_of(2, "other"), recording_of(1, "second", kNoon + 1)});
    EXPECT_EQ(search({{"device_id", "first"}}), Idents{});
    EXPECT_EQ(search({{"device_id", "second"}}), (Idents{1}));
    EXPECT_EQ(search({}), (Idents{1, 2}));
}

TEST_F(IndexTest, NumbersRiseAndNeverRepeatAcrossReopening) {
    EXPECT_EQ(*index_->take_numbers("ident", 1), 1U);
    EXPECT_EQ(*index_->take_numbers("ident", 100), 2U);
    EXPECT_EQ(*index_->take_numbers("boot", 1), 1U);
    open();
    EXPECT_EQ(*index_->take_numbers("ident", 1), 102U);
    EXPECT_EQ(*index_->take_numbers("boot", 1), 2U);
    EXPECT_FALSE(index_->take_numbers("ident", 0));
    EXPECT_FALSE(index_->take_numbers("", 1));
    EXPECT_FALSE(index_->take_numbers("ident", UINT64_MAX));
    EXPECT_EQ(*index_->take_numbers("ident", 1), 103U);
}

TEST_F(IndexTest, EverythingIsThereAfterReopening) {
    Recording running = recording_of(2, "b");
    running.state = RecordingState::recording;
    ASSERT_TRUE(index_->put({{chunk_of(5, 0)}, {recording_of(1, "a"), running}, {}, Watermark{9, 1u << 20}}));
    open();
    EXPECT_EQ(search({}), (Idents{2, 1}));
    EXPECT_EQ(search({{"device_id", "a"}}), (Idents{1}));
    EXPECT_EQ(idents_of(index_->unfinished()), (Idents{2}));
    EXPECT_EQ(index_->chunks(5)->size(), 1U);
    EXPECT_EQ(index_->watermark()->segment, 9U);
    EXPECT_EQ(index_->watermark()->offset, 1U << 20);
}

TEST(IndexOpen, MissingDirectoryIsNamed) {
    const TemporaryDirectory directory;
    const auto index = Index::open(directory.sub("none/index"));
    ASSERT_FALSE(index);
    EXPECT_EQ(index.error().message,
              "index " + directory.sub("none/index") + ": there is no directory " + directory.sub("none"));
}

TEST(IndexOpen, FileInPlaceOfTheDirectoryIsRefused) {
    const TemporaryDirectory directory;
    std::ofstream(directory.sub("index")) << "x";
    const auto index = Index::open(directory.sub("index"));
    ASSERT_FALSE(index);
    EXPECT_EQ(index.error().message, "index " + directory.sub("index") + ": is no directory");
}

TEST(IndexOpen, SecondOpenerIsToldThatItIsInUse) {
    const TemporaryDirectory directory;
    const auto first = Index::open(directory.sub("index"));
    ASSERT_TRUE(first) << first.error().message;
    const auto second = Index::open(directory.sub("index"));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().message, "index " + directory.sub("index") + ": in use by another process");
}

TEST(IndexOpen, CorruptionIsNamedWithThePath) {
    const TemporaryDirectory directory;
    const std::string path = directory.sub("index");
    ASSERT_TRUE(Index::open(path));
    std::ofstream(path + "/CURRENT", std::ios::trunc) << "garbage";
    const auto index = Index::open(path);
    ASSERT_FALSE(index);
    EXPECT_TRUE(index.error().message.starts_with("index " + path + ": cannot be opened: Corruption"))
        << index.error().message;
    EXPECT_EQ(index.error().message.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace spantape
