// SPDX-License-Identifier: AGPL-3.0-or-later
// The layout of the index: keys and values of each column family, all numbers big-endian so that byte order is their
// order.
//
//   recordings  ident:8                          -> the recording's JSON document
//   chunks      stream_id:8 chunk_number:4       -> PLACE of this chunk and of those that follow it by number,
//                                                   PLACE = segment:4 offset:8 bytes:4 frames:4 first_ns:8 last_ns:8
//   lookup      't' place:16                     -> (empty) every recording by time
//               'f' column 0 n:1 value:n place   -> (empty) every recording by the value of one column
//               'u' ident:8                      -> (empty) recordings whose state is `recording`
//   default     "format"                         -> version:4
//               "watermark"                      -> segment:4 offset:8
//               "number/" series                 -> next:8, the first number not yet taken
//               "recent/" batch:8                -> stream_id:8 chunk_number:4 PLACE of each chunk that is under
//                                                   `chunks` only some batches later (recent_chunks.h)
//
// place = inverted start time : 8, inverted ident : 8. Walking forwards gives the newest start first, and all walks
// over the lookup family share this one order, so that they can be intersected by seeking. Column names are part of
// the format: renaming a column means building the index anew.
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

inline constexpr std::uint32_t kFormatVersion = 2;  // 1 had one chunk an entry, which reads the same
inline constexpr std::size_t kStreamIdBytes = 8;
inline constexpr std::size_t kPlaceBytes = 16;
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

std::string place(TimeNs start_ns, std::uint64_t ident);
std::uint64_t ident_of_place(std::string_view place);
// The place directly after; nullopt after the last one.
std::optional<std::string> next_place(std::string_view place);

std::string time_prefix();
std::string field_prefix(std::string_view column, std::string_view value);
std::string unfinished_prefix();
std::string unfinished_key(std::uint64_t ident);

// Columns that have entries by value. The others (duration, channel, priority ...) say little about a recording.
bool has_field_index(std::string_view column);

// All lookup keys of a recording, sorted. Empty values have none.
std::vector<std::string> lookup_keys(const Recording& recording);

}  // namespace spantape::index_keys
