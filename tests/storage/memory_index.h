// SPDX-License-Identifier: AGPL-3.0-or-later
// An Index in memory, for tests of what stands before the index. Keeps the promises of storage/index/index.h but
// durability; search knows the time range only. `refusals` makes the next puts fail.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "storage/index/index.h"

namespace spantape {

class MemoryIndex final : public Index {
public:
    Result<> put(const Batch& batch) override {
        const std::lock_guard lock(mutex_);
        if (refusals > 0) {
            --refusals;
            return fail("the index refuses, as the test wanted");
        }
        for (const ChunkEntry& chunk : batch.chunks) chunks_[{chunk.stream_id, chunk.chunk_number}] = chunk;
        for (const Recording& recording : batch.recordings) recordings_[recording.ident] = recording;
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
    mutable std::mutex mutex_;
    std::map<std::pair<std::uint64_t, std::uint32_t>, ChunkEntry> chunks_;
    std::map<std::uint64_t, Recording> recordings_;
    Watermark watermark_;
    std::map<std::string, std::uint64_t> numbers_;
};

}  // namespace spantape
