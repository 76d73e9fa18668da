// SPDX-License-Identifier: AGPL-3.0-or-later
// Appends records (audio chunks, recording documents) to segments through io_uring: pre-allocated files, O_DIRECT,
// registered 1 MiB buffers, several writes in flight, fdatasync before anything is called durable.
// One SegmentWriter per writer thread; not thread-safe. The only users of io_uring are this class and uring.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "capture/base/result.h"
#include "storage/segment/format.h"

namespace spantape {

struct SegmentOptions {
    std::string directory;                       // segments live here as NNNNNNNN.seg
    std::uint64_t segment_bytes = 256ull << 20;  // pre-allocated
    std::size_t buffers = 8;                     // of 1 MiB each
};

struct RecordPosition {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
};

class SegmentWriter {
public:
    // first_segment: number of the first segment to make (one past the newest that exists).
    static Result<std::unique_ptr<SegmentWriter>> open(const SegmentOptions& options, std::uint32_t first_segment);
    virtual ~SegmentWriter() = default;

    // Room for one record of `bytes` (header included), zero-filled or not as it comes; the caller writes the record
    // in place and calls commit(). Rolls over to the next segment when this one is full. May wait for a buffer.
    virtual Result<std::span<std::byte>> reserve(std::uint32_t bytes) = 0;
    // Seals the record (length and CRC-32C into its header; see format.h) and says where it lies.
    virtual RecordPosition commit() = 0;

    // Starts writing whatever is buffered (padded to a block) and a sync after it. Returns at once; `position` of the
    // last commit before this call is durable once durable_epoch() >= the returned number.
    virtual Result<std::uint64_t> flush() = 0;
    // Reaps completions without waiting (wait = false) or until all flushes so far are durable (wait = true).
    // An I/O error names the segment, the offset and errno; the writer goes on in a new segment and writes again
    // what was not durable.
    virtual Result<> reap(bool wait) = 0;
    [[nodiscard]] virtual std::uint64_t durable_epoch() const = 0;

    // Everything before this position (in segment order) was handed out by reserve().
    [[nodiscard]] virtual RecordPosition position() const = 0;
    // Largest record that reserve() takes.
    static constexpr std::uint32_t kMaxRecordBytes = 512u << 10;
};

}  // namespace spantape
