// SPDX-License-Identifier: AGPL-3.0-or-later
// An Index in memory, for tests of what stands before the index. Keeps the promises of storage/index/index.h but
// durability; search knows the time range only. `refusals` makes the next puts fail.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/index/index.h"

namespace spantape {

class MemoryIndex : public Index {
public:
    Result<> put(const Batch& batch) override {
        const std::lock_guard lock(mutex_);
        if (refusals > 0) {
            --refusals;
            return fail("the index refuses, as the test wanted");
        }
        for (const ChunkEntry& chunk : batch.chunks) chunks_[{chunk.stream_id, chunk.chunk_number}] = chunk;
        for (const Recording& recording : batch.recordings) recordings_[recording.ident] = recording;
        documents_.insert(documents_.end(), batch.documents.begin(), batch.documents.end());
        if (batch.watermark) watermark_ = *batch.watermark;
        ++puts;
        return {};
    }

    Result<std::optional<Recording>> recording(std::uint64_t ident) const override {
        const std::lock_guard lock(mutex_);
        const auto found = recordings_.find(ident);
        return found == recordings_.end() ? std::nullopt : std::optional(found->second);
    }

    Result<std::vector<ChunkEntry>> chunks(std::uint64_t stream_id) const override {
        const std::lock_guard lock(mutex_);
        std::vector<ChunkEntry> found;
        for (auto at = chunks_.lower_bound({stream_id, 0}); at != chunks_.end() && at->first.first == stream_id; ++at) {
            found.push_back(at->second);
        }
        return found;
    }

    Result<std::vector<Recording>> search(const RecordingQuery& query) const override {
        if (!query.equal.empty()) return fail("the index in memory searches by time only");
        const std::lock_guard lock(mutex_);
        std::vector<Recording> found;
        for (const auto& [ident, recording] : recordings_) {
            if (recording.start_ns >= query.from_ns && recording.start_ns <= query.to_ns) found.push_back(recording);
        }
        std::ranges::sort(found, std::greater{}, &Recording::start_ns);
        if (found.size() > query.limit) found.resize(query.limit);
        return found;
    }

    Result<std::vector<Recording>> unfinished() const override {
        const std::lock_guard lock(mutex_);
        std::vector<Recording> found;
        for (const auto& [ident, recording] : recordings_) {
            if (recording.state == RecordingState::recording) found.push_back(recording);
        }
        return found;
    }

    Result<Watermark> watermark() const override {
        const std::lock_guard lock(mutex_);
        return watermark_;
    }

    Result<> for_each_stream(const StreamVisitor& visit) const override {
        const std::lock_guard lock(mutex_);
        for (auto at = chunks_.begin(); at != chunks_.end();) {
            const std::uint64_t stream_id = at->first.first;
            std::vector<ChunkEntry> chunks;
            for (; at != chunks_.end() && at->first.first == stream_id; ++at) chunks.push_back(at->second);
            if (auto visited = visit(stream_id, chunks); !visited) return visited;
        }
        return {};
    }

    Result<> for_each_recording(const RecordingVisitor& visit) const override {
        for (const auto& [ident, recording] : recordings_now())
            if (auto visited = visit(ident, recording); !visited) return visited;
        return {};
    }

    Result<std::vector<std::uint64_t>> recordings_of(std::uint64_t stream_id) const override {
        const std::lock_guard lock(mutex_);
        std::vector<std::uint64_t> idents;
        for (const auto& [ident, recording] : recordings_)
            if (std::ranges::find(recording.streams, stream_id, &RecordedStream::stream_id) != recording.streams.end())
                idents.push_back(ident);
        return idents;
    }
    Result<std::vector<DocumentEntry>> documents(std::uint64_t ident) const override {
        const std::lock_guard lock(mutex_);
        std::vector<DocumentEntry> found;
        std::ranges::copy_if(documents_, std::back_inserter(found),
                             [&](const DocumentEntry& document) { return document.ident == ident; });
        return found;
    }
    Result<std::uint32_t> documents_known_from() const override { return 0; }
    Result<std::vector<std::uint64_t>> expired(TimeNs, std::int32_t, std::size_t) const override {
        return fail("the index in memory knows no keep days");
    }
    Result<std::vector<ArchiveDue>> archive_due(const ArchiveDue&, std::size_t) const override {
        return fail("the index in memory knows no archive");
    }
    Result<> done_archiving(const std::vector<ArchiveDue>&) override {
        return fail("the index in memory knows no archive");
    }
    Result<> put_archived(const ArchivedCopy&) override { return fail("the index in memory knows no archive"); }
    Result<std::vector<ArchivedCopy>> archived(std::uint64_t) const override { return std::vector<ArchivedCopy>(); }
    Result<> forget_archived(const ArchivedCopy&) override { return fail("the index in memory knows no archive"); }
    Result<> for_each_archived(const ArchivedVisitor&) const override { return {}; }
    Result<> mark_purging(const std::vector<std::uint64_t>& idents) override {
        const std::lock_guard lock(mutex_);
        purging_.insert(idents.begin(), idents.end());
        return {};
    }
    Result<std::vector<std::uint64_t>> purging() const override {
        const std::lock_guard lock(mutex_);
        return std::vector<std::uint64_t>(purging_.begin(), purging_.end());
    }
    Result<> purge(std::uint64_t ident, const std::vector<std::uint64_t>& streams) override {
        const std::lock_guard lock(mutex_);
        recordings_.erase(ident);
        std::erase_if(documents_, [&](const DocumentEntry& document) { return document.ident == ident; });
        for (const std::uint64_t stream : streams)
            std::erase_if(chunks_, [&](const auto& chunk) { return chunk.first.first == stream; });
        return {};
    }
    Result<> erase_purged() override {
        const std::lock_guard lock(mutex_);
        purging_.clear();
        return {};
    }

    Result<std::uint64_t> next_number(const std::string& series) const override {
        const std::lock_guard lock(mutex_);
        const auto found = numbers_.find(series);
        return found == numbers_.end() ? 1 : found->second + 1;
    }

    Result<> raise_numbers(const std::string& series, std::uint64_t at_least) override {
        const std::lock_guard lock(mutex_);
        if (at_least > 0) numbers_[series] = std::max(numbers_[series], at_least - 1);
        return {};
    }

    Result<std::uint64_t> take_numbers(const std::string& series, std::uint64_t count) override {
        const std::lock_guard lock(mutex_);
        return std::exchange(numbers_[series], numbers_[series] + count) + 1;
    }

    [[nodiscard]] std::size_t chunk_count() const {
        const std::lock_guard lock(mutex_);
        return chunks_.size();
    }
    // A moment's state, as a crash would leave it.
    void copy_from(const MemoryIndex& other) {
        const std::scoped_lock lock(mutex_, other.mutex_);
        chunks_ = other.chunks_;
        recordings_ = other.recordings_;
        watermark_ = other.watermark_;
        numbers_ = other.numbers_;
    }

    int refusals = 0;  // the test's thread only, when no other uses the index
    int puts = 0;

private:
    // For walks whose visitors ask us more.
    std::map<std::uint64_t, Recording> recordings_now() const {
        const std::lock_guard lock(mutex_);
        return recordings_;
    }

    mutable std::mutex mutex_;
    std::map<std::pair<std::uint64_t, std::uint32_t>, ChunkEntry> chunks_;
    std::map<std::uint64_t, Recording> recordings_;
    std::vector<DocumentEntry> documents_;
    std::set<std::uint64_t> purging_;
    Watermark watermark_;
    std::map<std::string, std::uint64_t> numbers_;
};

}  // namespace spantape
