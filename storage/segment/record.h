// SPDX-License-Identifier: AGPL-3.0-or-later
// Sealing records, and telling a sealed record from anything else: the one place where bytes of a segment are judged.
// No state, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "storage/keyring.h"
#include "storage/recording.h"
#include "storage/sealed_box.h"
#include "storage/segment/format.h"

namespace spantape {

// Stamps magic, version, salt and both seals into a record whose kind, header_bytes and total_bytes are set;
// `record` is exactly its total_bytes.
void seal_record(std::span<std::byte> record, std::uint64_t salt);
// Encrypts the body under the key: stamps the record as seal_record() does, and flag, cipher, key id and tag; its nonce
// is set already, and never was before under this key. seal_record() comes after it. False: it could not be done.
[[nodiscard]] bool encrypt_record(std::span<std::byte> record, std::uint64_t salt, const DataKey& key, SealedBox& box);
// A recording's document as a record: how many bytes it takes, and the record itself, written into as many. Of the same
// `json`, which is to_json() of the recording.
[[nodiscard]] std::size_t document_record_bytes(std::string_view json);
void write_document(std::span<std::byte> room, const Recording& recording, std::string_view json);
// Decrypts the body of a sound record where it lies. False: another key, or header or body were altered.
[[nodiscard]] bool decrypt_record(std::span<std::byte> record, const SecretKey& key, SealedBox& box);
// Writes a padding record over all of `room`: a multiple of 64, at least 64 bytes.
void write_padding(std::span<std::byte> room, std::uint64_t salt);

// A purge record (kind 5), but for its seals, over all of `room`: purge_record_bytes(streams.size()) bytes.
constexpr std::uint32_t purge_record_bytes(std::size_t streams) {
    return static_cast<std::uint32_t>(sizeof(RecordHeader) + streams * sizeof(std::uint64_t));
}
void write_purge(std::span<std::byte> room, std::uint64_t ident, std::span<const std::uint64_t> streams);
// The streams in the body of a sealed purge record; bytes behind the last whole one are passed over.
std::vector<std::uint64_t> purged_streams(std::span<const std::byte> record);

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
