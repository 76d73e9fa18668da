// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/record.h"

#include <algorithm>
#include <cstring>

#include <boost/container/small_vector.hpp>

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

namespace {

void stamp(RecordHeader& header, std::uint64_t salt) {
    header.magic = kRecordMagic;
    header.version = kFormatVersion;
    header.salt = salt;
}

// The header as it is bound to the ciphertext: seals and tag as zero, for they come later.
class BoundHeader {
public:
    explicit BoundHeader(std::span<const std::byte> header) : bytes_(header.begin(), header.end()) {
        constexpr std::size_t kSeals = offsetof(RecordHeader, seal);
        constexpr std::size_t kTag = offsetof(RecordHeader, tag);
        std::fill_n(bytes_.begin() + kSeals, 2 * sizeof(std::uint32_t), std::byte{0});
        std::fill_n(bytes_.begin() + kTag, sizeof(RecordHeader::tag), std::byte{0});
    }
    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

private:
    boost::container::small_vector<std::byte, sizeof(ChunkHeader)> bytes_;
};

}  // namespace

bool encrypt_record(std::span<std::byte> record, std::uint64_t salt, const DataKey& key, SealedBox& box) {
    RecordHeader header;
    std::memcpy(&header, record.data(), sizeof header);
    stamp(header, salt);
    header.flags |= kRecordEncrypted;
    header.cipher = kCipherAes256Gcm;
    header.key_id = key.id;
    std::memcpy(record.data(), &header, sizeof header);
    const BoundHeader bound(record.first(header.header_bytes));
    const auto body = record.subspan(header.header_bytes, header.total_bytes - header.header_bytes);
    if (!box.seal(key.key, header.nonce, bound.bytes(), body, header.tag)) return false;
    std::memcpy(record.data(), &header, sizeof header);
    return true;
}

std::size_t document_record_bytes(std::string_view json) { return sizeof(RecordHeader) + json.size(); }

void write_document(std::span<std::byte> room, const Recording& recording, std::string_view json) {
    RecordHeader header;
    header.kind = RecordKind::recording;
    header.header_bytes = sizeof header;
    header.total_bytes = static_cast<std::uint32_t>(document_record_bytes(json));
    header.recording = recording.ident;
    header.session_id = recording.session_id;
    std::memcpy(room.data(), &header, sizeof header);
    std::memcpy(room.data() + sizeof header, json.data(), json.size());
}

bool decrypt_record(std::span<std::byte> record, const SecretKey& key, SealedBox& box) {
    RecordHeader header;
    std::memcpy(&header, record.data(), sizeof header);
    const BoundHeader bound(record.first(header.header_bytes));
    const auto body = record.subspan(header.header_bytes, header.total_bytes - header.header_bytes);
    return box.open(key, header.nonce, bound.bytes(), body, header.tag);
}

void seal_record(std::span<std::byte> record, std::uint64_t salt) {
    RecordHeader header;
    std::memcpy(static_cast<void*>(&header), record.data(), kPaddingHeaderBytes);
    stamp(header, salt);
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

void write_purge(std::span<std::byte> room, std::uint64_t ident, std::span<const std::uint64_t> streams) {
    RecordHeader header;
    header.kind = RecordKind::purge;
    header.header_bytes = sizeof header;
    header.total_bytes = purge_record_bytes(streams.size());
    header.recording = ident;
    std::memcpy(room.data(), &header, sizeof header);
    std::memcpy(room.data() + sizeof header, streams.data(), streams.size_bytes());
}

std::vector<std::uint64_t> purged_streams(std::span<const std::byte> record) {
    RecordHeader header;
    std::memcpy(&header, record.data(), sizeof header);
    const auto body = record.subspan(header.header_bytes);
    std::vector<std::uint64_t> streams(body.size() / sizeof(std::uint64_t));
    if (!streams.empty()) std::memcpy(streams.data(), body.data(), streams.size() * sizeof(std::uint64_t));
    return streams;
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
