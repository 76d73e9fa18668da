// SPDX-License-Identifier: AGPL-3.0-or-later
// Reads segments: single chunks by position, and whole segments in order (recovery, rebuild). Any thread; each
// SegmentReader belongs to one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/segment/format.h"

namespace spantape {

// One stored frame, payload a view into the chunk.
struct StoredFrame {
    std::uint16_t sequence = 0;
    std::uint8_t payload_type = 0;
    bool marker = false;
    std::uint32_t timestamp = 0;
    TimeNs arrival_ns = 0;
    std::span<const std::uint8_t> payload;
};

// A chunk read back, owning its bytes.
struct Chunk {
    ChunkHeader header;
    std::vector<std::byte> body;
    // Calls visit for each frame in order; false when the body is malformed (and stops there). Gap and blackout marks
    // are passed over.
    bool for_each_frame(const std::function<void(const StoredFrame&)>& visit) const;
};

// The chunk in a sealed audio record (bytes from its header on). Copies the body.
Result<Chunk> parse_chunk(std::span<const std::byte> record);

class SegmentReader {
public:
    explicit SegmentReader(std::string directory);
    ~SegmentReader();
    // Verifies the seal. An error names segment, offset and reason.
    Result<Chunk> read(const ChunkEntry& entry);

private:
    struct State;
    std::unique_ptr<State> state_;
};

struct RecoverySummary {
    std::uint64_t segments = 0, chunks = 0, recordings = 0;
    std::uint64_t damaged_records = 0;  // skipped: torn or unsealed
};
// Puts back what the index lacks: scans the segments from the index's watermark on, indexes every sealed record, then
// turns each unfinished recording into an interrupted one (stop = its last frame; streams found by session where the
// document lacks them; audio without any document becomes a recording of its own). Gives what it found, and the
// number of the next segment to write.
struct RecoveryResult {
    RecoverySummary summary;
    std::uint32_t next_segment = 0;
};
Result<RecoveryResult> recover(const std::string& segment_directory, Index& index);

}  // namespace spantape
