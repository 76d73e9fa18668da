// SPDX-License-Identifier: AGPL-3.0-or-later
// The layout of the index: keys and values of each column family, all numbers big-endian so that byte order is their
// order.
//
//   recordings  ident:8                          -> the recording's JSON document
//   chunks      stream_id:8 chunk_number:4       -> PLACE of this chunk and of those that follow it by number,
//                                                   PLACE = segment:4 offset:8 bytes:4 frames:4 first_ns:8 last_ns:8
//   lookup      'p' column 0 n:1 value:n block:8  -> IDENTS of this block whose column has the value (blocks.h)
//               'b' block:8                       -> STARTS of this block's recordings
//               'w' block:8                       -> SPAN of these
//               'u' ident:8                      -> (empty) recordings whose state is `recording`
//               's' stream_id:8 ident:8          -> (empty) every recording by the streams it refers to
//               'k' keep_days:4 start:8 ident:8  -> (empty) finished recordings that may expire, by keep days (signed,
//                                                   as stored: -1 as configured) and start time, oldest first
//               'a' action:8 stop:8 ident:8 locked:1
//                                                -> (empty) finished recordings that are still to be archived, by the
//                                                   archive action that they name (signed) and the time of their end
//               'c' ident:8 action:8 target      -> name of a copy that was archived
//               'd' ident:8 segment:4 offset:8   -> bytes:4, each version of a recording's document
//   default     "format"                         -> version:4
//               "watermark"                      -> segment:4 offset:8
//               "documents"                      -> segment:4, from which on the 'd' entries are whole
//               "purging/" ident:8               -> (empty) a purge of it has begun
//               "number/" series                 -> next:8, the first number not yet taken
//               "recent/" batch:8                -> stream_id:8 chunk_number:4 PLACE of each chunk that is under
//                                                   `chunks` only some batches later (recent_chunks.h)
//
// block = ident / 4096, inverted: walking forwards gives the newest first, in the same order under every value, so that
// walks can be intersected block by block. Column names are part of the format: renaming a column means building the
// index anew.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/clock.h"
#include "storage/index/index.h"

namespace spantape::index_keys {

// 1 had one chunk an entry, which reads the same; 2 had no 's', 'k' and 'd', 3 no 'a'; 4 had an entry of each recording
// under each value ('f') and by time ('t'). What is missing is made when it is opened for writing.
inline constexpr std::uint32_t kFormatVersion = 5;
inline constexpr std::size_t kStreamIdBytes = 8;
// Of a value, so many bytes are in its key; longer ones share a key prefix and are told apart by the document.
inline constexpr std::size_t kMaxValueBytes = 255;

std::string u32_bytes(std::uint32_t value);
std::string u64_bytes(std::uint64_t value);
// nullopt unless the size fits exactly.
std::optional<std::uint32_t> u32_of(std::string_view bytes);
std::optional<std::uint64_t> u64_of(std::string_view bytes);

std::string chunk_key(std::uint64_t stream_id, std::uint32_t chunk_number);
std::string chunk_value(const ChunkEntry& chunk);
// The chunks of one entry; nullopt when key or value have another size than ours.
std::optional<std::vector<ChunkEntry>> chunks_of(std::string_view key, std::string_view value);

std::string recent_prefix();
std::string recent_key(std::uint64_t batch);
std::string recent_value(const std::vector<ChunkEntry>& chunks);
std::optional<std::vector<ChunkEntry>> recent_of(std::string_view value);

std::string watermark_value(const Watermark& watermark);
std::optional<Watermark> watermark_of(std::string_view value);

inline constexpr std::string_view kPostings = "p", kStarts = "b", kSpans = "w";
inline constexpr std::size_t kBlockBytes = 8;
// What stands in front of the block.
std::string posting_prefix(std::string_view column, std::string_view value);
std::string block_key(std::string_view prefix, std::uint64_t block);
// Of a key that ends with it.
std::uint64_t block_of_key(std::string_view key);

std::string unfinished_prefix();
std::string unfinished_key(std::uint64_t ident);

std::string stream_prefix(std::uint64_t stream_id);
std::string keep_prefix();
struct KeepKey {
    std::int32_t keep_days = 0;
    TimeNs start_ns = 0;
    std::uint64_t ident = 0;
};
std::string keep_key(const KeepKey& key);
std::optional<KeepKey> keep_of(std::string_view key);
std::string due_prefix();
std::string due_key(const ArchiveDue& due);
std::optional<ArchiveDue> due_of(std::string_view key);
std::string archived_prefix();
std::string archived_key(const ArchivedCopy& copy);
std::optional<ArchivedCopy> archived_of(std::string_view key, std::string_view value);
std::string document_prefix(std::uint64_t ident);
std::string document_key(const DocumentEntry& document);
std::optional<DocumentEntry> document_of(std::string_view key, std::string_view value);
std::string purging_prefix();
std::string purging_key(std::uint64_t ident);

// Columns by whose values recordings are found: all but ident and recording_time, which are found by ident and by time.
bool has_postings(std::string_view column);

// The posting_prefix() of each value of a recording, sorted. Empty values have none.
std::vector<std::string> posting_prefixes(const Recording& recording);
// The entries of a recording that are its alone (the other lower-case letters but 'c' and 'd'), sorted.
std::vector<std::string> lookup_keys(const Recording& recording);

}  // namespace spantape::index_keys
