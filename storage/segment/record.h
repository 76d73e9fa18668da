// SPDX-License-Identifier: AGPL-3.0-or-later
// Sealing records, and telling a sealed record from anything else: the one place where bytes of a segment are judged.
// No state, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "storage/segment/format.h"

namespace spantape {

// Stamps magic, version, salt and both seals into a record whose kind, header_bytes and total_bytes are set;
// `record` is exactly its total_bytes.
void seal_record(std::span<std::byte> record, std::uint64_t salt);
// Writes a padding record over all of `room`: a multiple of 64, at least 64 bytes.
void write_padding(std::span<std::byte> room, std::uint64_t salt);

enum class RecordState : std::uint8_t {
    sealed,   // header and body as they were written
    damaged,  // the header is sound, the body is not: total_bytes can be trusted
    foreign,  // no record begins here
};
struct RecordCheck {
    RecordState state = RecordState::foreign;
    RecordHeader header;  // unless foreign; of a padding record only what it has
};
// bytes: from the supposed record to the end of what can be read. salt: the segment's, when it is known.
RecordCheck check_record(std::span<const std::byte> bytes, std::optional<std::uint64_t> salt);

// The segment header in a segment's first bytes, if it is whole.
std::optional<SegmentHeader> parse_segment_header(std::span<const std::byte> bytes);
void seal_segment_header(SegmentHeader& header);

}  // namespace spantape
