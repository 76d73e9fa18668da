// SPDX-License-Identifier: AGPL-3.0-or-later
// For verify.cc: what one walk over the segments, and one over the index, leave behind of each other's chunks, small
// enough to be kept for a store of any size.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "storage/index/index.h"
#include "storage/segment/format.h"

namespace spantape {

// Of a set of chunks, whatever their order: two sets with equal sums are equal (but for a chance of 2^-128; against
// accidents, not against forgers).
struct ChunkSum {
    std::uint64_t low = 0, high = 0, chunks = 0;

    void add(const ChunkEntry& chunk) {
        low += mixed(chunk, 0x9e3779b97f4a7c15);
        high += mixed(chunk, 0xc2b2ae3d27d4eb4f);
        ++chunks;
    }
    friend bool operator==(const ChunkSum&, const ChunkSum&) = default;

    // All that the index says of a chunk.
    static std::uint64_t mixed(const ChunkEntry& chunk, std::uint64_t seed) {
        std::uint64_t hash = seed;
        auto mix = [&](std::uint64_t word) {  // splitmix64's finalizer over a running state
            hash = (hash ^ word) + 0x9e3779b97f4a7c15;
            hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
            hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
            hash ^= hash >> 31;
        };
        mix(chunk.stream_id);
        mix(std::uint64_t{chunk.chunk_number} << 32 | chunk.segment);
        mix(chunk.offset);
        mix(std::uint64_t{chunk.bytes} << 32 | chunk.frames);
        mix(std::bit_cast<std::uint64_t>(chunk.first_ns));
        mix(std::bit_cast<std::uint64_t>(chunk.last_ns));
        return hash;
    }
};

// As the index should have the chunk of a sealed record.
inline ChunkEntry entry_of(const ChunkHeader& header, std::uint32_t segment, std::uint64_t offset) {
    return {header.stream_id,          header.chunk_number, segment,         offset,
            header.record.total_bytes, header.frames,       header.first_ns, header.last_ns};
}

// The newest document of each recording that the segments hold, by ident.
class NewestDocuments {
public:
    struct Document {
        std::uint64_t ident = 0;
        std::uint64_t hash = 0;
        bool unfinished = false;
    };
    // In segment order.
    void add(std::uint64_t ident, std::uint64_t hash, bool unfinished) {
        documents_.push_back({ident, hash, unfinished});
        if (documents_.size() >= next_tidy_) tidy();
    }
    // After the last add().
    void tidy() {
        std::ranges::stable_sort(documents_, {}, &Document::ident);
        std::size_t kept = 0;
        for (std::size_t i = 0; i < documents_.size(); ++i)
            if (i + 1 == documents_.size() || documents_[i + 1].ident != documents_[i].ident)
                documents_[kept++] = documents_[i];
        documents_.resize(kept);
        next_tidy_ = std::max<std::size_t>(kLeastTidy, kept * 2);
    }
    [[nodiscard]] const Document* find(std::uint64_t ident) const {
        const auto at = std::ranges::lower_bound(documents_, ident, {}, &Document::ident);
        return at == documents_.end() || at->ident != ident ? nullptr : &*at;
    }
    [[nodiscard]] const std::vector<Document>& all() const { return documents_; }

private:
    static constexpr std::size_t kLeastTidy = 1u << 20;
    std::vector<Document> documents_;
    std::size_t next_tidy_ = kLeastTidy;
};

}  // namespace spantape
