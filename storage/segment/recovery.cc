// SPDX-License-Identifier: AGPL-3.0-or-later
// Recovery: puts back what the index lacks after a crash, and brings interrupted recordings to an end. Runs before
// any writer, alone with the segments and the index.
#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include <unistd.h>

#include "storage/segment/interrupted.h"
#include "storage/segment/reader.h"
#include "storage/segment/record.h"
#include "storage/segment/scan.h"
#include "storage/used_numbers.h"

namespace spantape {

namespace {

constexpr std::size_t kBatchRecords = 4096;

class Recovery {
public:
    Recovery(const SegmentStore& segments, Index& index, const RecoveryProgress& progress)
        : directory_(segments.directory), index_(index), reader_(segments), progress_(progress) {}

    Result<RecoveryResult> run() {
        const auto watermark = index_.watermark();
        if (!watermark) return std::unexpected(watermark.error());
        watermark_ = *watermark;
        const auto unfinished = index_.unfinished();
        if (!unfinished) return std::unexpected(unfinished.error());
        look_back_ = !unfinished->empty();
        const auto segments = list_segments(directory_);
        if (!segments) return std::unexpected(segments.error());
        if (auto scanned = scan_all(*segments); !scanned) return std::unexpected(scanned.error());

        result_.next_segment = std::max(1u, watermark_.segment + (watermark_.offset > 0 ? 1 : 0));
        if (!segments->empty()) result_.next_segment = std::max(result_.next_segment, segments->back() + 1);
        batch_.watermark = Watermark{result_.next_segment, 0};
        if (auto put = put_batch(); !put) return std::unexpected(put.error());
        // Where the index failed for long, control went on with numbers that it had not taken from it.
        if (auto raised = highest_.raise(index_); !raised) return std::unexpected(raised.error());
        if (auto ended = end_unfinished(); !ended) return std::unexpected(ended.error());
        if (auto doubted = doubt_stored(); !doubted) return std::unexpected(doubted.error());
        return result_;
    }

private:
    Result<> scan_all(const std::vector<std::uint32_t>& segments) {
        const std::uint32_t first = first_segment(segments);
        for (const std::uint32_t segment : segments) {
            if (segment < first) continue;
            if (progress_) progress_(segment);
            auto scanned = scan_one(segment);
            if (!scanned) return std::unexpected(scanned.error());
            ++result_.summary.segments;
            result_.summary.damaged_records += scanned->damaged;
            if (scanned->core_id != 0) core_id_ = scanned->core_id;
            // What was pre-allocated and never written goes back to the file system.
            const std::uint64_t used = align_up(std::max<std::uint64_t>(scanned->used_bytes, 1), kBlockBytes);
            const std::string path = segment_path(directory_, segment);
            if (scanned->file_bytes > used && truncate(path.c_str(), static_cast<off_t>(used)) != 0) {
                continue;  // a read-only store can be recovered too
            }
        }
        return {};
    }

    // Where to begin: a little before the watermark, if a crash left recordings open. The streams of a recording may
    // have been indexed when the document that names them was not yet durable.
    [[nodiscard]] std::uint32_t first_segment(const std::vector<std::uint32_t>& segments) const {
        if (!look_back_) return watermark_.segment;
        std::uint32_t first = watermark_.segment;
        for (const std::uint32_t segment : segments) {
            if (segment < watermark_.segment) first = segment;
        }
        constexpr std::uint64_t kEnough = 64u << 20;
        return watermark_.offset < kEnough ? first : watermark_.segment;
    }

    Result<ScanResult> scan_one(std::uint32_t segment) {
        auto visit = [&](std::uint64_t offset, const RecordHeader& header, std::span<const std::byte> record) {
            return take(segment, offset, header, record);
        };
        const std::uint64_t from = segment == watermark_.segment && !look_back_ ? watermark_.offset : 0;
        return scan_segment(segment_path(directory_, segment), from, visit);
    }

    Result<> take(std::uint32_t segment, std::uint64_t offset, const RecordHeader& header,
                  std::span<const std::byte> record) {
        const bool indexed =
            segment < watermark_.segment || (segment == watermark_.segment && offset < watermark_.offset);
        if (header.kind == RecordKind::recording && !indexed)
            batch_.documents.push_back({header.recording, segment, offset, static_cast<std::uint32_t>(record.size())});
        if (header.kind == RecordKind::audio) take_chunk(segment, offset, record, indexed);
        if (header.kind == RecordKind::recording) take_document(record, indexed);
        if (header.kind == RecordKind::purge) return take_purge(header, record);
        if (batch_.chunks.size() + batch_.recordings.size() < kBatchRecords) return {};
        batch_.watermark = Watermark{segment, offset + record.size()};
        return put_batch();
    }

    // Whether it was carried out before the crash or not: it is again. All that it forbids lies in earlier places.
    Result<> take_purge(const RecordHeader& header, std::span<const std::byte> record) {
        highest_.ident = std::max(highest_.ident, header.recording);
        const auto streams = purged_streams(record);
        for (const std::uint64_t stream : streams) tails_.erase(stream);
        if (auto put = put_batch(); !put) return put;
        return index_.purge(header.recording, streams);
    }

    void take_chunk(std::uint32_t segment, std::uint64_t offset, std::span<const std::byte> record, bool indexed) {
        ChunkHeader header;
        std::memcpy(&header, record.data(), sizeof header);
        highest_.take(header);
        if (header.record.rewrites > 0) rewritten_.insert(header.stream_id);
        StreamTail& tail = tails_[header.stream_id];
        if (header.chunk_number >= tail.header.chunk_number) tail.header = header;
        if (indexed) return;
        tail.fresh = true;
        ++result_.summary.chunks;
        batch_.chunks.push_back({header.stream_id, header.chunk_number, segment, offset,
                                 static_cast<std::uint32_t>(record.size()), header.frames, header.first_ns,
                                 header.last_ns});
    }

    void take_document(std::span<const std::byte> record, bool indexed) {
        auto recording = parse_document(record);
        if (!recording) {
            ++result_.summary.damaged_records;
            return;
        }
        known_sessions_.insert(recording->session_id);
        highest_.take(*recording);
        if (indexed) return;
        if (recording->state == RecordingState::stored) called_stored_.insert(recording->ident);
        ++result_.summary.recordings;
        const auto older = std::ranges::find(batch_.recordings, recording->ident, &Recording::ident);
        if (older == batch_.recordings.end()) {
            batch_.recordings.push_back(std::move(*recording));
        } else {
            *older = std::move(*recording);  // the later one in segment order is the newer
        }
    }

    Result<> put_batch() {
        auto put = index_.put(batch_);
        batch_ = {};
        return put;
    }

    Result<> end_unfinished() {
        auto unfinished = index_.unfinished();
        if (!unfinished) return std::unexpected(unfinished.error());
        std::unordered_multimap<std::uint64_t, std::uint64_t> streams_of;  // session -> streams
        for (const auto& [stream, tail] : tails_) streams_of.emplace(tail.header.record.session_id, stream);

        std::unordered_set<std::uint64_t> listed;
        for (Recording& recording : *unfinished) {
            known_sessions_.insert(recording.session_id);
            if (recording.session_id != 0) adopt_streams(recording, streams_of);
            for (const RecordedStream& stream : recording.streams) listed.insert(stream.stream_id);
            if (auto ended = end(recording); !ended) return ended;
        }
        if (auto made = end_orphans(listed); !made) return made;
        return put_batch();
    }

    // A power loss takes any part of what was not synced: of a recording that was not announced the last document may
    // be there and audio before it not. It is not called stored then.
    Result<> doubt_stored() {
        for (const std::uint64_t ident : called_stored_) {
            auto recording = index_.recording(ident);
            if (!recording) return std::unexpected(recording.error());
            if (!*recording || (*recording)->state != RecordingState::stored) continue;
            for (const RecordedStream& stream : (*recording)->streams) {
                auto all = has_all(stream);
                if (!all) return std::unexpected(all.error());
                if (!*all) (*recording)->state = RecordingState::interrupted;
            }
            if ((*recording)->state == RecordingState::stored) continue;
            batch_.recordings.push_back(std::move(**recording));
            if (batch_.recordings.size() < kBatchRecords) continue;
            if (auto put = put_batch(); !put) return put;
        }
        return put_batch();
    }

    // Whether the chunks from the first on, up to one that is missing, are as many as the document's seal covers (a
    // chunk may hold marks alone, and count no frame), and hold as many frames as it counts.
    Result<bool> has_all(const RecordedStream& stream) const {
        const bool frames_tell = stream.counters.stored > 0 && stream.counters.blacked_out == 0;
        if (stream.seal.empty() && !frames_tell) return true;
        const auto chunks = index_.chunks(stream.stream_id);
        if (!chunks) return std::unexpected(chunks.error());
        std::uint64_t frames = 0;
        std::uint32_t number = 0;
        for (const ChunkEntry& chunk : *chunks) {
            if (chunk.chunk_number != number) break;
            ++number;
            frames += chunk.frames;
        }
        if (!stream.seal.empty() && number < stream.chunks) return false;
        return !frames_tell || frames >= stream.counters.stored || rewritten_.contains(stream.stream_id);
    }

    void adopt_streams(Recording& recording, const std::unordered_multimap<std::uint64_t, std::uint64_t>& streams_of) {
        std::vector<const ChunkHeader*> found;
        const auto [from, to] = streams_of.equal_range(recording.session_id);
        for (auto at = from; at != to; ++at) found.push_back(&tails_.at(at->second).header);
        add_missing_streams(recording, std::move(found));
    }

    Result<> end(Recording& recording) {
        for (RecordedStream& stream : recording.streams) {
            auto header = last_chunk(stream.stream_id);
            if (!header) return std::unexpected(header.error());
            if (header->has_value()) update_from_tail(recording, stream, **header);
        }
        mark_interrupted(recording);
        batch_.recordings.push_back(std::move(recording));
        return batch_.recordings.size() < kBatchRecords ? Result<>{} : put_batch();
    }

    // Of a stream whose chunks all lie before what was scanned, the index knows them.
    Result<std::optional<ChunkHeader>> last_chunk(std::uint64_t stream_id) {
        const auto tail = tails_.find(stream_id);
        if (tail != tails_.end()) return tail->second.header;
        auto chunks = index_.chunks(stream_id);
        if (!chunks) return std::unexpected(chunks.error());
        for (; !chunks->empty(); chunks->pop_back()) {
            if (auto chunk = reader_.read(chunks->back()); chunk) return chunk->header;
        }
        return std::nullopt;
    }

    // New audio whose session no document tells of, and which no recording lists.
    Result<> end_orphans(const std::unordered_set<std::uint64_t>& listed) {
        std::map<std::uint64_t, std::vector<const ChunkHeader*>> orphans;  // by session; without one, by stream
        for (const auto& [stream, tail] : tails_) {
            const std::uint64_t session = tail.header.record.session_id;
            if (!tail.fresh || listed.contains(stream) || known_sessions_.contains(session)) continue;
            orphans[session != 0 ? session : stream].push_back(&tail.header);
        }
        for (auto& [key, streams] : orphans) {
            const auto ident = index_.take_numbers("ident", 1);
            const auto call = index_.take_numbers("global_call", 1);
            if (!ident) return std::unexpected(ident.error());
            if (!call) return std::unexpected(call.error());
            Recording recording;
            recording.ident = *ident;
            recording.core_id = core_id_;
            recording.global_call_id = fmt::format("{:04}{:010}", core_id_, *call);
            recording.session_id = streams.front()->record.session_id;
            recording.device_id = "unknown";
            add_missing_streams(recording, std::move(streams));
            if (auto ended = end(recording); !ended) return ended;
            ++result_.summary.recordings;
        }
        return {};
    }

    struct StreamTail {
        ChunkHeader header;  // of its last chunk
        bool fresh = false;  // has chunks that the index lacked
    };

    const std::string& directory_;
    Index& index_;
    SegmentReader reader_;
    const RecoveryProgress& progress_;
    Watermark watermark_;
    bool look_back_ = false;
    std::uint32_t core_id_ = 1;
    UsedNumbers highest_;
    std::unordered_set<std::uint64_t> called_stored_;  // recordings, by documents that the index lacked
    std::unordered_set<std::uint64_t> rewritten_;      // streams that a redaction took frames out of
    std::unordered_map<std::uint64_t, StreamTail> tails_;
    std::unordered_set<std::uint64_t> known_sessions_;
    Index::Batch batch_;
    RecoveryResult result_;
};

}  // namespace

Result<RecoveryResult> recover(const SegmentStore& segments, Index& index, const RecoveryProgress& progress) {
    return Recovery(segments, index, progress).run();
}

}  // namespace spantape
