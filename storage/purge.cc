// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/purge.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>

#include <fcntl.h>
#include <unistd.h>

#include "storage/segment/record.h"
#include "storage/segment/scan.h"
#include "storage/segment/writer.h"

namespace spantape {

namespace {

struct Place {
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    // Whose record must be there: anything else at the place is not ours to destroy.
    RecordKind kind = RecordKind::audio;
    std::uint64_t owner = 0;  // stream or recording

    [[nodiscard]] std::uint64_t body() const {
        return offset + (kind == RecordKind::audio ? sizeof(ChunkHeader) : sizeof(RecordHeader));
    }
    [[nodiscard]] std::uint64_t end() const { return align_up(offset + bytes, kRecordAlignment); }
};
using Places = std::map<std::uint32_t, std::vector<Place>>;  // by segment

class File {
public:
    explicit File(const std::string& path) : path_(path), descriptor_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {}
    ~File() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
    Result<> read(std::span<std::byte> into, std::uint64_t offset) const {
        while (!into.empty()) {
            const auto got = pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) return failed("reading", offset, got < 0 ? strerror(errno) : "it ends there");
            into = into.subspan(static_cast<std::size_t>(got));
            offset += static_cast<std::uint64_t>(got);
        }
        return {};
    }
    Result<> write(std::span<const std::byte> bytes, std::uint64_t offset) const {
        while (!bytes.empty()) {
            const auto put = pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (put < 0 && errno == EINTR) continue;
            if (put <= 0) return failed("writing", offset, strerror(errno));
            bytes = bytes.subspan(static_cast<std::size_t>(put));
            offset += static_cast<std::uint64_t>(put);
        }
        return {};
    }
    Result<> zero(std::uint64_t from, std::uint64_t to) const {
        static const std::vector<std::byte> kZeros(64u << 10);
        for (; from < to; from += std::min<std::uint64_t>(kZeros.size(), to - from)) {
            const auto piece = std::span(kZeros).first(std::min<std::uint64_t>(kZeros.size(), to - from));
            if (auto written = write(piece, from); !written) return written;
        }
        return {};
    }
    // The block at `offset`; the end of the file may come before its end.
    [[nodiscard]] bool is_zero(std::uint64_t offset) const {
        std::array<char, kBlockBytes> block{};
        const auto got = pread(descriptor_, block.data(), block.size(), static_cast<off_t>(offset));
        return got > 0 && std::ranges::all_of(block, [](char byte) { return byte == 0; });
    }
    // Best effort: it reads as zeros already, and where the file system knows no holes it only takes its room.
    void punch(std::uint64_t from, std::uint64_t to) const {
        if (from < to)
            static_cast<void>(fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                        static_cast<off_t>(from), static_cast<off_t>(to - from)));
    }
    Result<> sync() const { return fdatasync(descriptor_) == 0 ? Result<>{} : failed("syncing", 0, strerror(errno)); }

private:
    [[nodiscard]] std::unexpected<Error> failed(const char* doing, std::uint64_t at, const char* why) const {
        return fail("{}: {} at {}: {}", path_, doing, at, why);
    }
    const std::string path_;
    const int descriptor_;
};

class Purge {
public:
    explicit Purge(const PurgeTools& tools) : tools_(tools) {}

    Result<PurgeSummary> run(const std::vector<std::uint64_t>& idents, bool again) {
        if (auto chosen = choose(idents, again); !chosen) return std::unexpected(chosen.error());
        if (doomed_.empty() && !again) return std::move(summary_);
        if (auto found = find_streams(); !found) return std::unexpected(found.error());
        if (!again) {
            if (auto marked = tools_.index.mark_purging(summary_.purged); !marked)
                return std::unexpected(marked.error());
        }
        for (const Recording& recording : doomed_)
            if (auto put = tools_.put_record(recording.ident, streams_of(recording)); !put)
                return std::unexpected(put.error());
        if (auto found = find_places(); !found) return std::unexpected(found.error());
        if (auto destroyed = destroy(); !destroyed) return std::unexpected(destroyed.error());
        for (const Recording& recording : doomed_)
            if (auto gone = tools_.index.purge(recording.ident, streams_of(recording)); !gone)
                return std::unexpected(gone.error());
        if (auto erased = tools_.index.erase_purged(); !erased) return std::unexpected(erased.error());
        if (auto removed = remove_empty_segments(); !removed) return std::unexpected(removed.error());
        return std::move(summary_);
    }

private:
    Result<> choose(const std::vector<std::uint64_t>& idents, bool again) {
        for (const std::uint64_t ident : std::set<std::uint64_t>(idents.begin(), idents.end())) {
            auto recording = tools_.index.recording(ident);
            if (!recording) return std::unexpected(recording.error());
            if (!*recording) {
                // Again, it may be that all but the index's files was done.
                if (!again) summary_.refused.push_back(fmt::format("recording {}: there is none", ident));
                continue;
            }
            if (!again && (*recording)->state == RecordingState::recording)
                summary_.refused.push_back(fmt::format("recording {}: is still going on", ident));
            else if (!again && (*recording)->locked)
                summary_.refused.push_back(fmt::format("recording {}: is locked", ident));
            else if (const std::string why = again || !tools_.refuse ? "" : tools_.refuse(**recording); !why.empty())
                summary_.refused.push_back(fmt::format("recording {}: {}", ident, why));
            else
                doomed_.push_back(std::move(**recording));
        }
        for (const Recording& recording : doomed_) summary_.purged.push_back(recording.ident);
        return {};
    }

    // Streams that no other recording refers to, and that none which still goes on may come to refer to.
    Result<> find_streams() {
        const auto unfinished = tools_.index.unfinished();
        if (!unfinished) return std::unexpected(unfinished.error());
        for (const Recording& recording : doomed_) {
            const bool going_on =
                recording.session_id != 0 && std::ranges::any_of(*unfinished, [&](const Recording& other) {
                    return other.session_id == recording.session_id &&
                           !std::ranges::binary_search(summary_.purged, other.ident);
                });
            if (going_on) continue;
            for (const RecordedStream& stream : recording.streams) {
                const auto users = tools_.index.recordings_of(stream.stream_id);
                if (!users) return std::unexpected(users.error());
                const bool shared = !std::ranges::all_of(
                    *users, [&](std::uint64_t ident) { return std::ranges::binary_search(summary_.purged, ident); });
                if (!shared) streams_.insert(stream.stream_id);
            }
        }
        summary_.streams = streams_.size();
        return {};
    }

    [[nodiscard]] std::vector<std::uint64_t> streams_of(const Recording& recording) const {
        std::vector<std::uint64_t> streams;
        for (const RecordedStream& stream : recording.streams)
            if (streams_.contains(stream.stream_id)) streams.push_back(stream.stream_id);
        return streams;
    }

    Result<> find_places() {
        for (const std::uint64_t stream : streams_) {
            const auto chunks = tools_.index.chunks(stream);
            if (!chunks) return std::unexpected(chunks.error());
            for (const ChunkEntry& chunk : *chunks)
                places_[chunk.segment].push_back({chunk.offset, chunk.bytes, RecordKind::audio, stream});
        }
        for (const Recording& recording : doomed_) {
            const auto documents = tools_.index.documents(recording.ident);
            if (!documents) return std::unexpected(documents.error());
            for (const DocumentEntry& document : *documents)
                places_[document.segment].push_back(
                    {document.offset, document.bytes, RecordKind::recording, recording.ident});
        }
        return find_unlisted_documents();
    }

    // Segments that an older program wrote are searched.
    Result<> find_unlisted_documents() {
        const auto known_from = tools_.index.documents_known_from();
        if (!known_from) return std::unexpected(known_from.error());
        const auto segments = list_segments(tools_.segment_directory);
        if (!segments) return std::unexpected(segments.error());
        for (const std::uint32_t segment : *segments) {
            if (segment >= *known_from) break;
            auto& places = places_[segment];
            auto visit = [&](std::uint64_t offset, const RecordHeader& header, std::span<const std::byte> record) {
                if (header.kind == RecordKind::recording &&
                    std::ranges::binary_search(summary_.purged, header.recording))
                    places.push_back(
                        {offset, static_cast<std::uint32_t>(record.size()), RecordKind::recording, header.recording});
                return Result<>{};
            };
            auto scanned = scan_segment(segment_path(tools_.segment_directory, segment), 0, visit);
            if (!scanned) return std::unexpected(scanned.error());
        }
        return {};
    }

    // The bodies first, then the headers: as long as one stands, what a crash interrupts finds its record again.
    Result<> destroy() {
        if (auto keys = forget_keys(); !keys) return keys;
        for (auto& [segment, places] : places_) {
            const File file(segment_path(tools_.segment_directory, segment));
            if (!file.is_open() && errno == ENOENT) continue;  // nothing of it is left
            if (!file.is_open())
                return fail("{}: {}", segment_path(tools_.segment_directory, segment), strerror(errno));
            // Another record than the one expected, or none: done before, and what lies here now is another's.
            std::erase_if(places, [&](const Place& place) { return !header_at(file, place); });
            for (const Place& place : places)
                if (auto zeroed = file.zero(place.body(), place.end()); !zeroed) return zeroed;
            if (auto synced = file.sync(); !synced) return synced;
            for (const Place& place : places)
                if (auto zeroed = file.zero(place.offset, place.body()); !zeroed) return zeroed;
            if (auto synced = file.sync(); !synced) return synced;
            for (const Place& place : places) give_back(file, place);
        }
        return {};
    }

    // Every block of the record that is all zeros now. At its ends that may be thanks to a neighbour that went before.
    // All of these blocks are on disk already, so none of them is being written at this moment.
    void give_back(const File& file, const Place& place) {
        const std::uint64_t from = place.offset / kBlockBytes * kBlockBytes, to = align_up(place.end(), kBlockBytes);
        for (const std::uint64_t edge : {from, to - kBlockBytes})
            if (file.is_zero(edge)) file.punch(edge, edge + kBlockBytes);
        if (to - from > 2 * kBlockBytes) file.punch(from + kBlockBytes, to - kBlockBytes);
        ++(place.kind == RecordKind::audio ? summary_.chunks : summary_.documents);
        summary_.bytes += place.end() - place.offset;
    }

    // Before the bodies go: the headers name the keys.
    Result<> forget_keys() {
        std::set<std::uint64_t> keys;
        for (const auto& [segment, places] : places_) {
            const File file(segment_path(tools_.segment_directory, segment));
            if (!file.is_open()) continue;
            for (const Place& place : places) {
                const auto header = header_at(file, place);
                if (header && (header->flags & kRecordEncrypted) != 0) keys.insert(header->key_id);
            }
        }
        summary_.keys = keys.size();
        if (keys.empty() || !tools_.forget_keys) return {};
        return tools_.forget_keys(std::vector<std::uint64_t>(keys.begin(), keys.end()));
    }

    // nullopt when another record than the one expected lies there, or none.
    static std::optional<RecordHeader> header_at(const File& file, const Place& place) {
        if (place.bytes < sizeof(RecordHeader) || place.bytes > SegmentWriter::kMaxRecordBytes) return std::nullopt;
        std::array<std::byte, sizeof(ChunkHeader)> bytes{};
        const std::size_t wanted = place.body() - place.offset;
        if (place.bytes < wanted || !file.read(std::span(bytes).first(wanted), place.offset)) return std::nullopt;
        ChunkHeader header;
        std::memcpy(&header, bytes.data(), wanted);
        const bool ours = header.record.magic == kRecordMagic && header.record.kind == place.kind &&
                          header.record.total_bytes == place.bytes &&
                          (place.kind == RecordKind::audio ? header.stream_id : header.record.recording) == place.owner;
        return ours ? std::optional(header.record) : std::nullopt;
    }

    Result<> remove_empty_segments() {
        bool any = false;
        for (const auto& [segment, places] : places_) {
            if (segment >= tools_.first_open_segment) continue;
            const std::string path = segment_path(tools_.segment_directory, segment);
            bool living = false;
            constexpr const char* kEnough = "enough";
            auto visit = [&](std::uint64_t, const RecordHeader& header, std::span<const std::byte>) -> Result<> {
                living |= header.kind != RecordKind::purge;
                return living ? Result<>(std::unexpected(Error{kEnough})) : Result<>{};
            };
            const auto scanned = scan_segment(path, 0, visit);
            if (living || !scanned || scanned->damaged > 0) continue;  // what cannot be read is not thrown away
            if (unlink(path.c_str()) != 0) return fail("{}: cannot be removed: {}", path, strerror(errno));
            ++summary_.segments_removed;
            any = true;
        }
        if (!any) return {};
        const int directory = open(tools_.segment_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const bool synced = directory >= 0 && fsync(directory) == 0;
        if (directory >= 0) ::close(directory);
        return synced ? Result<>{} : fail("{}: cannot be synced", tools_.segment_directory);
    }

    const PurgeTools& tools_;
    PurgeSummary summary_;
    std::vector<Recording> doomed_;    // rising idents, as summary_.purged
    std::set<std::uint64_t> streams_;  // that go with them
    Places places_;
};

}  // namespace

Result<PurgeSummary> purge(const PurgeTools& tools, const std::vector<std::uint64_t>& idents) {
    return Purge(tools).run(idents, false);
}

Result<PurgeSummary> resume_purge(const PurgeTools& tools) {
    const auto idents = tools.index.purging();
    if (!idents) return std::unexpected(idents.error());
    if (idents->empty()) return PurgeSummary{};
    return Purge(tools).run(*idents, true);
}

namespace {

// One record, durable, in a segment behind all others. fill: writes it into its room.
Result<RecordPosition> write_own_segment(const std::string& directory, const Index& index, std::uint32_t bytes,
                                         const std::function<void(std::span<std::byte>)>& fill) {
    const auto segments = list_segments(directory);
    if (!segments) return std::unexpected(segments.error());
    const auto watermark = index.watermark();
    if (!watermark) return std::unexpected(watermark.error());
    std::uint32_t number = watermark->segment + 1;
    if (!segments->empty()) number = std::max(number, segments->back() + 1);
    auto writer = SegmentWriter::open(
        {.directory = directory, .segment_bytes = 2 * SegmentWriter::kBufferBytes, .buffers = 2}, number);
    if (!writer) return std::unexpected(writer.error());
    auto room = (*writer)->reserve(bytes);
    if (!room) return std::unexpected(room.error());
    fill(*room);
    const RecordPosition position = (*writer)->commit();
    if (auto flushed = (*writer)->flush(); !flushed) return std::unexpected(flushed.error());
    if (auto durable = (*writer)->reap(true); !durable) return std::unexpected(durable.error());
    return position;
}

}  // namespace

std::function<Result<>(std::uint64_t, const std::vector<std::uint64_t>&)> records_in_own_segments(
    std::string segment_directory, const Index& index) {
    return [directory = std::move(segment_directory), &index](std::uint64_t ident,
                                                              const std::vector<std::uint64_t>& streams) -> Result<> {
        auto written = write_own_segment(directory, index, purge_record_bytes(streams.size()),
                                         [&](std::span<std::byte> room) { write_purge(room, ident, streams); });
        return written ? Result<>{} : std::unexpected(written.error());
    };
}

Result<> put_document(const std::string& segment_directory, Index& index, const Recording& recording) {
    const std::string json = to_json(recording);
    auto written = write_own_segment(segment_directory, index, static_cast<std::uint32_t>(document_record_bytes(json)),
                                     [&](std::span<std::byte> room) { write_document(room, recording, json); });
    if (!written) return std::unexpected(written.error());
    Index::Batch batch;
    batch.recordings.push_back(recording);
    batch.documents.push_back({recording.ident, written->segment, written->offset, written->bytes});
    batch.watermark = Watermark{written->segment, written->offset + written->bytes};
    return index.put(batch);
}

}  // namespace spantape
