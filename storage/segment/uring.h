// SPDX-License-Identifier: AGPL-3.0-or-later
// What the segment writer needs of a disk: files made and cut, writes and syncs started and completed. Small and
// abstract, so that tests can put a faulty or forgetful disk beneath the writer. The real one is io_uring; its
// implementation is the only file that knows liburing.
// A BlockDevice belongs to the thread of its SegmentWriter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "capture/base/result.h"

namespace spantape {

class BlockDevice {
public:
    struct Completion {
        std::uint64_t tag = 0;
        std::int64_t result = 0;  // bytes written, 0 for a sync, or -errno
    };

    virtual ~BlockDevice() = default;

    // Memory that writes are taken from, block-aligned; must stay untouched between start_write and its completion.
    [[nodiscard]] virtual std::span<std::byte> buffer(std::size_t index) = 0;

    // Makes a file that must not exist yet, pre-allocates `bytes`, writes its first block and makes its name durable.
    // Leaves nothing behind when it fails. Gives a handle.
    virtual Result<int> create(const std::string& path, std::uint64_t bytes,
                               std::span<const std::byte> first_block) = 0;
    virtual Result<> truncate(int file, std::uint64_t bytes) = 0;
    virtual void close(int file) = 0;
    virtual void remove(const std::string& path) = 0;

    // offset, from and bytes are multiples of kBlockBytes.
    virtual void start_write(int file, std::size_t buffer_index, std::size_t from, std::size_t bytes,
                             std::uint64_t offset, std::uint64_t tag) = 0;
    // fdatasync: covers the writes that had completed before.
    virtual void start_sync(int file, std::uint64_t tag) = 0;
    // One completion, in any order; nothing when there is none now. With wait: only when none is under way at all.
    virtual std::optional<Completion> next(bool wait) = 0;
    // Readable when there are completions; -1: none to poll.
    [[nodiscard]] virtual int completion_fd() const { return -1; }
};

// io_uring with registered buffers (not registered where RLIMIT_MEMLOCK forbids it). Files are opened O_DIRECT where
// the file system can.
Result<std::unique_ptr<BlockDevice>> open_uring_device(std::size_t buffers, std::size_t buffer_bytes);

}  // namespace spantape
