// SPDX-License-Identifier: AGPL-3.0-or-later
// The index: recordings, their chunks, every searchable field, counters that must not repeat. RocksDB, known only in
// this folder. Thread-safe: the writer puts, control and exporters read.
//
// Order of truth: an entry is put here only after the bytes that it points to are durable in a segment.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/recording.h"

namespace spantape {

// Where one audio chunk lies.
struct ChunkEntry {
    std::uint64_t stream_id = 0;
    std::uint32_t chunk_number = 0;  // 0, 1, 2 … within the stream
    std::uint32_t segment = 0;       // number of the segment file
    std::uint64_t offset = 0;        // of the chunk header, bytes
    std::uint32_t bytes = 0;         // header and body
    std::uint32_t frames = 0;
    TimeNs first_ns = 0, last_ns = 0;  // arrival of its first and last frame
};

// Where one version of a recording's document lies.
struct DocumentEntry {
    std::uint64_t ident = 0;
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    bool operator==(const DocumentEntry&) const = default;
};

// A finished recording that is still to be archived.
struct ArchiveDue {
    std::int64_t action = -1;  // as the recording names it: -1 as configured
    TimeNs stop_ns = 0;
    std::uint64_t ident = 0;
    bool locked = false;
    auto operator<=>(const ArchiveDue&) const = default;
};
inline constexpr ArchiveDue kFirstDue{INT64_MIN, INT64_MIN, 0, false};
// What archiving `recording` waits for; nullopt while it goes on, and where it is not to be archived (action 0).
[[nodiscard]] std::optional<ArchiveDue> archive_due_of(const Recording& recording);

// A copy of a recording that an archive action made.
struct ArchivedCopy {
    std::uint64_t ident = 0;
    std::int64_t action = 0;
    std::string target;  // the action's directory
    std::string name;    // of the audio file below it
    bool operator==(const ArchivedCopy&) const = default;
};

// How far the segments have been indexed: recovery scans from here.
struct Watermark {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
};

struct RecordingQuery {
    // Column (UNIQUEFIELD name, lower case) and the exact value, all must match (letter case matters in values).
    std::vector<std::pair<std::string, std::string>> equal;
    // At least one of these, which spares reading the documents of others; of a value's first 255 bytes. Empty: any.
    std::vector<std::pair<std::string, std::string>> any = {};
    TimeNs from_ns = INT64_MIN;  // start within [from, to]
    TimeNs to_ns = INT64_MAX;
    std::size_t limit = 1000;
    std::function<bool(const Recording&)> keep = {};  // others are left out; empty: none
};

class Index {
public:
    // Opens or creates the index in `directory`. One process at a time.
    static Result<std::unique_ptr<Index>> open(const std::string& directory);
    // As it is at this moment, also while another process has it open; later changes are not seen. put() and
    // take_numbers() give errors. An error when there is no index in `directory`.
    static Result<std::unique_ptr<Index>> open_read_only(const std::string& directory);
    virtual ~Index() = default;

    struct Batch {
        std::vector<ChunkEntry> chunks;
        std::vector<Recording> recordings;
        std::vector<DocumentEntry> documents;  // places of these recordings' documents; all versions are kept
        std::optional<Watermark> watermark;
    };
    // All of it or nothing. A recording replaces the one with the same ident, and its field entries with it.
    virtual Result<> put(const Batch& batch) = 0;

    virtual Result<std::optional<Recording>> recording(std::uint64_t ident) const = 0;
    // In chunk order.
    virtual Result<std::vector<ChunkEntry>> chunks(std::uint64_t stream_id) const = 0;
    // Newest start first. Uses the most selective field index where there is one, else the time index.
    virtual Result<std::vector<Recording>> search(const RecordingQuery& query) const = 0;
    // Those whose state is `recording`: at start, what a crash interrupted.
    virtual Result<std::vector<Recording>> unfinished() const = 0;
    virtual Result<Watermark> watermark() const = 0;

    // Walks over everything, for those that check a store. The visitor's error ends the walk and is given back.
    // Every stream that has chunks, rising by id; its chunks in order.
    using StreamVisitor = std::function<Result<>(std::uint64_t stream_id, const std::vector<ChunkEntry>& chunks)>;
    virtual Result<> for_each_stream(const StreamVisitor& visit) const = 0;
    // Every recording, rising by ident; an error instead of one whose document is broken.
    using RecordingVisitor = std::function<Result<>(std::uint64_t ident, const Result<Recording>& recording)>;
    virtual Result<> for_each_recording(const RecordingVisitor& visit) const = 0;

    // Idents of the recordings that refer to a stream.
    virtual Result<std::vector<std::uint64_t>> recordings_of(std::uint64_t stream_id) const = 0;
    // Places of all versions of a recording's document. Of what lies in segments before documents_known_from() they are
    // not known: an older program wrote it.
    virtual Result<std::vector<DocumentEntry>> documents(std::uint64_t ident) const = 0;
    virtual Result<std::uint32_t> documents_known_from() const = 0;
    // Finished recordings that are not locked and whose keep days have passed, those that expired first in front of
    // others of the same keep days. default_keep_days: of recordings that name none; 0: for ever.
    virtual Result<std::vector<std::uint64_t>> expired(TimeNs now_ns, std::int32_t default_keep_days,
                                                       std::size_t limit) const = 0;

    // Purging, in this order (storage/purge.h): marks what is to be purged, durably, so that it is done again when a
    // crash comes in between; takes each out; erases what was taken out from every file of the index, and the marks.
    virtual Result<> mark_purging(const std::vector<std::uint64_t>& idents) = 0;
    virtual Result<std::vector<std::uint64_t>> purging() const = 0;
    // Takes a purged recording out, and the chunks of the streams that go with it. What is not there is no error.
    virtual Result<> purge(std::uint64_t ident, const std::vector<std::uint64_t>& streams) = 0;
    virtual Result<> erase_purged() = 0;

    // Archiving. Each finished recording has its entry, made and taken away with its document, until done_archiving();
    // a document with another action, or that is locked or unlocked, makes it anew. Those at or behind `from`, in the
    // order of ArchiveDue's members.
    virtual Result<std::vector<ArchiveDue>> archive_due(const ArchiveDue& from, std::size_t limit) const = 0;
    virtual Result<> done_archiving(const std::vector<ArchiveDue>& done) = 0;
    // Copies that were made, also of recordings that are not here any more. Durable when these return.
    virtual Result<> put_archived(const ArchivedCopy& copy) = 0;
    virtual Result<std::vector<ArchivedCopy>> archived(std::uint64_t ident) const = 0;
    virtual Result<> forget_archived(const ArchivedCopy& copy) = 0;
    using ArchivedVisitor = std::function<Result<>(const ArchivedCopy& copy)>;
    virtual Result<> for_each_archived(const ArchivedVisitor& visit) const = 0;

    // Takes `count` numbers of a series that never repeats, across restarts and crashes ("ident", "global_call",
    // "session", "boot"); gives the first. Starts at 1. Durable before it returns.
    virtual Result<std::uint64_t> take_numbers(const std::string& series, std::uint64_t count) = 0;
    // The first number of a series that is not yet taken.
    virtual Result<std::uint64_t> next_number(const std::string& series) const = 0;
    // Sees to it that what is taken from now on is `at_least` or greater. Durable before it returns.
    virtual Result<> raise_numbers(const std::string& series, std::uint64_t at_least) = 0;
};

}  // namespace spantape
