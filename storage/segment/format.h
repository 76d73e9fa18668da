// SPDX-License-Identifier: AGPL-3.0-or-later
// Layout of segment files: every constant and structure that lies on disk, and nothing else. FORMAT.md describes the
// same bytes in words. Little endian throughout; a structure here is the bytes on disk.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "capture/base/clock.h"
#include "capture/rtp/frame.h"

namespace spantape {

static_assert(std::endian::native == std::endian::little, "segments are written as the structures lie in memory");

inline constexpr std::uint32_t kBlockBytes = 4096;     // unit of writing: direct I/O needs it
inline constexpr std::uint32_t kRecordAlignment = 64;  // records begin at multiples of it
inline constexpr std::uint16_t kFormatVersion = 1;
inline constexpr std::uint64_t kSegmentMagic = 0x0a31474553545053;  // "SPTSEG1\n"
inline constexpr std::uint32_t kRecordMagic = 0x52545053;           // "SPTR"

// First block of a segment; the rest of the block is zero.
struct SegmentHeader {
    std::uint64_t magic = kSegmentMagic;
    std::uint16_t version = kFormatVersion;
    std::uint16_t header_bytes = 128;
    std::uint32_t seal = 0;  // CRC-32C of the 128 bytes, this field zero
    std::uint32_t segment = 0;
    std::uint32_t core_id = 0;
    TimeNs created_ns = 0;
    std::uint64_t segment_bytes = 0;  // as pre-allocated
    std::uint64_t salt = 0;           // stands in each of its records too
    std::array<std::uint8_t, 80> reserved{};
};
static_assert(sizeof(SegmentHeader) == 128 && offsetof(SegmentHeader, salt) == 40);

enum class RecordKind : std::uint16_t {
    audio = 1,      // ChunkHeader, then frames
    recording = 2,  // RecordHeader, then a Recording as JSON
    padding = 3,    // 64 bytes of RecordHeader, then zeros to the end of the block
    redaction = 4,  // reserved: what a redaction did, for the integrity log
    purge = 5,      // RecordHeader, then ids of streams: the recording was purged, and these streams with it
};

inline constexpr std::uint16_t kRecordEncrypted = 1;  // flags: body is ciphertext
inline constexpr std::uint16_t kCipherAes256Gcm = 1;
inline constexpr std::uint16_t kRecordRedacted = 2;  // flags: body was rewritten in place

// Common to all records. `seal` runs over header and body with both seals taken as zero; `header_seal` over the
// header alone, so that a record with a damaged body can still be stepped over.
struct RecordHeader {
    std::uint32_t magic = kRecordMagic;
    RecordKind kind = RecordKind::padding;
    std::uint16_t header_bytes = 0;  // where the body begins; a newer writer may have a longer header
    std::uint32_t total_bytes = 0;   // header and body; the next record begins at the next multiple of 64
    std::uint32_t seal = 0;
    std::uint32_t header_seal = 0;
    std::uint16_t version = kFormatVersion;
    std::uint16_t flags = 0;
    std::uint64_t salt = 0;       // the writer's, random: bytes of a packet cannot pass for a record
    std::uint64_t recording = 0;  // ident; 0 for audio, which recordings share
    std::uint64_t session_id = 0;
    std::uint16_t cipher = 0;  // 0 none, 1 AES-256-GCM
    std::uint16_t reserved_a = 0;
    std::array<std::uint8_t, 12> nonce{};
    std::uint64_t key_id = 0;  // the stream's key in the keyring
    std::array<std::uint8_t, 16> tag{};
    std::uint32_t rewrites = 0;  // how often the body was rewritten in place
    std::uint32_t reserved_b = 0;
};
inline constexpr std::uint16_t kPaddingHeaderBytes = 64;  // padding leaves out what follows the nonce
static_assert(sizeof(RecordHeader) == 96);
static_assert(offsetof(RecordHeader, seal) == 12 && offsetof(RecordHeader, header_seal) == 16);
static_assert(offsetof(RecordHeader, salt) == 24 && offsetof(RecordHeader, session_id) == 40);
static_assert(offsetof(RecordHeader, nonce) == 52 && offsetof(RecordHeader, key_id) == 64);
static_assert(offsetof(RecordHeader, tag) == 72 && offsetof(RecordHeader, rewrites) == 88);

// A stream's counters as they lie on disk: those that the writer knows. The others are in the recording's document.
struct ChunkCounters {
    std::uint64_t stored = 0;
    std::uint64_t lost_before = 0;  // the worker's to know: 0
    std::uint64_t dropped_us = 0;
    std::uint64_t duplicates = 0;  // the worker's to know: 0
    std::uint64_t blacked_out = 0;
    std::uint64_t payload_bytes = 0;
};
inline ChunkCounters chunk_counters(const StreamCounters& counters) {
    return {counters.stored,     counters.lost_before, counters.dropped_us,
            counters.duplicates, counters.blacked_out, counters.payload_bytes};
}

// One stream's consecutive frames.
struct ChunkHeader {
    RecordHeader record;
    std::uint64_t stream_id = 0;
    std::uint32_t chunk_number = 0;
    std::uint32_t ssrc = 0;
    std::array<std::uint8_t, 16> source_ip{};  // IPv6, or IPv4 mapped into it; network byte order
    std::array<std::uint8_t, 16> destination_ip{};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint16_t worker = 0;
    std::uint16_t first_sequence = 0;
    std::uint32_t first_timestamp = 0;
    std::uint32_t last_timestamp = 0;
    std::uint32_t frames = 0;
    std::uint16_t last_sequence = 0;
    std::uint8_t last_payload_type = 0;
    std::uint8_t paused = 0;     // 1: blacked out at the end of this chunk
    TimeNs base_ns = 0;          // what the frames' arrivals are relative to
    TimeNs first_ns = 0;         // earliest arrival of a frame in this chunk
    TimeNs last_ns = 0;          // latest
    TimeNs stream_first_ns = 0;  // arrival of the stream's first stored frame
    std::uint32_t stream_first_timestamp = 0;
    std::uint32_t reserved = 0;
    ChunkCounters counters;  // cumulative, at the end of this chunk, as far as the writer knows them
};
static_assert(sizeof(ChunkCounters) == 48 && sizeof(ChunkHeader) == 256);
static_assert(offsetof(ChunkHeader, stream_id) == 96 && offsetof(ChunkHeader, source_ip) == 112);
static_assert(offsetof(ChunkHeader, source_port) == 144 && offsetof(ChunkHeader, first_timestamp) == 152);
static_assert(offsetof(ChunkHeader, frames) == 160 && offsetof(ChunkHeader, base_ns) == 168);
static_assert(offsetof(ChunkHeader, stream_first_ns) == 192 && offsetof(ChunkHeader, counters) == 208);

enum class FrameKind : std::uint8_t {
    frame = 0,
    gap = 1,     // `timestamp` frames were dropped by us here
    pause = 2,   // blackout begins at the arrival time
    resume = 3,  // and ends
    filler = 4,  // says nothing: what a redaction took out was longer than what it left
};
inline constexpr std::uint8_t kFrameMarker = 1;  // flags, bit 0: RTP marker
inline constexpr int kFrameKindShift = 4;        // flags, bits 4-7: FrameKind

// Entry of a chunk's body; the payload follows directly, the next entry directly after it (unaligned).
struct FrameHeader {
    std::uint16_t sequence = 0;
    std::uint8_t payload_type = 0;
    std::uint8_t flags = 0;
    std::uint32_t timestamp = 0;
    std::int32_t arrival_us = 0;   // arrival = base_ns + arrival_us * 1000 + arrival_ns
    std::uint16_t arrival_ns = 0;  // 0..999
    std::uint16_t payload_bytes = 0;
};
static_assert(sizeof(FrameHeader) == 16 && offsetof(FrameHeader, arrival_us) == 8);

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

inline std::string segment_path(const std::string& directory, std::uint32_t number) {
    return fmt::format("{}/{:08}.seg", directory, number);
}

}  // namespace spantape
