// SPDX-License-Identifier: AGPL-3.0-or-later
// Flow (addresses, ports, SSRC) -> stream slot. Open addressing with linear probing over 8-byte entries (hash tag and
// slot), eight to a cache line; the full key lies with the slot. Sized once; removal shifts back, so that there are
// no tombstones. One worker owns it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>

#include "capture/base/huge_memory.h"
#include "capture/rtp/stream_handle.h"

namespace spantape {

inline std::uint64_t hash_of(const FlowKey& key) {
    std::uint64_t words[4];
    std::memcpy(words, key.source.ip.bytes.data(), 16);
    std::memcpy(words + 2, key.destination.ip.bytes.data(), 16);
    const std::uint64_t ports =
        std::uint64_t{key.source.port} << 48 | std::uint64_t{key.destination.port} << 32 | key.ssrc;
    std::uint64_t hash = (words[0] ^ ports) * 0x9e3779b97f4a7c15ULL;
    hash = (hash ^ (hash >> 29) ^ words[1]) * 0xbf58476d1ce4e5b9ULL;
    hash = (hash ^ (hash >> 32) ^ words[2]) * 0x94d049bb133111ebULL;
    hash = (hash ^ (hash >> 31) ^ words[3]) * 0xd6e8feb86659fd93ULL;
    return hash ^ (hash >> 32);
}

class FlowTable {
public:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};

    // At most `flows` at once (the caller keeps to it).
    explicit FlowTable(std::size_t flows) : memory_(size_for(flows) * sizeof(Entry)), mask_(size_for(flows) - 1) {
        entries_ = reinterpret_cast<Entry*>(memory_.bytes().data());
        std::uninitialized_fill_n(entries_, mask_ + 1, Entry{});
    }

    void prefetch(std::uint64_t hash) const { __builtin_prefetch(&entries_[hash & mask_]); }

    // First slot whose tag fits, for prefetching; kNone: certainly not there.
    [[nodiscard]] std::uint32_t candidate(std::uint64_t hash) const {
        for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
            const Entry& entry = entries_[at];
            if (entry.slot == kNone) return kNone;
            if (entry.tag == tag_of(hash)) return entry.slot;
        }
    }

    // key_at(slot) gives the slot's FlowKey.
    template <class KeyAt>
    [[nodiscard]] std::uint32_t find(const FlowKey& key, std::uint64_t hash, KeyAt key_at) const {
        for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
            const Entry& entry = entries_[at];
            if (entry.slot == kNone) return kNone;
            if (entry.tag == tag_of(hash) && key_at(entry.slot) == key) return entry.slot;
        }
    }

    void insert(std::uint64_t hash, std::uint32_t slot) {
        std::size_t at = hash & mask_;
        while (entries_[at].slot != kNone) at = (at + 1) & mask_;
        entries_[at] = {tag_of(hash), slot};
    }

    // hash_at(slot) gives the slot's hash: needed to see which entries may move into the hole.
    template <class HashAt>
    void erase(std::uint64_t hash, std::uint32_t slot, HashAt hash_at) {
        std::size_t hole = hash & mask_;
        while (entries_[hole].slot != slot) {
            if (entries_[hole].slot == kNone) return;
            hole = (hole + 1) & mask_;
        }
        for (std::size_t at = (hole + 1) & mask_; entries_[at].slot != kNone; at = (at + 1) & mask_) {
            const std::size_t home = hash_at(entries_[at].slot) & mask_;
            if (((at - home) & mask_) >= ((at - hole) & mask_)) {  // its probe path passes the hole
                entries_[hole] = entries_[at];
                hole = at;
            }
        }
        entries_[hole] = {};
    }

private:
    struct Entry {
        std::uint32_t tag = 0;
        std::uint32_t slot = kNone;
    };
    static std::uint32_t tag_of(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32); }
    static std::size_t size_for(std::size_t flows) { return std::bit_ceil(std::max<std::size_t>(flows * 2, 16)); }

    HugeMemory memory_;
    std::size_t mask_;
    Entry* entries_;  // mask_ + 1 of them, in memory_
};

}  // namespace spantape
