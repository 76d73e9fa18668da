// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>

#include <fcntl.h>
#include <unistd.h>

#include "storage/durable_file.h"
#include "storage/segment/record.h"
#include "storage/segment/writer.h"

namespace spantape {

namespace {

constexpr std::size_t kOpenFiles = 16;

struct OpenSegment {
    std::uint32_t number = 0;
    int file = -1;
};

}  // namespace

Result<Chunk> parse_chunk(std::span<const std::byte> record, const Keyring* keyring) {
    const RecordCheck check = check_record(record, std::nullopt);
    if (check.state != RecordState::sealed) {
        return fail("{}", check.state == RecordState::damaged ? "damaged: the seal is broken" : "no record is there");
    }
    if (check.header.kind != RecordKind::audio) return fail("the record there is no audio chunk");
    Chunk chunk;
    std::memcpy(&chunk.header, record.data(), sizeof chunk.header);
    if ((check.header.flags & kRecordEncrypted) == 0) {
        const auto body = record.first(check.header.total_bytes).subspan(check.header.header_bytes);
        chunk.body.assign(body.begin(), body.end());
        return chunk;
    }
    if (check.header.cipher != kCipherAes256Gcm) return fail("encrypted by cipher {}, unknown", check.header.cipher);
    if (keyring == nullptr) return fail("encrypted, and there is no keyring");
    const auto key = keyring->find(check.header.key_id);
    if (!key) return fail("encrypted: {}", key.error().message);
    std::vector<std::byte> copy(record.begin(), record.begin() + check.header.total_bytes);
    SealedBox box;
    if (!decrypt_record(copy, *key, box)) return fail("altered: key {} does not fit", check.header.key_id);
    chunk.body.assign(copy.begin() + check.header.header_bytes, copy.end());
    return chunk;
}

Result<Recording> parse_document(std::span<const std::byte> record) {
    RecordHeader header;
    std::memcpy(&header, record.data(), sizeof header);
    const auto body = record.subspan(header.header_bytes);
    return recording_from_json({reinterpret_cast<const char*>(body.data()), body.size()});
}

bool Chunk::for_each_frame(const std::function<void(const StoredFrame&)>& visit) const {
    std::size_t at = 0;
    while (at < body.size()) {
        FrameHeader entry;
        if (body.size() - at < sizeof entry) return false;
        std::memcpy(&entry, body.data() + at, sizeof entry);
        at += sizeof entry;
        if (body.size() - at < entry.payload_bytes) return false;
        const auto* payload = reinterpret_cast<const std::uint8_t*>(body.data() + at);
        at += entry.payload_bytes;
        if (entry.flags >> kFrameKindShift != static_cast<int>(FrameKind::frame)) continue;
        StoredFrame frame;
        frame.sequence = entry.sequence;
        frame.payload_type = entry.payload_type;
        frame.marker = (entry.flags & kFrameMarker) != 0;
        frame.timestamp = entry.timestamp;
        const TimeNs offset_ns = TimeNs{entry.arrival_us} * 1000 + entry.arrival_ns;
        if (__builtin_add_overflow(header.base_ns, offset_ns, &frame.arrival_ns)) return false;
        frame.payload = {payload, entry.payload_bytes};
        visit(frame);
    }
    return true;
}

struct SegmentReader::State {
    SegmentStore store;
    std::list<OpenSegment> files;  // most recently used first

    ~State() {
        for (const OpenSegment& open : files) ::close(open.file);
    }

    Result<int> file_of(std::uint32_t number) {
        const auto found = std::ranges::find(files, number, &OpenSegment::number);
        if (found != files.end()) {
            files.splice(files.begin(), files, found);
            return files.front().file;
        }
        const int file = ::open(segment_path(store.directory, number).c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) return fail("{}", strerror(errno));
        files.push_front({number, file});
        if (files.size() > kOpenFiles) {
            ::close(files.back().file);
            files.pop_back();
        }
        return file;
    }

    Result<Chunk> read(const ChunkEntry& entry) {
        if (entry.bytes < sizeof(ChunkHeader) || entry.bytes > SegmentWriter::kMaxRecordBytes) {
            return fail("the index says {} bytes, which no chunk has", entry.bytes);
        }
        const auto file = file_of(entry.segment);
        if (!file) return std::unexpected(file.error());
        std::vector<std::byte> record(entry.bytes);
        if (auto got = read_at(*file, record, entry.offset); !got) return std::unexpected(got.error());
        auto chunk = parse_chunk(record, store.keyring.get());
        if (!chunk) return chunk;
        if (chunk->header.record.total_bytes != entry.bytes || chunk->header.stream_id != entry.stream_id ||
            chunk->header.chunk_number != entry.chunk_number) {
            return fail("another chunk is there: stream {:#x} number {}, not stream {:#x} number {}",
                        chunk->header.stream_id, chunk->header.chunk_number, entry.stream_id, entry.chunk_number);
        }
        return chunk;
    }
};

SegmentReader::SegmentReader(SegmentStore store) : state_(new State{.store = std::move(store)}) {}
SegmentReader::~SegmentReader() = default;

Result<Chunk> SegmentReader::read(const ChunkEntry& entry) {
    auto chunk = state_->read(entry);
    if (chunk) return chunk;
    return fail("{} at {}: {}", segment_path(state_->store.directory, entry.segment), entry.offset,
                chunk.error().message);
}

}  // namespace spantape
