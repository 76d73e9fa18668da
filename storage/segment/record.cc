// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/record.h"

#include <algorithm>
#include <cstring>

#include "storage/segment/crc32c.h"
#include "storage/segment/writer.h"

namespace spantape {

namespace {

// Over the header alone, its seals taken as zero.
std::uint32_t header_seal_of(std::span<const std::byte> header) {
    constexpr std::size_t kSeals = offsetof(RecordHeader, seal);
    constexpr std::size_t kAfterSeals = kSeals + 8;
    constexpr std::array<std::byte, 8> kZeros{};
    return crc32c(header.subspan(kAfterSeals), crc32c(kZeros, crc32c(header.first(kSeals))));
}

std::uint16_t least_header_bytes(RecordKind kind) {
    switch (kind) {
        case RecordKind::padding:
            return kPaddingHeaderBytes;
        case RecordKind::audio:
            return sizeof(ChunkHeader);
        default:
            return sizeof(RecordHeader);
    }
}

bool lengths_fit(const RecordHeader& header, std::size_t available) {
    return header.header_bytes >= least_header_bytes(header.kind) && header.total_bytes >= header.header_bytes &&
           header.total_bytes <= SegmentWriter::kMaxRecordBytes && header.header_bytes <= available;
}

}  // namespace

void seal_record(std::span<std::byte> record, std::uint64_t salt) {
    RecordHeader header;
    std::memcpy(static_cast<void*>(&header), record.data(), kPaddingHeaderBytes);
    header.magic = kRecordMagic;
    header.version = kFormatVersion;
    header.salt = salt;
    std::memcpy(record.data(), &header, kPaddingHeaderBytes);
    header.header_seal = header_seal_of(record.first(header.header_bytes));
    header.seal = crc32c(record.subspan(header.header_bytes), header.header_seal);
    std::memcpy(record.data(), &header, kPaddingHeaderBytes);
}

void write_padding(std::span<std::byte> room, std::uint64_t salt) {
    std::fill(room.begin(), room.end(), std::byte{0});
    RecordHeader header;
    header.kind = RecordKind::padding;
    header.header_bytes = kPaddingHeaderBytes;
    header.total_bytes = static_cast<std::uint32_t>(room.size());
    std::memcpy(room.data(), &header, kPaddingHeaderBytes);
    seal_record(room, salt);
}

RecordCheck check_record(std::span<const std::byte> bytes, std::optional<std::uint64_t> salt) {
    RecordCheck check;
    if (bytes.size() < kPaddingHeaderBytes) return check;
    std::memcpy(static_cast<void*>(&check.header), bytes.data(), kPaddingHeaderBytes);
    const RecordHeader& header = check.header;
    if (header.magic != kRecordMagic || !lengths_fit(header, bytes.size())) return check;
    if (salt && header.salt != *salt) return check;
    if (header_seal_of(bytes.first(header.header_bytes)) != header.header_seal) return check;
    if (header.header_bytes >= sizeof(RecordHeader)) std::memcpy(&check.header, bytes.data(), sizeof(RecordHeader));
    check.state = RecordState::damaged;
    if (header.total_bytes > bytes.size()) return check;
    const auto body = bytes.subspan(header.header_bytes, header.total_bytes - header.header_bytes);
    if (crc32c(body, header.header_seal) == header.seal) check.state = RecordState::sealed;
    return check;
}

std::optional<SegmentHeader> parse_segment_header(std::span<const std::byte> bytes) {
    SegmentHeader header;
    if (bytes.size() < sizeof header) return std::nullopt;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::uint32_t seal = header.seal;
    if (header.magic != kSegmentMagic || header.header_bytes != sizeof header) return std::nullopt;
    seal_segment_header(header);
    return header.seal == seal ? std::optional(header) : std::nullopt;
}

void seal_segment_header(SegmentHeader& header) {
    header.seal = 0;
    header.seal = crc32c(std::as_bytes(std::span(&header, 1)));
}

}  // namespace spantape
