// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/writer.h"

#include <cerrno>
#include <fstream>
#include <map>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/storage/segment/helpers.h"
#include "tests/storage/segment/memory_disk.h"

namespace spantape {
namespace {

std::unique_ptr<SegmentWriter> open_writer(const SegmentOptions& options, std::uint32_t first = 1) {
    auto writer = SegmentWriter::open(options, first);
    EXPECT_TRUE(writer) << (writer ? "" : writer.error().message);
    return writer ? std::move(*writer) : nullptr;
}

SegmentOptions small(const std::string& directory) {
    SegmentOptions options;
    options.directory = directory;
    options.segment_bytes = 8u << 20;
    return options;
}

TEST(SegmentWriter, WhatIsFlushedIsReadBackByteForByte) {
    const TemporaryDirectory directory;
    auto writer = open_writer(small(directory.path()));
    std::vector<ChunkEntry> entries;
    for (std::uint32_t number = 0; number < 50; ++number) entries.push_back(*append_chunk(*writer, 5, number));
    const auto epoch = writer->flush();
    ASSERT_TRUE(epoch);
    EXPECT_LT(writer->durable_epoch(), *epoch);
    ASSERT_TRUE(writer->reap(true));
    EXPECT_GE(writer->durable_epoch(), *epoch);
    SegmentReader reader(directory.path());
    for (const ChunkEntry& entry : entries) expect_chunk(reader, entry);
}

TEST(SegmentWriter, AFlushWithNothingNewWritesNothing) {
    const TemporaryDirectory directory;
    auto writer = open_writer(small(directory.path()));
    EXPECT_EQ(*writer->flush(), 0u);
    EXPECT_TRUE(list_segments(directory.path())->empty());
    ASSERT_TRUE(append_chunk(*writer, 5, 0));
    const auto epoch = writer->flush();
    ASSERT_TRUE(writer->reap(true));
    const RecordPosition position = writer->position();
    for (int i = 0; i < 10; ++i) EXPECT_EQ(*writer->flush(), *epoch);
    EXPECT_EQ(writer->position().offset, position.offset);
}

TEST(SegmentWriter, RecordsOfEverySizeLieAlignedAndOneBehindTheOther) {
    const TemporaryDirectory directory;
    auto writer = open_writer(small(directory.path()));
    std::vector<ChunkEntry> entries;
    std::uint64_t end = 0;
    for (std::uint32_t number = 0; number < 60; ++number) {
        const auto entry = append_chunk(*writer, 6, 0, 1 + number * 49 % 2900);
        ASSERT_TRUE(entry);
        EXPECT_EQ(entry->offset % kRecordAlignment, 0u);
        if (!entries.empty() && entry->segment == entries.back().segment) {
            EXPECT_GE(entry->offset, end);
        }
        end = entry->offset + entry->bytes;
        entries.push_back(*entry);
        if (number % 7 == 0) {
            ASSERT_TRUE(writer->flush());
        }
    }
    ASSERT_TRUE(writer->flush());
    ASSERT_TRUE(writer->reap(true));
    SegmentReader reader(directory.path());
    for (const ChunkEntry& entry : entries) expect_chunk(reader, entry);
}

TEST(SegmentWriter, RefusesRecordsThatNoBufferHolds) {
    const TemporaryDirectory directory;
    auto writer = open_writer(small(directory.path()));
    EXPECT_FALSE(writer->reserve(SegmentWriter::kMaxRecordBytes + 1));
    EXPECT_FALSE(writer->reserve(10));
    EXPECT_TRUE(writer->reserve(SegmentWriter::kMaxRecordBytes));
}

TEST(SegmentWriter, FullSegmentsAreFollowedByTheNextAndCutToTheirLength) {
    const TemporaryDirectory directory;
    std::vector<ChunkEntry> entries;
    {
        auto writer = open_writer(small(directory.path()), 41);
        for (std::uint32_t number = 0; number < 300; ++number) {
            entries.push_back(*append_chunk(*writer, 5, number, 400));  // 300 of 70 kB: three segments
        }
        EXPECT_EQ(std::filesystem::file_size(segment_path(directory.path(), entries.back().segment)), 8u << 20);
    }
    const auto segments = list_segments(directory.path());
    ASSERT_TRUE(segments);
    EXPECT_EQ(*segments, (std::vector<std::uint32_t>{41, 42, 43}));
    std::map<std::uint32_t, std::uint64_t> ends;
    for (const ChunkEntry& entry : entries) ends[entry.segment] = entry.offset + entry.bytes;
    for (const std::uint32_t segment : *segments) {
        struct stat status{};
        ASSERT_EQ(stat(segment_path(directory.path(), segment).c_str(), &status), 0);
        EXPECT_EQ(static_cast<std::uint64_t>(status.st_size), align_up(ends[segment], kBlockBytes));
        EXPECT_LE(status.st_blocks * 512, status.st_size + 64 * 1024);
    }
    SegmentReader reader(directory.path());
    for (const ChunkEntry& entry : entries) expect_chunk(reader, entry);
}

TEST(SegmentWriter, MuchMoreThanTheBuffersHoldGoesThrough) {
    const TemporaryDirectory directory;
    SegmentOptions options = small(directory.path());
    options.buffers = 2;
    options.segment_bytes = 64u << 20;
    auto writer = open_writer(options);
    std::vector<ChunkEntry> entries;
    for (std::uint32_t number = 0; number < 1000; ++number) entries.push_back(*append_chunk(*writer, 5, number, 300));
    ASSERT_TRUE(writer->flush());
    ASSERT_TRUE(writer->reap(true));
    SegmentReader reader(directory.path());
    for (std::size_t i = 0; i < entries.size(); i += 17) expect_chunk(reader, entries[i]);
}

TEST(SegmentWriter, AReaderIsToldWhatAndWhereWhenAnEntryIsWrong) {
    const TemporaryDirectory directory;
    auto writer = open_writer(small(directory.path()));
    const ChunkEntry entry = *append_chunk(*writer, 5, 9);
    ASSERT_TRUE(writer->flush());
    ASSERT_TRUE(writer->reap(true));
    SegmentReader reader(directory.path());
    for (const auto& change : std::vector<std::function<void(ChunkEntry&)>>{
             [](ChunkEntry& wrong) { wrong.stream_id = 6; }, [](ChunkEntry& wrong) { wrong.chunk_number = 8; },
             [](ChunkEntry& wrong) { wrong.offset += 64; }, [](ChunkEntry& wrong) { wrong.offset = 1ull << 40; },
             [](ChunkEntry& wrong) { wrong.offset = ~0ull; }, [](ChunkEntry& wrong) { wrong.segment = 77; },
             [](ChunkEntry& wrong) { wrong.bytes = 3; }, [](ChunkEntry& wrong) { wrong.bytes = ~0u; },
             [](ChunkEntry& wrong) { wrong.bytes += 64; }}) {
        ChunkEntry wrong = entry;
        change(wrong);
        const auto chunk = reader.read(wrong);
        ASSERT_FALSE(chunk);
        EXPECT_NE(chunk.error().message.find(".seg at "), std::string::npos) << chunk.error().message;
    }
    expect_chunk(reader, entry);
}

// --- faults
// -----------------------------------------------------------------------------------------------------------

SegmentOptions on_memory(std::size_t buffers = 4) {
    SegmentOptions options;
    options.directory = "/disk";
    options.segment_bytes = 2u << 20;
    options.buffers = buffers;
    return options;
}
std::unique_ptr<SegmentWriter> open_on(MemoryDisk& disk, std::size_t buffers = 4, std::uint32_t first = 1) {
    return *SegmentWriter::open(on_memory(buffers), first, std::make_unique<MemoryDevice>(disk, buffers));
}

// Each operation of a run in turn fails once: the error names the place, and afterwards all is there all the same.
TEST(SegmentWriterFaults, WhicheverOperationFailsNothingIsLost) {
    constexpr std::uint64_t kNone = 1'000'000;  // the first run fails nowhere and counts
    std::uint64_t operations = 0;
    for (std::uint64_t failing = kNone; failing == kNone || failing < operations;
         failing = (failing + 1) % (kNone + 1)) {
        SCOPED_TRACE(failing);
        MemoryDisk disk(1);  // always the same until the failure
        std::uint64_t count = 0;
        disk.fault = [&](MemoryDisk::Operation what) {
            if (what == MemoryDisk::Operation::truncate) return 0;  // its failure is nobody's loss, and not said
            return count++ == failing ? EIO : 0;
        };
        auto writer = open_on(disk);
        std::vector<ChunkEntry> entries;
        std::vector<std::string> errors;
        auto tried = [&](const auto& result) {
            if (!result) errors.push_back(result.error().message);
            return result.has_value();
        };
        for (std::uint32_t number = 0; number < 60; ++number) {
            auto entry = append_chunk(*writer, 5, number, 400);
            if (!tried(entry)) entry = append_chunk(*writer, 5, number, 400);
            ASSERT_TRUE(entry) << entry.error().message;
            apply_moves(writer->take_moved(), entries);  // of this reserve: the record itself was placed after it
            entries.push_back(*entry);
            if (number % 5 == 4 && !tried(writer->flush())) {
                ASSERT_TRUE(writer->flush());
            }
            tried(writer->reap(false));
            apply_moves(writer->take_moved(), entries);
        }
        if (!tried(writer->flush())) {
            ASSERT_TRUE(writer->flush());
        }
        if (!tried(writer->reap(true))) {
            ASSERT_TRUE(writer->reap(true));
        }
        apply_moves(writer->take_moved(), entries);
        writer.reset();
        if (failing == kNone) {
            operations = count;
            ASSERT_TRUE(errors.empty());
        } else {
            ASSERT_EQ(errors.size(), 1u);
            EXPECT_NE(errors.front().find("/disk/0000"), std::string::npos) << errors.front();
            EXPECT_NE(errors.front().find("Input/output error"), std::string::npos) << errors.front();
        }
        const TemporaryDirectory directory;
        disk.dump(directory.path());
        SegmentReader reader(directory.path());
        for (const ChunkEntry& entry : entries) expect_chunk(reader, entry);
    }
    EXPECT_GT(operations, 20u);
}

// Random operations on a disk that fails at random, a power cut at a random moment: whatever was called durable is
// there, where the writer said, and recovery finds every bit of it.
TEST(SegmentWriterFaults, WhatWasCalledDurableSurvivesThePowerCut) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t round = 0; round < 50; ++round) {
        SCOPED_TRACE(round);
        MemoryDisk disk(seed + round);
        const std::uint64_t rarity = disk.below(2) == 0 ? 0 : 5 + disk.below(60);
        disk.fault = [&](MemoryDisk::Operation) { return rarity > 0 && disk.below(rarity) == 0 ? ENOSPC : 0; };
        auto writer = open_on(disk, 2 + disk.below(6));
        std::vector<ChunkEntry> entries;
        std::vector<std::pair<std::uint64_t, std::size_t>> epochs;  // and how many entries each covers
        const std::uint64_t steps = 20 + disk.below(400);
        for (std::uint64_t i = 0; i < steps; ++i) {
            const std::uint64_t what = disk.below(10);
            if (what < 6) {
                const auto frames = static_cast<std::uint32_t>(1 + disk.below(disk.below(8) == 0 ? 2900 : 40));
                auto entry = append_chunk(*writer, 5, static_cast<std::uint32_t>(entries.size()), frames);
                apply_moves(writer->take_moved(), entries);
                if (entry) entries.push_back(*entry);
            } else if (what < 8) {
                const auto epoch = writer->flush();
                if (epoch) epochs.emplace_back(*epoch, entries.size());
            } else {
                static_cast<void>(writer->reap(what == 9 && disk.below(4) == 0));
            }
            apply_moves(writer->take_moved(), entries);
        }
        std::size_t durable = 0;
        for (const auto& [epoch, covers] : epochs) {
            if (epoch <= writer->durable_epoch()) durable = std::max(durable, covers);
        }
        const TemporaryDirectory directory;
        disk.dump_after_power_cut(directory.path());
        disk.fault = [](MemoryDisk::Operation) { return 0; };
        entries.resize(durable);
        SegmentReader reader(directory.path());
        for (const ChunkEntry& entry : entries) expect_chunk(reader, entry);

        std::map<std::uint32_t, std::pair<std::uint32_t, std::uint64_t>> found;  // by chunk number: the last place
        const auto segments = list_segments(directory.path());
        for (const std::uint32_t segment : *segments) {
            auto note = [&](std::uint64_t offset, const RecordHeader&, std::span<const std::byte> record) -> Result<> {
                const auto chunk = parse_chunk(record);
                if (chunk) found[chunk->header.chunk_number] = {segment, offset};
                return {};
            };
            ASSERT_TRUE(scan_segment(segment_path(directory.path(), segment), 0, note));
        }
        for (const ChunkEntry& entry : entries) ASSERT_TRUE(found.contains(entry.chunk_number)) << entry.chunk_number;
        if (testing::Test::HasFailure()) return;
    }
}

// A disk of a few megabytes, really full.
class TinyFileSystem {
public:
    explicit TinyFileSystem(const std::string& at, const char* options) : at_(at) {
        mounted_ = mount("tmpfs", at.c_str(), "tmpfs", 0, options) == 0;
    }
    ~TinyFileSystem() {
        if (mounted_) umount2(at_.c_str(), MNT_DETACH);
    }
    TinyFileSystem(const TinyFileSystem&) = delete;
    TinyFileSystem& operator=(const TinyFileSystem&) = delete;
    [[nodiscard]] bool mounted() const { return mounted_; }

private:
    std::string at_;
    bool mounted_ = false;
};

TEST(SegmentWriter, AFullDiskIsReportedAndWritingGoesOnWhenThereIsSpace) {
    const TemporaryDirectory directory;
    const TinyFileSystem disk(directory.path(), "size=24m");
    if (!disk.mounted()) GTEST_SKIP() << "needs root to mount";
    const std::string filler = directory.path() + "/filler";
    write_bytes(filler, std::vector<std::byte>(10u << 20));

    SegmentOptions options = small(directory.path());
    auto writer = open_writer(options);
    std::vector<ChunkEntry> entries;
    std::string error;
    for (std::uint32_t number = 0; error.empty() && number < 1000; ++number) {
        const auto entry = append_chunk(*writer, 5, number, 400);
        if (entry) entries.push_back(*entry);
        if (!entry) error = entry.error().message;
    }
    EXPECT_NE(error.find("00000002.seg"), std::string::npos) << error;
    EXPECT_NE(error.find("No space left"), std::string::npos) << error;
    // What fitted can be made durable while the disk is full.
    ASSERT_TRUE(writer->flush());
    ASSERT_TRUE(writer->reap(true));
    std::filesystem::remove(filler);
    for (std::uint32_t i = 0; i < 60; ++i) {
        const auto entry = append_chunk(*writer, 5, static_cast<std::uint32_t>(entries.size()), 400);
        ASSERT_TRUE(entry) << entry.error().message;
        entries.push_back(*entry);
    }
    ASSERT_TRUE(writer->flush());
    ASSERT_TRUE(writer->reap(true));
    EXPECT_TRUE(writer->take_moved().empty());
    SegmentReader reader(directory.path());
    for (const ChunkEntry& entry : entries) expect_chunk(reader, entry);
}

TEST(SegmentWriter, AMissingRightToWriteIsSaidAtTheStart) {
    const auto writer = SegmentWriter::open(small("/proc/nowhere"), 1);
    ASSERT_FALSE(writer);
    EXPECT_NE(writer.error().message.find("/proc/nowhere"), std::string::npos);
}

}  // namespace
}  // namespace spantape
