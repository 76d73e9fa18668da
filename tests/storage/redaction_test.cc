// SPDX-License-Identifier: AGPL-3.0-or-later
// What is taken back on disk: gone from the raw bytes, everything else as it was, and so after a crash at any point.
#include "storage/redaction.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "storage/segment/crc32c.h"
#include "storage/stream_seal.h"
#include "tests/storage/memory_index.h"
#include "tests/storage/segment/helpers.h"

namespace spantape {
namespace {

constexpr std::uint32_t kFrames = 20;
constexpr std::uint32_t kChunks = 8;
constexpr TimeNs kFrameNs = 20 * kNsPerMs;
constexpr TimeNs kStartNs = 1'700'000'000 * kNsPerSecond;

TimeNs arrival_of(std::uint32_t number) { return kStartNs + number * kFrameNs; }

class RedactionTest : public ::testing::TestWithParam<bool> {
protected:
    RedactionTest() {
        if (GetParam()) keyring_ = *Keyring::open(directory_.path(), *MasterKey::random());
        auto writer = SegmentWriter::open({.directory = segments(), .segment_bytes = 4u << 20, .buffers = 4}, 1);
        EXPECT_TRUE(writer);
        Index::Batch batch;
        std::map<std::uint64_t, DataKey> keys;
        for (std::uint32_t number = 0; number < kChunks; ++number)
            for (const std::uint64_t stream : {1, 2}) {
                if (keyring_ && !keys.contains(stream)) keys[stream] = *keyring_->create(stream);
                auto room = (*writer)->reserve(chunk_bytes(kFrames));
                build_chunk(*room, stream, number, kFrames, arrival_of(number * kFrames));
                RecordHeader header;  // a nonce as the media writer gives it
                std::memcpy(&header, room->data(), sizeof header);
                std::memcpy(header.nonce.data(), &number, sizeof number);
                std::memcpy(room->data(), &header, sizeof header);
                const auto at = (*writer)->commit(keyring_ ? &keys[stream] : nullptr);
                batch.chunks.push_back({stream, number, at.segment, at.offset, at.bytes, kFrames,
                                        arrival_of(number * kFrames), arrival_of(number * kFrames + kFrames - 1)});
            }
        EXPECT_TRUE((*writer)->flush());
        EXPECT_TRUE((*writer)->reap(true));
        EXPECT_TRUE(index_.put(batch));
    }
    [[nodiscard]] std::string segments() const { return directory_.path() + "/segments"; }
    [[nodiscard]] std::string journal() const { return directory_.path() + "/redaction.journal"; }
    SegmentStore store() { return {segments(), keyring_}; }
    std::unique_ptr<Redactor> redactor() {
        auto opened = Redactor::open(store(), index_, journal());
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }
    // The frames that can be read, by number; each is checked to be what was written.
    std::set<std::uint32_t> frames_of(std::uint64_t stream) {
        SegmentReader reader(store());
        std::set<std::uint32_t> numbers;
        const auto entries = index_.chunks(stream);
        for (const ChunkEntry& entry : *entries) {
            const auto chunk = reader.read(entry);
            EXPECT_TRUE(chunk) << chunk.error().message;
            if (!chunk) continue;
            EXPECT_TRUE(chunk->for_each_frame([&](const StoredFrame& frame) {
                const std::uint32_t number = frame.timestamp / 160;
                numbers.insert(number);
                const auto payload = payload_of(stream, number, 160);
                EXPECT_TRUE(std::ranges::equal(std::as_bytes(frame.payload), payload));
                EXPECT_EQ(frame.arrival_ns, arrival_of(number));
            }));
        }
        return numbers;
    }
    static std::set<std::uint32_t> all_but(std::uint32_t from, std::uint32_t to) {
        std::set<std::uint32_t> numbers;
        for (std::uint32_t number = 0; number < kChunks * kFrames; ++number)
            if (number < from || number >= to) numbers.insert(number);
        return numbers;
    }
    // Whether the payload's first bytes lie anywhere in the store's files.
    bool lies_in_store(std::uint64_t stream, std::uint32_t number) {
        const auto payload = payload_of(stream, number, 16);
        for (const auto& file : std::filesystem::recursive_directory_iterator(directory_.path())) {
            if (!file.is_regular_file()) continue;
            const auto bytes = read_bytes(file.path().string());
            if (std::search(bytes.begin(), bytes.end(), payload.begin(), payload.end()) != bytes.end()) return true;
        }
        return false;
    }

    TemporaryDirectory directory_;
    std::shared_ptr<Keyring> keyring_;
    MemoryIndex index_;
};

TEST_P(RedactionTest, TheWindowIsGoneFromTheFilesAndTheRestIsAsItWas) {
    EXPECT_EQ(lies_in_store(1, 50), !GetParam());
    const auto before = seal_of_stream(index_, segments(), 1, kChunks);
    ASSERT_TRUE(before);
    const auto done = redactor()->redact({{1}, arrival_of(33), arrival_of(95)});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->frames, 62u);
    EXPECT_EQ(done->chunks, 4u);
    EXPECT_EQ(frames_of(1), all_but(33, 95));
    EXPECT_EQ(frames_of(2), all_but(0, 0));
    for (std::uint32_t number = 33; number < 95; ++number) EXPECT_FALSE(lies_in_store(1, number)) << number;
    EXPECT_EQ(lies_in_store(1, 32), !GetParam());
    EXPECT_EQ(lies_in_store(1, 95), !GetParam());
    EXPECT_NE(*seal_of_stream(index_, segments(), 1, kChunks), *before) << "the seal tells that something changed";
    EXPECT_EQ(std::filesystem::file_size(journal()), 0u);
}

TEST_P(RedactionTest, WindowsMayOverlapRepeatAndMissEverything) {
    const auto redactor = this->redactor();
    EXPECT_EQ(redactor->redact({{1, 2, 77}, arrival_of(10), arrival_of(30)})->frames, 40u);
    EXPECT_EQ(redactor->redact({{1, 2}, arrival_of(10), arrival_of(30)})->frames, 0u);
    EXPECT_EQ(redactor->redact({{1}, arrival_of(20), arrival_of(50)})->frames, 20u);
    EXPECT_EQ(redactor->redact({{1}, arrival_of(9) + 1, arrival_of(10)})->frames, 0u);
    EXPECT_EQ(redactor->redact({{1}, INT64_MIN, arrival_of(1)})->frames, 1u);
    auto expected = all_but(10, 50);
    expected.erase(0);
    EXPECT_EQ(frames_of(1), expected);
    EXPECT_EQ(frames_of(2), all_but(10, 30));
    EXPECT_EQ(redactor->redact({{1, 2}, INT64_MIN, INT64_MAX})->frames, 160u - 41 + 160 - 20);
    EXPECT_TRUE(frames_of(1).empty());
}

// The power fails after the journal is durable, with any part of the writes in place done: the next start does the
// rest.
TEST_P(RedactionTest, AWholeJournalIsCarriedOutAtTheNextStart) {
    const std::string segment = segment_path(segments(), 1);
    const auto before = read_bytes(segment);
    ASSERT_TRUE(redactor()->redact({{1}, arrival_of(33), arrival_of(95)}));
    const auto after = read_bytes(segment);
    // The journal as it was: made again from the chunks that changed.
    std::vector<std::byte> body;
    std::uint32_t records = 0;
    const auto put = [&body](const auto& value) {
        const auto bytes = std::as_bytes(std::span(&value, 1));
        body.insert(body.end(), bytes.begin(), bytes.end());
    };
    const auto entries = *index_.chunks(1);
    for (const ChunkEntry& entry : entries) {
        const auto begin = static_cast<std::ptrdiff_t>(entry.offset);
        if (std::equal(after.begin() + begin, after.begin() + begin + entry.bytes, before.begin() + begin)) continue;
        put(entry.offset);
        put(entry.segment);
        put(entry.bytes);
        body.insert(body.end(), after.begin() + begin, after.begin() + begin + entry.bytes);
        ++records;
    }
    ASSERT_EQ(records, 4u);
    std::vector<std::byte> journal_bytes;
    std::swap(body, journal_bytes);
    put(std::uint64_t{0x0a31444552545053});
    put(std::uint64_t{journal_bytes.size()});
    put(records);
    put(crc32c(journal_bytes));
    body.insert(body.end(), journal_bytes.begin(), journal_bytes.end());

    for (const std::size_t done : {std::size_t{0}, before.size() / 3, before.size()}) {
        auto half = before;
        std::copy_n(after.begin(), done, half.begin());
        write_bytes(segment, half);
        write_bytes(journal(), body);
        redactor();
        EXPECT_EQ(frames_of(1), all_but(33, 95));
    }
    // A torn journal was never acted upon.
    for (std::size_t length = 0; length < body.size(); length += body.size() / 7 + 1) {
        write_bytes(segment, before);
        write_bytes(journal(), {body.begin(), body.begin() + static_cast<std::ptrdiff_t>(length)});
        redactor();
        EXPECT_EQ(frames_of(1), all_but(0, 0)) << length;
    }
}

// A full disk keeps nobody from taking back what was said.
TEST_P(RedactionTest, WithoutRoomForAJournalTheWindowGoesAllTheSame) {
    auto redactor = *Redactor::open(store(), index_, directory_.path() + "/no such directory/journal");
    const auto done = redactor->redact({{1}, arrival_of(33), arrival_of(95)});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(frames_of(1), all_but(33, 95));
    for (std::uint32_t number = 33; number < 95; ++number) EXPECT_FALSE(lies_in_store(1, number)) << number;
}

TEST_P(RedactionTest, AChunkThatCannotBeReadIsWipedAsAWhole) {
    const std::string segment = segment_path(segments(), 1);
    auto bytes = read_bytes(segment);
    const ChunkEntry damaged = index_.chunks(1)->at(2);
    bytes[damaged.offset + 400] ^= std::byte{1};
    write_bytes(segment, bytes);
    const auto done = redactor()->redact({{1}, arrival_of(50), arrival_of(65)});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->wiped, 1u);
    EXPECT_EQ(done->frames, 5u);  // of the next chunk
    for (std::uint32_t number = 40; number < 65; ++number) EXPECT_FALSE(lies_in_store(1, number)) << number;
    EXPECT_FALSE(SegmentReader(store()).read(damaged));
}

TEST_P(RedactionTest, WithoutItsKeyAnEncryptedChunkIsReadByNobody) {
    if (!GetParam()) GTEST_SKIP() << "not encrypted";
    SegmentReader without(SegmentStore{segments()});
    EXPECT_FALSE(without.read(index_.chunks(1)->front()));
    std::vector<std::uint64_t> ids{1};
    ASSERT_TRUE(keyring_->forget(ids));
    SegmentReader reader(store());
    EXPECT_NE(reader.read(index_.chunks(1)->front()).error().message.find("forgotten"), std::string::npos);
    EXPECT_EQ(frames_of(2), all_but(0, 0));
}

INSTANTIATE_TEST_SUITE_P(Storage, RedactionTest, ::testing::Bool(),
                         [](const auto& which) { return which.param ? "Encrypted" : "Clear"; });

}  // namespace
}  // namespace spantape
