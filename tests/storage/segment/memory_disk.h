// SPDX-License-Identifier: AGPL-3.0-or-later
// A disk in memory that completes operations late and in any order, fails as told, tears what fails, and at a power
// cut keeps what was synced and any of the rest: each block of what was written, each cut and each removal of a file by
// itself. Outlives the writer that runs on it.
#pragma once

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "storage/segment/format.h"
#include "storage/segment/uring.h"
#include "storage/segment/writer.h"

namespace spantape {

class MemoryDisk {
public:
    enum class Operation { create, write, sync, truncate };
    static constexpr int kShort = -1;  // of a write: some of it is written, and no error

    explicit MemoryDisk(std::uint64_t seed) : random(seed) {}

    struct File {
        std::string path;
        std::vector<std::byte> now;      // what a reader sees
        std::vector<std::byte> durable;  // what survives for certain
        bool open = true;
        bool removed = false;
        std::vector<std::byte> cut;  // what lay behind the end before it was cut; the cut may not be durable
    };

    // Asked for each operation; not 0: it fails with this errno.
    std::function<int(Operation)> fault = [](Operation) { return 0; };
    bool lazy = true;  // next(wait = false) may answer "nothing yet"

    std::vector<File> files;
    std::mt19937_64 random;

    std::uint64_t below(std::uint64_t limit) {
        return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(random);
    }

    // The files as after a power cut, into a directory of the real file system.
    void dump_after_power_cut(const std::string& directory) {
        for (const File& file : files) {
            if (file.removed && below(2) == 0) continue;
            std::vector<std::byte> image = file.durable;
            image.resize(std::min(file.now.size(), file.durable.size()));
            for (std::size_t at = 0; at < image.size(); at += kBlockBytes) {
                const std::size_t bytes = std::min<std::size_t>(kBlockBytes, image.size() - at);
                if (below(2) == 0) std::memcpy(image.data() + at, file.now.data() + at, bytes);
            }
            if (below(2) == 0) image.insert(image.end(), file.cut.begin(), file.cut.end());
            write_file(directory, file.path, image);
        }
    }
    void dump(const std::string& directory) {
        for (const File& file : files) {
            if (!file.removed) write_file(directory, file.path, file.now);
        }
    }

private:
    static void write_file(const std::string& directory, const std::string& path, const std::vector<std::byte>& bytes) {
        std::ofstream out(directory + path.substr(path.rfind('/')), std::ios::binary);
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
};

class MemoryDevice final : public BlockDevice {
public:
    MemoryDevice(MemoryDisk& disk, std::size_t buffers)
        : disk_(disk), memory_(buffers, std::vector<std::byte>(SegmentWriter::kBufferBytes, std::byte{0xee})) {}

    std::span<std::byte> buffer(std::size_t index) override { return memory_.at(index); }

    Result<int> create(const std::string& path, std::uint64_t bytes, std::span<const std::byte> first_block) override {
        for (const auto& file : disk_.files) {
            if (file.path == path && !file.removed) return fail("{}: exists", path);
        }
        if (const int error = disk_.fault(MemoryDisk::Operation::create); error > 0)
            return fail("{}: {}", path, strerror(error));
        MemoryDisk::File file;
        file.path = path;
        file.now.resize(bytes);
        std::ranges::copy(first_block, file.now.begin());
        file.durable.resize(bytes);
        disk_.files.push_back(std::move(file));
        return static_cast<int>(disk_.files.size() - 1);
    }
    Result<> truncate(int file, std::uint64_t bytes) override {
        EXPECT_TRUE(at(file).open);
        for (const Pending& operation : pending_) EXPECT_NE(operation.file, file) << "cut with operations under way";
        if (const int error = disk_.fault(MemoryDisk::Operation::truncate); error > 0)
            return fail("cut: {}", strerror(error));
        const auto& now = at(file).now;
        if (bytes < now.size()) at(file).cut.assign(now.begin() + static_cast<std::ptrdiff_t>(bytes), now.end());
        at(file).now.resize(bytes);
        at(file).durable.resize(bytes);
        return {};
    }
    void close(int file) override {
        EXPECT_TRUE(at(file).open);
        at(file).open = false;
    }
    void remove(const std::string& path) override {
        for (auto& file : disk_.files) file.removed |= file.path == path;
    }

    void start_write(int file, std::size_t buffer_index, std::size_t from, std::size_t bytes, std::uint64_t offset,
                     std::uint64_t tag) override {
        EXPECT_EQ(from % kBlockBytes, 0u);
        EXPECT_EQ(bytes % kBlockBytes, 0u);
        EXPECT_EQ(offset % kBlockBytes, 0u);
        EXPECT_GE(offset, kBlockBytes) << "the header's block is not the writer's";
        EXPECT_LE(offset + bytes, at(file).now.size());
        EXPECT_TRUE(at(file).open);
        Pending write{false, file, offset, tag, buffer(buffer_index).data() + from, {}};
        write.bytes.assign(write.source, write.source + bytes);
        pending_.push_back(std::move(write));
    }
    void start_sync(int file, std::uint64_t tag) override {
        EXPECT_TRUE(at(file).open);
        pending_.push_back({true, file, 0, tag, nullptr, at(file).now});
    }

    std::optional<Completion> next(bool wait) override {
        if (pending_.empty() || (!wait && disk_.lazy && disk_.below(2) == 0)) return std::nullopt;
        const auto which = pending_.begin() + static_cast<std::ptrdiff_t>(disk_.below(pending_.size()));
        Pending done = std::move(*which);
        pending_.erase(which);
        return Completion{done.tag, done.sync ? complete_sync(done) : complete_write(done)};
    }

private:
    struct Pending {
        bool sync;
        int file;
        std::uint64_t offset;
        std::uint64_t tag;
        const std::byte* source;
        std::vector<std::byte> bytes;  // write: what; sync: the file as it was then
    };

    MemoryDisk::File& at(int file) { return disk_.files.at(static_cast<std::size_t>(file)); }

    std::int64_t complete_sync(const Pending& done) {
        if (const int error = disk_.fault(MemoryDisk::Operation::sync); error > 0) return -error;
        at(done.file).durable = done.bytes;
        return 0;
    }
    std::int64_t complete_write(const Pending& done) {
        EXPECT_EQ(std::memcmp(done.source, done.bytes.data(), done.bytes.size()), 0) << "bytes changed under a write";
        const int error = disk_.fault(MemoryDisk::Operation::write);
        const std::size_t bytes = error == 0 ? done.bytes.size() : disk_.below(done.bytes.size());
        std::memcpy(at(done.file).now.data() + done.offset, done.bytes.data(), bytes);
        return error <= 0 ? static_cast<std::int64_t>(bytes) : -error;
    }

    MemoryDisk& disk_;
    std::vector<std::vector<std::byte>> memory_;
    std::vector<Pending> pending_;
};

}  // namespace spantape
