// SPDX-License-Identifier: AGPL-3.0-or-later
// Walks a segment from record to record, over padding, unwritten space and damage, and shows every sealed record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/segment/format.h"

namespace spantape {

struct ScanResult {
    std::uint64_t damaged = 0;     // places where something stands that is no sealed record, or that cannot be read
    std::uint64_t used_bytes = 0;  // up to the last block that is not zero
    std::uint64_t file_bytes = 0;
    std::uint32_t core_id = 0;  // from the segment header; 0 when that is damaged
};

struct ScanOptions {
    // Called for each damaged place, in order, with the reason.
    std::function<void(std::uint64_t offset, const std::string& reason)> on_damage;
    // pread(2), for tests of disks that cannot be read everywhere.
    std::function<std::int64_t(int file, void* into, std::size_t bytes, std::int64_t offset)> read_at;
};

// visit: called in order for each sealed record but padding; its error ends the scan. A damaged record is stepped over
// when its header is sound, else the next multiple of 64 with a sealed record of this segment is searched. A block that
// cannot be read counts as damaged, and the scan goes on behind it.
using RecordVisitor = std::function<Result<>(std::uint64_t offset, const RecordHeader&, std::span<const std::byte>)>;
Result<ScanResult> scan_segment(const std::string& path, std::uint64_t from, const RecordVisitor& visit,
                                const ScanOptions& options = {});

// Numbers of the segments in a directory, rising. A missing directory has none.
Result<std::vector<std::uint32_t>> list_segments(const std::string& directory);

}  // namespace spantape
