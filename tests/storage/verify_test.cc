// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/verify.h"

#include <cerrno>

#include "storage/audio/playout.h"
#include "tests/storage/test_store.h"

namespace spantape {
namespace {

VerifyReport verified(const TestStore& store, const VerifyOptions& options = {}) {
    const auto report = verify_store(store.path(), options);
    EXPECT_TRUE(report) << report.error().message;
    return report ? *report : VerifyReport{};
}

std::string text_of(const VerifyReport& report) {
    std::string text;
    for (const Damage& damage : report.damage) {
        text += fmt::format("{} recordings {} stream {:#x} chunk {} at {}:{}: {}\n", name_of(damage.what),
                            fmt::join(damage.recordings, ","), damage.stream_id, damage.chunk_number.value_or(~0u),
                            damage.segment, damage.offset, damage.reason);
    }
    return text;
}

// The one damage there is.
Damage only(const VerifyReport& report, Damage::What what) {
    EXPECT_EQ(report.damage.size(), 1u) << text_of(report);
    if (report.damage.empty()) return {};
    EXPECT_EQ(report.damage.front().what, what) << text_of(report);
    return report.damage.front();
}

TEST(Verify, AWholeStoreIsWhole) {
    TestStore store;
    store.close();
    const auto report = verified(store);
    EXPECT_TRUE(report.whole()) << text_of(report);
    EXPECT_EQ(report.recordings, 5u);
    EXPECT_EQ(report.streams, 10u);
    EXPECT_EQ(report.chunks, store.chunks.size());
    EXPECT_EQ(report.frames, store.chunks.size() * TestStore::kFrames);
    EXPECT_EQ(report.remnants + report.superseded + report.not_indexed, 0u);
}

TEST(Verify, RunsBesideTheDaemonAndItsUnindexedTailIsNoDamage) {
    TestStore store;
    for (std::uint32_t number = 0; number < 3; ++number)
        ASSERT_TRUE(append_chunk(*store.writer, TestStore::stream_of(1, Side::device), TestStore::kChunks + number));
    ASSERT_TRUE(store.writer->flush());
    ASSERT_TRUE(store.writer->reap(true));
    const auto report = verified(store);  // index and writer are open
    EXPECT_TRUE(report.whole()) << text_of(report);
    EXPECT_EQ(report.not_indexed, 3u);
}

TEST(Verify, AFlippedBitNamesItsRecordingChunkAndPlaceAndNoOther) {
    TestStore store;
    store.close();
    const ChunkEntry& chunk = store.chunks[store.chunks.size() / 2];
    for (const std::uint64_t byte : {0ull, 5ull, 9ull, 13ull, 100ull, 300ull, chunk.bytes - 1ull}) {
        store.change(chunk, byte);
        const auto report = verified(store);
        const Damage damage = only(report, Damage::What::chunk);
        EXPECT_EQ(damage.stream_id, chunk.stream_id);
        EXPECT_EQ(damage.chunk_number, chunk.chunk_number);
        EXPECT_EQ(damage.segment, chunk.segment);
        EXPECT_EQ(damage.offset, chunk.offset);
        EXPECT_EQ(damage.recordings, (std::vector<std::uint64_t>{(chunk.stream_id & 0xff) / 2}));
        EXPECT_EQ(report.remnants, 0u);
        store.change(chunk, byte);
    }
    EXPECT_TRUE(verified(store).whole());
}

// Any bit of a store: one that lies in a chunk costs that chunk, whatever the others are, and no other.
TEST(Verify, ARandomFlippedBitCostsOneChunkAtMost) {
    const TestStore store;
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 200; ++round) {
        const ChunkEntry place{.segment = 1, .offset = 0};
        const std::uint64_t byte = random() % std::filesystem::file_size(segment_path(store.segments(), 1));
        const auto bit = static_cast<std::byte>(1u << random() % 8);
        store.change(place, byte, bit);
        const auto report = *verify(*store.index, store.segments());
        store.change(place, byte, bit);
        const auto hit = std::ranges::find_if(store.chunks, [&](const ChunkEntry& chunk) {
            return chunk.segment == 1 && byte >= chunk.offset && byte < chunk.offset + chunk.bytes;
        });
        std::size_t chunks = 0;
        for (const Damage& damage : report.damage) {
            if (damage.what != Damage::What::chunk) continue;
            ++chunks;
            ASSERT_NE(hit, store.chunks.end()) << text_of(report);
            ASSERT_EQ(damage.offset, hit->offset) << text_of(report);
        }
        ASSERT_EQ(chunks, hit == store.chunks.end() ? 0u : 1u) << "byte " << byte << "\n" << text_of(report);
    }
}

// Contained: the recording is exported at its full length, silent where the chunk was.
TEST(Verify, ADamagedChunkIsSilenceInAnExport) {
    TestStore store;
    auto render = [&] {
        auto audio = RecordingAudio::open(*store.index, store.segments(), store.recordings_[0], 0);
        EXPECT_TRUE(audio);
        std::vector<std::int16_t> samples;
        for (auto block = (*audio)->next(); block && !block->empty(); block = (*audio)->next())
            samples.insert(samples.end(), block->begin(), block->end());
        return samples;
    };
    const auto whole = render();
    const auto hit = std::ranges::find_if(store.chunks, [](const ChunkEntry& chunk) {
        return chunk.stream_id == TestStore::stream_of(1, Side::device) && chunk.chunk_number == 5;
    });
    store.change(*hit, 1000);
    const auto damaged = render();
    ASSERT_EQ(damaged.size(), whole.size());
    ASSERT_EQ(whole.size(), std::size_t{TestStore::kChunks} * TestStore::kFrames * 160 * 2);
    const std::size_t from = 5 * TestStore::kFrames * 160, to = 6 * TestStore::kFrames * 160;
    for (std::size_t i = 0; i < whole.size() / 2; ++i) {
        const bool silent = i >= from && i < to;
        ASSERT_EQ(damaged[i * 2], silent ? 0 : whole[i * 2]) << i;
        ASSERT_EQ(damaged[i * 2 + 1], whole[i * 2 + 1]) << i;
    }
}

TEST(Verify, WhatIsCutOffOrRemovedIsNamedChunkByChunk) {
    TestStore store;
    store.close();
    const std::uint32_t last = store.chunks.back().segment;
    const std::string file = segment_path(store.segments(), last);
    const std::uint64_t cut = store.chunks[store.chunks.size() - 4].offset;
    std::filesystem::resize_file(file, cut);
    std::size_t chunks = 0, documents = 0;
    auto report = verified(store);
    for (const Damage& damage : report.damage) {
        chunks += damage.what == Damage::What::chunk ? 1 : 0;
        documents += damage.what == Damage::What::document ? 1 : 0;
    }
    EXPECT_EQ(chunks, 4u);
    EXPECT_EQ(documents, 5u);  // the final ones lay behind
    std::filesystem::remove(file);
    report = verified(store);
    EXPECT_GE(report.damage_in_all, 5u + std::ranges::count(store.chunks, last, &ChunkEntry::segment));
}

TEST(Verify, WhatTheIndexHasWrongIsNamed) {
    TestStore store;
    for (const auto& wrong : std::vector<std::function<void(ChunkEntry&)>>{
             [](ChunkEntry& chunk) { chunk.offset += 64; }, [](ChunkEntry& chunk) { chunk.segment += 7; },
             [](ChunkEntry& chunk) { ++chunk.frames; }, [](ChunkEntry& chunk) { ++chunk.last_ns; },
             [](ChunkEntry& chunk) { --chunk.first_ns; }, [](ChunkEntry& chunk) { chunk.bytes -= 16; }}) {
        const TestStore fresh;
        ChunkEntry chunk = fresh.chunks[17];
        wrong(chunk);
        // A later place is what the index believes; an earlier one would not be taken.
        ASSERT_TRUE(fresh.index->purge(0, {chunk.stream_id}));
        Index::Batch batch;
        for (const ChunkEntry& each : fresh.chunks)
            if (each.stream_id == chunk.stream_id)
                batch.chunks.push_back(each.chunk_number == chunk.chunk_number ? chunk : each);
        ASSERT_TRUE(fresh.index->put(batch));
        const auto report = *verify(*fresh.index, fresh.segments());
        const auto named = std::ranges::find(report.damage, Damage::What::chunk, &Damage::what);
        ASSERT_NE(named, report.damage.end()) << text_of(report);
        EXPECT_EQ(named->chunk_number, chunk.chunk_number);
        EXPECT_EQ(named->recordings.size(), 1u);
    }
}

TEST(Verify, WhatTheIndexLacksIsNamed) {
    TestStore store;
    const std::uint64_t stream = TestStore::stream_of(3, Side::far);
    ASSERT_TRUE(store.index->purge(0, {stream}));
    auto report = *verify(*store.index, store.segments());
    EXPECT_EQ(std::ranges::count(report.damage, Damage::What::unlisted, &Damage::what), TestStore::kChunks);
    EXPECT_EQ(std::ranges::count(report.damage, Damage::What::stream, &Damage::what), 1);
    // A hole in the middle.
    Index::Batch batch;
    for (const ChunkEntry& chunk : store.chunks)
        if (chunk.stream_id == stream && chunk.chunk_number != 4) batch.chunks.push_back(chunk);
    ASSERT_TRUE(store.index->put(batch));
    report = *verify(*store.index, store.segments());
    EXPECT_EQ(std::ranges::count(report.damage, Damage::What::unlisted, &Damage::what), 1) << text_of(report);
    EXPECT_EQ(std::ranges::count(report.damage, Damage::What::stream, &Damage::what), 1) << text_of(report);
    EXPECT_EQ(report.gaps, 1u);
    for (const Damage& damage : report.damage) EXPECT_EQ(damage.recordings, std::vector<std::uint64_t>{3});
}

TEST(Verify, DocumentsOfIndexAndSegmentsMustAgree) {
    TestStore store;
    Index::Batch batch;
    Recording altered = store.recordings_[1];
    altered.ani = "5551234";
    batch.recordings.push_back(altered);
    ASSERT_TRUE(store.index->put(batch));
    EXPECT_EQ(only(*verify(*store.index, store.segments()), Damage::What::document).recordings,
              std::vector<std::uint64_t>{2});
    ASSERT_TRUE(store.index->purge(2, {}));
    EXPECT_EQ(only(*verify(*store.index, store.segments()), Damage::What::document).recordings,
              std::vector<std::uint64_t>{2});
    altered.ident = 5000;
    batch.recordings = {store.recordings_[1], altered};
    ASSERT_TRUE(store.index->put(batch));
    const auto report = *verify(*store.index, store.segments());
    EXPECT_EQ(std::ranges::count(report.damage, Damage::What::document, &Damage::what), 1) << text_of(report);
    EXPECT_EQ(std::ranges::count(report.damage, Damage::What::numbers, &Damage::what), 1) << text_of(report);
}

TEST(Verify, EarlierCopiesFromBeforeAWriteErrorAreNoDamage) {
    TestStore store;
    // As settle() leaves them: the same chunk in a later place, to which the index points.
    const ChunkEntry first = store.chunks[30];
    store.put_chunk(first.stream_id, first.chunk_number);
    store.finish_batch();
    const auto report = *verify(*store.index, store.segments());
    EXPECT_TRUE(report.whole()) << text_of(report);
    EXPECT_EQ(report.superseded, 1u);
    // A damaged copy that nothing refers to is a remnant.
    store.close();
    store.change(first, 500);
    const auto damaged = verified(store);
    EXPECT_TRUE(damaged.whole()) << text_of(damaged);
    EXPECT_EQ(damaged.remnants, 1u);
}

TEST(Verify, APurgedRecordingMayLeaveChunksButNoEntry) {
    TestStore store;
    const std::vector<std::uint64_t> streams{TestStore::stream_of(2, Side::device), TestStore::stream_of(2, Side::far)};
    store.put_purge(2, streams);
    store.finish_batch();
    EXPECT_EQ(only(*verify(*store.index, store.segments()), Damage::What::document).recordings,
              std::vector<std::uint64_t>{2});
    ASSERT_TRUE(store.index->purge(2, streams));
    const auto report = *verify(*store.index, store.segments());
    EXPECT_TRUE(report.whole()) << text_of(report);
    EXPECT_EQ(report.purged, 1u);
    EXPECT_EQ(report.recordings, 4u);
}

TEST(Verify, LittleMemoryGivesTheSameAnswer) {
    TestStore store(60);  // three segments
    store.close();
    for (std::size_t at = 100; at < store.chunks.size(); at += 400) store.change(store.chunks[at], 700);
    const auto at_once = verified(store);
    EXPECT_EQ(at_once.damage_in_all, (store.chunks.size() - 100 + 399) / 400);
    VerifyOptions little;
    little.chunks_at_once = 1;
    EXPECT_EQ(text_of(verified(store, little)), text_of(at_once));
}

TEST(Verify, WhatIsNoStoreCannotBeRead) {
    const TemporaryDirectory directory;
    EXPECT_FALSE(verify_store(directory.path()));
    EXPECT_FALSE(verify_store("/nowhere"));
}

// Blocks that the disk refuses to give: each costs what lies in it, and is told.
TEST(Scan, BlocksThatCannotBeReadAreToldAndPassedOver) {
    TestStore store;
    store.close();
    const std::string file = segment_path(store.segments(), 1);
    std::uint64_t sealed = 0;
    auto count = [&](std::uint64_t, const RecordHeader&, auto) {
        ++sealed;
        return Result<>{};
    };
    ASSERT_TRUE(scan_segment(file, 0, count));
    const std::uint64_t all = std::exchange(sealed, 0);
    const std::uint64_t bad = align_up(store.chunks[40].offset, kBlockBytes);
    std::vector<std::string> told;
    ScanOptions options;
    options.on_damage = [&](std::uint64_t, const std::string& reason) { told.push_back(reason); };
    options.read_at = [&](int from, void* into, std::size_t bytes, std::int64_t offset) -> std::int64_t {
        const auto at = static_cast<std::uint64_t>(offset);
        if (at >= bad && at < bad + 2 * kBlockBytes) {
            errno = EIO;
            return -1;
        }
        if (at < bad) bytes = std::min<std::uint64_t>(bytes, bad - at);
        return pread(from, into, bytes, offset);
    };
    const auto scanned = scan_segment(file, 0, count, options);
    ASSERT_TRUE(scanned) << scanned.error().message;
    EXPECT_LT(sealed, all);
    EXPECT_GE(sealed, all - 5);
    EXPECT_EQ(std::ranges::count(told, "cannot be read: Input/output error"), 1);
    EXPECT_EQ(scanned->used_bytes, scanned->file_bytes);
}

}  // namespace
}  // namespace spantape
