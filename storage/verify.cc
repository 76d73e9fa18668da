// SPDX-License-Identifier: AGPL-3.0-or-later
// Three walks: over the segments, summing up the chunks of each; over the index, summing up what it says of each
// segment; over its recordings. Segments whose two sums differ are looked at chunk by chunk afterwards.
#include "storage/verify.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "storage/index/index_lock.h"
#include "storage/segment/reader.h"
#include "storage/segment/record.h"
#include "storage/segment/scan.h"
#include "storage/segment/writer.h"
#include "storage/stream_seal.h"
#include "storage/used_numbers.h"
#include "storage/verify_scan.h"

namespace spantape {

namespace {

constexpr std::uint64_t kProgressBytes = 8u << 20;

struct Place {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
};

struct SegmentTally {
    ChunkSum sealed, indexed;
};

std::uint64_t hash_of(const Recording& recording) { return std::hash<std::string>{}(to_json(recording)); }

class Verifier {
public:
    Verifier(const Index& index, const SegmentStore& segments, const VerifyOptions& options)
        : index_(index), segments_(segments), directory_(segments.directory), options_(options) {}

    Result<VerifyReport> run() {
        const auto watermark = index_.watermark();
        if (!watermark) return std::unexpected(watermark.error());
        watermark_ = {watermark->segment, watermark->offset};
        const auto segments = list_segments(directory_);
        if (!segments) return std::unexpected(segments.error());
        if (auto scanned = scan_all(*segments); !scanned) return std::unexpected(scanned.error());
        if (auto walked = walk_streams(); !walked) return std::unexpected(walked.error());
        if (auto compared = compare_chunks(); !compared) return std::unexpected(compared.error());
        if (auto walked = walk_recordings(); !walked) return std::unexpected(walked.error());
        if (auto compared = compare_numbers(); !compared) return std::unexpected(compared.error());
        if (auto named = name_recordings(); !named) return std::unexpected(named.error());
        std::ranges::stable_sort(report_.damage, {}, [](const Damage& damage) {
            return std::tuple(damage.segment, damage.offset, damage.stream_id);
        });
        report_.remnants = torn_.size();
        return report_;
    }

private:
    Damage& found(Damage::What what, std::string reason) {
        ++report_.damage_in_all;
        if (report_.damage.size() >= VerifyReport::kMostListed) return unlisted_ = {};
        Damage damage;
        damage.what = what;
        damage.reason = std::move(reason);
        return report_.damage.emplace_back(std::move(damage));
    }
    void found_at(const ChunkEntry& chunk, Damage::What what, std::string reason) {
        Damage& damage = found(what, std::move(reason));
        damaged_streams_.insert(chunk.stream_id);
        damage.stream_id = chunk.stream_id;
        damage.chunk_number = chunk.chunk_number;
        damage.segment = chunk.segment;
        damage.offset = chunk.offset;
    }

    // --- the segments ----------------------------------------------------------------------------------------------

    Result<> scan_all(const std::vector<std::uint32_t>& segments) {
        std::error_code gone;
        for (const std::uint32_t segment : segments) {
            const auto bytes = std::filesystem::file_size(segment_path(directory_, segment), gone);
            if (!gone) bytes_total_ += bytes;
        }
        for (const std::uint32_t segment : segments) {
            SegmentTally& tally = tallies_[segment];
            bytes_before_ = report_.bytes;
            auto visit = [&](std::uint64_t offset, const RecordHeader& header, std::span<const std::byte> record) {
                take({segment, offset}, header, record, tally);
                return Result<>{};
            };
            ScanOptions scan;
            scan.on_damage = [&](std::uint64_t offset, const std::string& reason) {
                take_damage({segment, offset}, reason);
            };
            auto scanned = scan_segment(segment_path(directory_, segment), 0, visit, scan);
            if (!scanned) {  // removed since it was listed, or no file that can be opened: the index tells which
                found(Damage::What::segment, scanned.error().message).segment = segment;
                continue;
            }
            ++report_.segments;
            report_.bytes += scanned->file_bytes;
            tell_progress(0);
        }
        documents_.tidy();
        std::ranges::sort(purged_);
        std::ranges::sort(purged_streams_);
        std::ranges::sort(rewritten_);
        for (auto& [entry, reason] : unreadable_)  // of a purged stream the key is forgotten
            if (!std::ranges::binary_search(purged_streams_, entry.stream_id))
                found_at(entry, Damage::What::chunk, std::move(reason));
        report_.purged = purged_.size();
        return {};
    }

    void tell_progress(std::uint64_t in_segment) {
        if (!options_.progress) return;
        const std::uint64_t done = in_segment == 0 ? report_.bytes : bytes_before_ + in_segment;
        if (in_segment != 0 && done < told_bytes_ + kProgressBytes) return;
        told_bytes_ = done;
        options_.progress(std::min(done, bytes_total_), bytes_total_);
    }

    void take(const Place& place, const RecordHeader& header, std::span<const std::byte> record, SegmentTally& tally) {
        tell_progress(place.offset);
        if (header.kind == RecordKind::audio) take_chunk(place, record, tally);
        if (header.kind == RecordKind::recording) take_document(place, header, record);
        if (header.kind == RecordKind::purge && place < watermark_) take_purge(header, record);
    }

    void take_chunk(const Place& place, std::span<const std::byte> record, SegmentTally& tally) {
        ChunkHeader header;
        std::memcpy(&header, record.data(), sizeof header);
        if (place >= watermark_) {
            ++report_.not_indexed;
            return;
        }
        const ChunkEntry entry = entry_of(header, place.segment, place.offset);
        tally.sealed.add(entry);
        ++report_.chunks;
        used_.take(header);
        Chain& chain = chains_[header.stream_id];
        chain.in_order &= header.chunk_number == chain.seal.chunks;
        if (chain.in_order) chain.seal.extend(header.chunk_number, header.record);
        if (header.record.rewrites > 0) rewritten_.push_back(header.stream_id);
        const auto frames = count_frames(record);
        const bool redacted = (header.record.flags & kRecordRedacted) != 0;
        if (!frames) {
            unreadable_.emplace_back(entry, frames.error().message);
        } else if (*frames > header.frames || (*frames < header.frames && !redacted)) {
            found_at(entry, Damage::What::chunk,
                     fmt::format("holds {} frames, its header says {}", *frames, header.frames));
        } else {
            report_.frames += *frames;
        }
    }

    Result<std::uint32_t> count_frames(std::span<const std::byte> record) const {
        const auto chunk = parse_chunk(record, segments_.keyring.get());
        if (!chunk) return std::unexpected(chunk.error());
        std::uint32_t frames = 0;
        if (!chunk->for_each_frame([&](const StoredFrame&) { ++frames; })) return fail("its body is malformed");
        return frames;
    }

    void take_document(const Place& place, const RecordHeader& header, std::span<const std::byte> record) {
        if (place >= watermark_) return;
        const auto recording = parse_document(record);
        if (!recording || recording->ident != header.recording) {
            Damage& damage = found(
                Damage::What::document,
                recording ? fmt::format("is of recording {}, its header says {}", recording->ident, header.recording)
                          : recording.error().message);
            damage.recordings = {header.recording};
            damage.segment = place.segment;
            damage.offset = place.offset;
            return;
        }
        used_.take(*recording);
        documents_.add(recording->ident, hash_of(*recording), recording->state == RecordingState::recording);
    }

    void take_purge(const RecordHeader& header, std::span<const std::byte> record) {
        used_.ident = std::max(used_.ident, header.recording);
        purged_.push_back(header.recording);
        const auto streams = purged_streams(record);
        purged_streams_.insert(purged_streams_.end(), streams.begin(), streams.end());
    }

    // What stood there is told by the index, if it was ever announced. Bytes that cannot be read are damage in any
    // case: nobody can tell what they are.
    void take_damage(const Place& place, const std::string& reason) {
        const bool torn = place.offset != 0 && reason.find("cannot be read") == std::string::npos;
        if (torn) {
            if (place < watermark_) torn_.insert(place);
            return;
        }
        Damage& damage = found(Damage::What::segment, reason);
        damage.segment = place.segment;
        damage.offset = place.offset;
    }

    // --- the index's chunks ----------------------------------------------------------------------------------------

    Result<> walk_streams() {
        return index_.for_each_stream([this](std::uint64_t stream_id, const std::vector<ChunkEntry>& chunks) {
            StreamExtent extent{.stream_id = stream_id};
            for (std::uint32_t expected = 0; const ChunkEntry& chunk : chunks) {
                tallies_[chunk.segment].indexed.add(chunk);
                if (chunk.chunk_number != expected) extent.gap = true;
                if (!extent.gap) extent.frames += chunk.frames;
                if (!extent.gap) extent.next_chunk = ++expected;
            }
            used_.take_stream(stream_id);
            streams_.push_back(extent);
            ++report_.streams;
            report_.gaps += extent.gap ? 1 : 0;
            return Result<>{};
        });
    }

    // Segment by segment where the sums differ, as many at once as memory takes.
    Result<> compare_chunks() {
        std::vector<std::uint32_t> group;
        std::uint64_t chunks = 0;
        for (const auto& [segment, tally] : tallies_) {
            if (tally.sealed == tally.indexed) continue;
            if (!group.empty() && chunks + tally.sealed.chunks > options_.chunks_at_once) {
                if (auto compared = compare_group(group); !compared) return compared;
                group.clear();
                chunks = 0;
            }
            group.push_back(segment);
            chunks += tally.sealed.chunks;
        }
        return group.empty() ? Result<>{} : compare_group(group);
    }

    struct Sealed {
        Place place;
        std::uint64_t hash = 0;
        std::uint64_t stream_id = 0;
        std::uint32_t chunk_number = 0;
        bool indexed = false;
    };

    Result<> compare_group(const std::vector<std::uint32_t>& group) {
        std::vector<Sealed> sealed;
        for (const std::uint32_t segment : group) {
            auto note = [&](std::uint64_t offset, const RecordHeader& header, std::span<const std::byte> record) {
                if (header.kind != RecordKind::audio || Place{segment, offset} >= watermark_) return Result<>{};
                ChunkHeader chunk;
                std::memcpy(&chunk, record.data(), sizeof chunk);
                sealed.push_back({{segment, offset},
                                  ChunkSum::mixed(entry_of(chunk, segment, offset), 0),
                                  chunk.stream_id,
                                  chunk.chunk_number,
                                  false});
                return Result<>{};
            };
            static_cast<void>(scan_segment(segment_path(directory_, segment), 0, note));
        }
        const std::unordered_set<std::uint32_t> wanted(group.begin(), group.end());
        SegmentReader reader(segments_);
        auto walked = index_.for_each_stream([&](std::uint64_t, const std::vector<ChunkEntry>& chunks) {
            for (const ChunkEntry& chunk : chunks) {
                if (wanted.contains(chunk.segment)) compare(chunk, sealed, reader);
            }
            return Result<>{};
        });
        if (!walked) return walked;
        for (const Sealed& chunk : sealed) {
            if (chunk.indexed) continue;
            if (auto judged = judge_unlisted(chunk); !judged) return judged;
        }
        return {};
    }

    void compare(const ChunkEntry& chunk, std::vector<Sealed>& sealed, SegmentReader& reader) {
        const Place place{chunk.segment, chunk.offset};
        const auto at = std::ranges::lower_bound(sealed, place, {}, &Sealed::place);
        const bool there = at != sealed.end() && at->place == place;
        if (there) at->indexed = true;
        torn_.erase(place);
        if (there && at->hash == ChunkSum::mixed(chunk, 0)) return;
        const auto read = reader.read(chunk);
        if (read && place >= watermark_) return;  // sealed, but not looked at
        if (read) {
            found_at(chunk, Damage::What::chunk, "the index has other frames or times than the chunk");
        } else {
            std::string reason = read.error().message;  // names the place, which the damage does, too
            const std::string place_text =
                fmt::format("{} at {}: ", segment_path(directory_, chunk.segment), chunk.offset);
            if (reason.starts_with(place_text)) reason.erase(0, place_text.size());
            found_at(chunk, Damage::What::chunk, std::move(reason));
        }
    }

    Result<> judge_unlisted(const Sealed& chunk) {
        if (std::ranges::binary_search(purged_streams_, chunk.stream_id)) return {};
        const auto known = index_.chunks(chunk.stream_id);
        if (!known) return std::unexpected(known.error());
        const auto other = std::ranges::lower_bound(*known, chunk.chunk_number, {}, &ChunkEntry::chunk_number);
        const bool same = other != known->end() && other->chunk_number == chunk.chunk_number;
        if (same && Place{other->segment, other->offset} > chunk.place) {
            ++report_.superseded;
            return {};
        }
        found_at({chunk.stream_id, chunk.chunk_number, chunk.place.segment, chunk.place.offset}, Damage::What::unlisted,
                 same ? "the index has an older copy of it" : "the index does not know this chunk");
        return {};
    }

    // --- the index's recordings ------------------------------------------------------------------------------------

    Result<> walk_recordings() {
        auto walked = index_.for_each_recording([this](std::uint64_t ident, const Result<Recording>& recording) {
            ++report_.recordings;
            idents_.push_back(ident);
            if (!recording) {
                found(Damage::What::document, "in the index: " + recording.error().message).recordings = {ident};
                return Result<>{};
            }
            used_.take(*recording);
            compare_document(ident, *recording);
            for (const RecordedStream& stream : recording->streams) {
                check_stream(*recording, stream);
                check_seal(*recording, stream);
            }
            return Result<>{};
        });
        if (!walked) return walked;
        for (const auto& document : documents_.all()) {
            if (std::ranges::binary_search(idents_, document.ident)) continue;
            if (std::ranges::binary_search(purged_, document.ident)) continue;
            found(Damage::What::document, "the segments hold it, the index does not").recordings = {document.ident};
        }
        return {};
    }

    // What recovery made of a recording that a crash cut off is in the index alone: the document in the segments is
    // unfinished, or called stored (reader.h). So is a document that fits into no segment.
    void compare_document(std::uint64_t ident, const Recording& recording) {
        if (std::ranges::binary_search(purged_, ident)) {
            found(Damage::What::document, "was purged, and the index still has it").recordings = {ident};
            return;
        }
        const auto* document = documents_.find(ident);
        const bool cut_off = recording.state == RecordingState::interrupted;
        if (document == nullptr) {
            const bool fits = sizeof(RecordHeader) + to_json(recording).size() <= SegmentWriter::kMaxRecordBytes;
            if (!cut_off && fits) found(Damage::What::document, "no segment holds it").recordings = {ident};
            return;
        }
        if (document->hash == hash_of(recording) || (cut_off && document->unfinished)) return;
        Recording as_written = recording;
        as_written.state = RecordingState::stored;
        if (cut_off && document->hash == hash_of(as_written)) return;
        found(Damage::What::document, "the newest one in the segments is another one").recordings = {ident};
    }

    // A recording that is called stored has all of its audio. In one that a crash cut off, chunks may be missing
    // between others: of what was not announced, a power loss takes any part.
    void check_stream(const Recording& recording, const RecordedStream& stream) {
        if (recording.state != RecordingState::stored || stream.counters.stored == 0) return;
        const auto at = std::ranges::lower_bound(streams_, stream.stream_id, {}, &StreamExtent::stream_id);
        const bool there = at != streams_.end() && at->stream_id == stream.stream_id;
        const StreamExtent extent = there ? *at : StreamExtent{};
        // What a blackout took out is counted in the document all the same.
        const bool comparable =
            stream.counters.blacked_out == 0 && !std::ranges::binary_search(rewritten_, stream.stream_id);
        if (comparable ? extent.frames >= stream.counters.stored : there && !extent.gap) return;
        Damage& damage = found(Damage::What::stream,
                               fmt::format("{} of {} frames are there{}", extent.frames, stream.counters.stored,
                                           extent.gap ? ", then a chunk is missing" : ""));
        damage.recordings = {recording.ident};
        damage.stream_id = stream.stream_id;
        if (extent.gap) damage.chunk_number = extent.next_chunk;
    }

    // --- the rest --------------------------------------------------------------------------------------------------

    Result<> compare_numbers() {
        for (const auto& [series, highest] : used_.series()) {
            const auto next = index_.next_number(series);
            if (!next) return std::unexpected(next.error());
            if (highest < *next) continue;
            found(Damage::What::numbers,
                  fmt::format("series '{}' would give {} next, {} is taken", series, *next, highest));
        }
        return {};
    }

    Result<> name_recordings() {
        std::unordered_multimap<std::uint64_t, Damage*> by_stream;
        for (Damage& damage : report_.damage)
            if (damage.stream_id != 0 && damage.recordings.empty()) by_stream.emplace(damage.stream_id, &damage);
        if (by_stream.empty()) return {};
        return index_.for_each_recording([&](std::uint64_t ident, const Result<Recording>& recording) {
            if (!recording) return Result<>{};
            for (const RecordedStream& stream : recording->streams) {
                const auto [from, to] = by_stream.equal_range(stream.stream_id);
                for (auto at = from; at != to; ++at) at->second->recordings.push_back(ident);
            }
            return Result<>{};
        });
    }

    // What the recording was when it ended. A redaction changes it, and is in the integrity log.
    void check_seal(const Recording& recording, const RecordedStream& stream) {
        if (recording.state != RecordingState::stored || stream.seal.empty()) return;
        if (std::ranges::binary_search(rewritten_, stream.stream_id)) return;
        if (damaged_streams_.contains(stream.stream_id)) return;  // that is why
        const auto chain = chains_.find(stream.stream_id);
        const bool known =
            chain != chains_.end() && chain->second.in_order && chain->second.seal.chunks == stream.chunks;
        const auto seal = known ? Result<StreamSeal>(chain->second.seal)
                                : seal_of_stream(index_, directory_, stream.stream_id, stream.chunks);
        if (seal && seal->hex() == stream.seal) return;
        Damage& damage = found(Damage::What::stream, seal ? "its chunks are others than those that were recorded"
                                                          : "its seal: " + seal.error().message);
        damage.recordings = {recording.ident};
        damage.stream_id = stream.stream_id;
    }

    struct Chain {
        StreamSeal seal;
        bool in_order = true;
    };
    struct StreamExtent {
        std::uint64_t stream_id = 0;
        std::uint64_t frames = 0;  // up to the first chunk that is missing
        std::uint32_t next_chunk = 0;
        bool gap = false;
    };

    const Index& index_;
    const SegmentStore& segments_;
    const std::string& directory_;
    const VerifyOptions& options_;
    Place watermark_;
    std::map<std::uint32_t, SegmentTally> tallies_;
    NewestDocuments documents_;
    UsedNumbers used_;
    std::vector<std::uint64_t> purged_, purged_streams_, rewritten_, idents_;
    std::vector<std::pair<ChunkEntry, std::string>> unreadable_;
    std::unordered_map<std::uint64_t, Chain> chains_;
    std::unordered_set<std::uint64_t> damaged_streams_;
    std::vector<StreamExtent> streams_;
    std::set<Place> torn_;
    std::uint64_t bytes_total_ = 0, bytes_before_ = 0, told_bytes_ = 0;
    VerifyReport report_;
    Damage unlisted_;
};

// What the daemon did between our looks at index and segments looks like damage, but not twice.
void keep_what_both_found(VerifyReport& report, const VerifyReport& before) {
    if (report.damage_in_all > report.damage.size()) return;
    std::erase_if(report.damage, [&](const Damage& damage) {
        return std::ranges::none_of(before.damage, [&](const Damage& other) { return damage.same_place(other); });
    });
    report.damage_in_all = report.damage.size();
}

}  // namespace

const char* name_of(Damage::What what) {
    switch (what) {
        case Damage::What::chunk:
            return "chunk";
        case Damage::What::unlisted:
            return "unlisted";
        case Damage::What::document:
            return "document";
        case Damage::What::stream:
            return "stream";
        case Damage::What::segment:
            return "segment";
        case Damage::What::numbers:
            return "numbers";
    }
    return "";
}

Result<VerifyReport> verify(const Index& index, const SegmentStore& segments, const VerifyOptions& options) {
    return Verifier(index, segments, options).run();
}

Result<VerifyReport> verify_store(const std::string& store, const VerifyOptions& options) {
    const std::string directory = store + "/index";
    auto keyring = Keyring::open_read_only(store, master_key_of(store, options.master_key));
    if (!keyring) return std::unexpected(keyring.error());
    const SegmentStore segments(store + "/segments", std::move(*keyring));
    auto look = [&]() -> Result<VerifyReport> {
        const auto index = Index::open_read_only(directory);
        if (!index) return std::unexpected(index.error());
        return verify(**index, segments, options);
    };
    auto report = look();
    if (!report || report->whole() || !index_in_use(directory)) return report;
    auto again = look();
    if (again) keep_what_both_found(*again, *report);
    return again;
}

}  // namespace spantape
