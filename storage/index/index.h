// SPDX-License-Identifier: AGPL-3.0-or-later
// The index: recordings, their chunks, every searchable field, counters that must not repeat. RocksDB, known only in
// this folder. Thread-safe: the writer puts, control and exporters read.
//
// Order of truth: an entry is put here only after the bytes that it points to are durable in a segment.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/recording.h"

namespace spantape {

// Where one audio chunk lies.
struct ChunkEntry {
    std::uint64_t stream_id = 0;
    std::uint32_t chunk_number = 0;  // 0, 1, 2 … within the stream
    std::uint32_t segment = 0;       // number of the segment file
    std::uint64_t offset = 0;        // of the chunk header, bytes
    std::uint32_t bytes = 0;         // header and body
    std::uint32_t frames = 0;
    TimeNs first_ns = 0, last_ns = 0;  // arrival of its first and last frame
};

// How far the segments have been indexed: recovery scans from here.
struct Watermark {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
};

struct RecordingQuery {
    // Column (UNIQUEFIELD name, lower case) and the exact value, all must match (letter case matters in values).
    std::vector<std::pair<std::string, std::string>> equal;
    TimeNs from_ns = INT64_MIN;  // start within [from, to]
    TimeNs to_ns = INT64_MAX;
    std::size_t limit = 1000;
};

class Index {
public:
    // Opens or creates the index in `directory`. One process at a time.
    static Result<std::unique_ptr<Index>> open(const std::string& directory);
    // As it is at this moment, also while another process has it open; later changes are not seen. put() and
    // take_numbers() give errors. An error when there is no index in `directory`.
    static Result<std::unique_ptr<Index>> open_read_only(const std::string& directory);
    virtual ~Index() = default;

    struct Batch {
        std::vector<ChunkEntry> chunks;
        std::vector<Recording> recordings;
        std::optional<Watermark> watermark;
    };
    // All of it or nothing. A recording replaces the one with the same ident, and its field entries with it.
    virtual Result<> put(const Batch& batch) = 0;

    virtual Result<std::optional<Recording>> recording(std::uint64_t ident) const = 0;
    // In chunk order.
    virtual Result<std::vector<ChunkEntry>> chunks(std::uint64_t stream_id) const = 0;
    // Newest start first. Uses the most selective field index where there is one, else the time index.
    virtual Result<std::vector<Recording>> search(const RecordingQuery& query) const = 0;
    // Those whose state is `recording`: at start, what a crash interrupted.
    virtual Result<std::vector<Recording>> unfinished() const = 0;
    virtual Result<Watermark> watermark() const = 0;

    // Takes `count` numbers of a series that never repeats, across restarts and crashes ("ident", "global_call",
    // "session", "boot"); gives the first. Starts at 1. Durable before it returns.
    virtual Result<std::uint64_t> take_numbers(const std::string& series, std::uint64_t count) = 0;
};

}  // namespace spantape
