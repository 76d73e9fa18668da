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
#include "storage/keyring.h"
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

// The chunk in a sealed audio record (bytes from its header on), decrypted with its key from the keyring. Copies the
// body. Errors: damaged, no chunk, encrypted and no keyring or no such key there, altered.
Result<Chunk> parse_chunk(std::span<const std::byte> record, const Keyring* keyring = nullptr);

// What it takes to read a store's audio.
struct SegmentStore {
    SegmentStore(std::string segments, std::shared_ptr<const Keyring> keys = {})
        : directory(std::move(segments)), keyring(std::move(keys)) {}
    std::string directory;                   // of the segments
    std::shared_ptr<const Keyring> keyring;  // none: what is encrypted cannot be read
};

// The recording in a sealed record of kind recording.
Result<Recording> parse_document(std::span<const std::byte> record);

class SegmentReader {
public:
    explicit SegmentReader(SegmentStore store);
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
// Puts back what the index lacks: scans the segments from the index's watermark on, indexes every sealed record, takes
// out what purge records forbid, then turns each unfinished recording into an interrupted one (stop = its last frame;
// streams found by session where the document lacks them; audio without any document becomes a recording of its own).
// A document that is called stored, and was not announced, becomes an interrupted one where its audio is incomplete.
// The index's number series go past every number that was found. Gives what it found, and the number of the next
// segment to write. With an empty index, which begins at the beginning, all of it is made anew.
struct RecoveryResult {
    RecoverySummary summary;
    std::uint32_t next_segment = 0;
};
using RecoveryProgress = std::function<void(std::uint32_t segment)>;  // called before each segment that is scanned
Result<RecoveryResult> recover(const SegmentStore& segments, Index& index, const RecoveryProgress& progress = {});

}  // namespace spantape
