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
#include <vector>

#include "capture/base/result.h"
#include "storage/keyring.h"
#include "storage/segment/format.h"

namespace spantape {

struct SegmentOptions {
    std::string directory;                       // segments live here as NNNNNNNN.seg
    std::uint64_t segment_bytes = 256ull << 20;  // pre-allocated
    std::size_t buffers = 64;                    // of 1 MiB each; held until durable: fewer leave the disk idle
    std::uint32_t core_id = 1;                   // into the segment headers
};

struct RecordPosition {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
};

// After an I/O error what was not durable lies elsewhere: a record that commit() placed at `segment`, `offset` + d,
// d < bytes, is now at `to_segment`, `to_offset` + d.
struct MovedRange {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint32_t to_segment = 0;
    std::uint64_t to_offset = 0;
};

class BlockDevice;

class SegmentWriter {
public:
    // first_segment: number of the first segment to make (one past the newest that exists). The directory is made
    // when it is missing; the first segment with the first record.
    static Result<std::unique_ptr<SegmentWriter>> open(const SegmentOptions& options, std::uint32_t first_segment);
    // The same over a given disk, which has options.buffers buffers of kBufferBytes.
    static Result<std::unique_ptr<SegmentWriter>> open(const SegmentOptions& options, std::uint32_t first_segment,
                                                       std::unique_ptr<BlockDevice> device);
    // Makes durable what is left, as far as the disk lets it, and gives the last segment's unused tail back.
    virtual ~SegmentWriter() = default;

    // Room for one record of `bytes` (header included), zero-filled or not as it comes; the caller writes the record
    // in place, with kind, header_bytes, total_bytes (at most `bytes`) and what else is his in its RecordHeader, and
    // calls commit(); nothing else between the two. After an error nothing is reserved. Rolls over to the next
    // segment when this one is full. May wait for a buffer.
    virtual Result<std::span<std::byte>> reserve(std::uint32_t bytes) = 0;
    // Seals the record (length and CRC-32C into its header; see format.h) and says where it lies. With a key, its body
    // is encrypted before, where it lies; the nonce is the caller's to set.
    virtual RecordPosition commit(const DataKey* key) = 0;
    RecordPosition commit() { return commit(nullptr); }
    // The header of the record that commit() sealed last.
    [[nodiscard]] virtual const RecordHeader& committed() const = 0;

    // Starts writing whatever is buffered (padded to a block) and a sync after it. Returns at once; `position` of the
    // last commit before this call is durable once durable_epoch() >= the returned number.
    virtual Result<std::uint64_t> flush() = 0;
    // Reaps completions without waiting (wait = false) or until all flushes so far are durable (wait = true).
    // An I/O error, here or in reserve() and flush(), names the segment, the offset and errno; the writer goes on in
    // a new segment and writes again what was not durable, beginning with the next call.
    virtual Result<> reap(bool wait) = 0;
    // What lies elsewhere since the last call, in the order in which it happened: to be applied to positions of
    // records that were not yet known durable.
    virtual std::vector<MovedRange> take_moved() = 0;
    // To poll for readability while a flush is under way (reap then has something to do); -1: nothing to poll.
    [[nodiscard]] virtual int completion_fd() const = 0;
    [[nodiscard]] virtual std::uint64_t durable_epoch() const = 0;

    // Everything before this position (in segment order) was handed out by reserve().
    [[nodiscard]] virtual RecordPosition position() const = 0;
    // Largest record that reserve() takes.
    static constexpr std::uint32_t kMaxRecordBytes = 512u << 10;
    static constexpr std::size_t kBufferBytes = 1u << 20;
};

}  // namespace spantape
