// SPDX-License-Identifier: AGPL-3.0-or-later
// Proves a store whole, or names what is damaged: every record of every segment, every entry of the index, and each
// against the other, and against the seals that finished recordings carry. Reads only; the store's daemon may run
// meanwhile (what it has not indexed yet is no damage).
//
// Memory: some bytes a segment, some 100 a stream, 24 a recording; of segments that do not agree with the index, 32 for
// each of their chunks, in groups of bounded size. Segments are read once, from front to back; those that do not agree,
// twice.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/segment/reader.h"

namespace spantape {

struct Damage {
    enum class What : std::uint8_t {
        chunk,     // the index promises it, and it is not there whole
        unlisted,  // it is in a segment, sealed, and the index does not know it
        document,  // a recording's, in the segments or in the index
        stream,    // of a recording that is called stored: not all of its audio is there
        segment,   // a place that cannot be read, or a segment's header
        numbers,   // a series of the index stands behind what was given out
    };
    What what = What::chunk;
    std::vector<std::uint64_t> recordings;  // that it concerns, as far as they are known
    std::uint64_t stream_id = 0;            // 0: concerns none
    std::optional<std::uint32_t> chunk_number;
    std::uint32_t segment = 0;  // 0: concerns none
    std::uint64_t offset = 0;
    std::string reason;

    [[nodiscard]] bool same_place(const Damage& other) const {
        return what == other.what && stream_id == other.stream_id && chunk_number == other.chunk_number &&
               segment == other.segment && offset == other.offset;
    }
};
[[nodiscard]] const char* name_of(Damage::What what);

struct VerifyReport {
    std::uint64_t segments = 0, bytes = 0, chunks = 0, frames = 0, streams = 0, recordings = 0;
    std::uint64_t purged = 0;  // recordings that purge records name
    std::uint64_t not_indexed =
        0;                         // sealed chunks behind what is indexed: the next start, or the daemon, takes them in
    std::uint64_t superseded = 0;  // sealed chunks of which a later copy is valid
    std::uint64_t gaps = 0;        // streams of which a chunk is missing between others
    // Places that are no sealed record, and that nothing refers to: what a crash tore before it was announced.
    std::uint64_t remnants = 0;
    std::vector<Damage> damage;  // the first kMostListed of it
    std::uint64_t damage_in_all = 0;
    static constexpr std::size_t kMostListed = 10'000;
    [[nodiscard]] bool whole() const { return damage_in_all == 0; }
};

struct VerifyOptions {
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)> progress;
    std::string master_key;                 // of verify_store(): its file, "": the store's own
    std::size_t chunks_at_once = 8u << 20;  // of segments that do not agree: what is held in memory
};

// STORE/index and STORE/segments. An error: it cannot be read at all.
Result<VerifyReport> verify_store(const std::string& store, const VerifyOptions& options = {});
// The same of what is open already; `index` must not be written meanwhile.
Result<VerifyReport> verify(const Index& index, const SegmentStore& segments, const VerifyOptions& options = {});

}  // namespace spantape
