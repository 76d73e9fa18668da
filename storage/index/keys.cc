// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/keys.h"

#include <algorithm>

#include "storage/index/bytes.h"

namespace spantape::index_keys {

namespace {

using index_bytes::append;
using index_bytes::kSignBit;
using index_bytes::number_at;
using index_bytes::ordered;
using index_bytes::time_at;

constexpr std::size_t kChunkKeyBytes = kStreamIdBytes + 4;
constexpr std::size_t kChunkValueBytes = 36;

void append_place(std::string& value, const ChunkEntry& chunk) {
    append(value, chunk.segment);
    append(value, chunk.offset);
    append(value, chunk.bytes);
    append(value, chunk.frames);
    append(value, static_cast<std::uint64_t>(chunk.first_ns));
    append(value, static_cast<std::uint64_t>(chunk.last_ns));
}

// place: at least kChunkValueBytes.
ChunkEntry chunk_at(std::uint64_t stream_id, std::uint32_t chunk_number, std::string_view place) {
    return {.stream_id = stream_id,
            .chunk_number = chunk_number,
            .segment = number_at<std::uint32_t>(place, 0),
            .offset = number_at<std::uint64_t>(place, 4),
            .bytes = number_at<std::uint32_t>(place, 12),
            .frames = number_at<std::uint32_t>(place, 16),
            .first_ns = static_cast<TimeNs>(number_at<std::uint64_t>(place, 20)),
            .last_ns = static_cast<TimeNs>(number_at<std::uint64_t>(place, 28))};
}

}  // namespace

std::string u32_bytes(std::uint32_t value) {
    std::string out;
    append(out, value);
    return out;
}

std::string u64_bytes(std::uint64_t value) {
    std::string out;
    append(out, value);
    return out;
}

std::optional<std::uint32_t> u32_of(std::string_view bytes) {
    if (bytes.size() != sizeof(std::uint32_t)) return std::nullopt;
    return number_at<std::uint32_t>(bytes, 0);
}

std::optional<std::uint64_t> u64_of(std::string_view bytes) {
    if (bytes.size() != sizeof(std::uint64_t)) return std::nullopt;
    return number_at<std::uint64_t>(bytes, 0);
}

std::string chunk_key(std::uint64_t stream_id, std::uint32_t chunk_number) {
    std::string key = u64_bytes(stream_id);
    append(key, chunk_number);
    return key;
}

std::string chunk_value(const ChunkEntry& chunk) {
    std::string value;
    value.reserve(kChunkValueBytes);
    append_place(value, chunk);
    return value;
}

std::optional<std::vector<ChunkEntry>> chunks_of(std::string_view key, std::string_view value) {
    if (key.size() != kChunkKeyBytes || value.empty() || value.size() % kChunkValueBytes != 0) return std::nullopt;
    std::vector<ChunkEntry> chunks;
    auto number = number_at<std::uint32_t>(key, kStreamIdBytes);
    for (std::size_t at = 0; at < value.size(); at += kChunkValueBytes)
        chunks.push_back(chunk_at(number_at<std::uint64_t>(key, 0), number++, value.substr(at)));
    return chunks;
}

std::string recent_prefix() { return "recent/"; }
std::string recent_key(std::uint64_t batch) { return recent_prefix() + u64_bytes(batch); }

std::string recent_value(const std::vector<ChunkEntry>& chunks) {
    std::string value;
    value.reserve(chunks.size() * (kChunkKeyBytes + kChunkValueBytes));
    for (const ChunkEntry& chunk : chunks) {
        append(value, chunk.stream_id);
        append(value, chunk.chunk_number);
        append_place(value, chunk);
    }
    return value;
}

std::optional<std::vector<ChunkEntry>> recent_of(std::string_view value) {
    constexpr std::size_t kEach = kChunkKeyBytes + kChunkValueBytes;
    if (value.size() % kEach != 0) return std::nullopt;
    std::vector<ChunkEntry> chunks;
    for (std::size_t at = 0; at < value.size(); at += kEach)
        chunks.push_back(chunk_at(number_at<std::uint64_t>(value, at), number_at<std::uint32_t>(value, at + 8),
                                  value.substr(at + kChunkKeyBytes)));
    return chunks;
}

std::string watermark_value(const Watermark& watermark) {
    std::string value = u32_bytes(watermark.segment);
    append(value, watermark.offset);
    return value;
}

std::optional<Watermark> watermark_of(std::string_view value) {
    if (value.size() != 12) return std::nullopt;
    return Watermark{number_at<std::uint32_t>(value, 0), number_at<std::uint64_t>(value, 4)};
}

std::string posting_prefix(std::string_view column, std::string_view value) {
    std::string prefix(kPostings);
    prefix += column;
    prefix.push_back('\0');
    const std::string_view kept = value.substr(0, kMaxValueBytes);
    prefix.push_back(static_cast<char>(kept.size()));
    prefix += kept;
    return prefix;
}

std::string block_key(std::string_view prefix, std::uint64_t block) {
    std::string key;
    key.reserve(prefix.size() + kBlockBytes);
    key += prefix;
    append(key, ~block);
    return key;
}

std::uint64_t block_of_key(std::string_view key) { return ~number_at<std::uint64_t>(key, key.size() - kBlockBytes); }

std::string unfinished_prefix() { return "u"; }

std::string unfinished_key(std::uint64_t ident) { return unfinished_prefix() + u64_bytes(ident); }

std::string stream_prefix(std::uint64_t stream_id) { return "s" + u64_bytes(stream_id); }

std::string keep_prefix() { return "k"; }

std::string keep_key(const KeepKey& key) {
    constexpr std::uint32_t kSign = std::uint32_t{1} << 31;
    std::string out = keep_prefix();
    append(out, static_cast<std::uint32_t>(key.keep_days) ^ kSign);
    append(out, ordered(key.start_ns));
    append(out, key.ident);
    return out;
}

std::optional<KeepKey> keep_of(std::string_view key) {
    constexpr std::uint32_t kSign = std::uint32_t{1} << 31;
    if (key.size() != keep_prefix().size() + 20) return std::nullopt;
    return KeepKey{static_cast<std::int32_t>(number_at<std::uint32_t>(key, 1) ^ kSign), time_at(key, 5),
                   number_at<std::uint64_t>(key, 13)};
}

std::string due_prefix() { return "a"; }

std::string due_key(const ArchiveDue& due) {
    std::string key = due_prefix();
    append(key, ordered(due.action));
    append(key, ordered(due.stop_ns));
    append(key, due.ident);
    key.push_back(due.locked ? 1 : 0);
    return key;
}

std::optional<ArchiveDue> due_of(std::string_view key) {
    if (key.size() != due_prefix().size() + 25) return std::nullopt;
    return ArchiveDue{static_cast<std::int64_t>(number_at<std::uint64_t>(key, 1) ^ kSignBit), time_at(key, 9),
                      number_at<std::uint64_t>(key, 17), key.back() != 0};
}

std::string archived_prefix() { return "c"; }

std::string archived_key(const ArchivedCopy& copy) {
    std::string key = archived_prefix();
    append(key, copy.ident);
    append(key, ordered(copy.action));
    return key + copy.target;
}

std::optional<ArchivedCopy> archived_of(std::string_view key, std::string_view value) {
    constexpr std::size_t kNumbers = 17;
    if (key.size() < kNumbers) return std::nullopt;
    return ArchivedCopy{number_at<std::uint64_t>(key, 1),
                        static_cast<std::int64_t>(number_at<std::uint64_t>(key, 9) ^ kSignBit),
                        std::string(key.substr(kNumbers)), std::string(value)};
}

std::string document_prefix(std::uint64_t ident) { return "d" + u64_bytes(ident); }

std::string document_key(const DocumentEntry& document) {
    std::string key = document_prefix(document.ident);
    append(key, document.segment);
    append(key, document.offset);
    return key;
}

std::optional<DocumentEntry> document_of(std::string_view key, std::string_view value) {
    const auto bytes = u32_of(value);
    if (key.size() != 21 || !bytes) return std::nullopt;
    return DocumentEntry{number_at<std::uint64_t>(key, 1), number_at<std::uint32_t>(key, 9),
                         number_at<std::uint64_t>(key, 13), *bytes};
}

std::string purging_prefix() { return "purging/"; }
std::string purging_key(std::uint64_t ident) { return purging_prefix() + u64_bytes(ident); }

bool has_postings(std::string_view column) { return column != "ident" && column != "recording_time"; }

std::vector<std::string> posting_prefixes(const Recording& recording) {
    std::vector<std::string> prefixes;
    for (const std::string_view name : column_names()) {
        if (!has_postings(name)) continue;
        // As the document holds it, so that the values of a recording that was read back are those that were written.
        const std::string value = valid_utf8(column(recording, name).value);
        if (!value.empty()) prefixes.push_back(posting_prefix(name, value));
    }
    std::ranges::sort(prefixes);
    return prefixes;
}

std::vector<std::string> lookup_keys(const Recording& recording) {
    std::vector<std::string> keys;
    if (recording.state == RecordingState::recording)
        keys.push_back(unfinished_key(recording.ident));
    else if (recording.keep_days != 0 && !recording.locked)
        keys.push_back(keep_key({recording.keep_days, recording.start_ns, recording.ident}));
    if (const auto due = archive_due_of(recording)) keys.push_back(due_key(*due));
    for (const RecordedStream& stream : recording.streams)
        keys.push_back(stream_prefix(stream.stream_id) + u64_bytes(recording.ident));
    std::ranges::sort(keys);
    const auto twice = std::ranges::unique(keys);  // a stream that is listed twice
    keys.erase(twice.begin(), twice.end());
    return keys;
}

}  // namespace spantape::index_keys
