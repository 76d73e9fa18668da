// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/recent_chunks.h"

#include <algorithm>
#include <tuple>

#include "storage/index/keys.h"

namespace spantape {

namespace {

// Of one number the one in the later place first: that is the valid one (FORMAT.md).
bool by_number(const ChunkEntry& a, const ChunkEntry& b) {
    return std::tuple(a.chunk_number, b.segment, b.offset) < std::tuple(b.chunk_number, a.segment, a.offset);
}
bool same_number(const ChunkEntry& a, const ChunkEntry& b) { return a.chunk_number == b.chunk_number; }

// One entry for each run of consecutive numbers.
void put_runs(std::vector<ChunkEntry> chunks, const Store& store, rocksdb::WriteBatch& writes) {
    std::ranges::sort(chunks, by_number);
    chunks.erase(std::unique(chunks.begin(), chunks.end(), same_number), chunks.end());
    for (std::size_t first = 0; first < chunks.size();) {
        std::size_t end = first;
        std::string value;
        do {
            value += index_keys::chunk_value(chunks[end++]);
        } while (end < chunks.size() && chunks[end].chunk_number == chunks[end - 1].chunk_number + 1);
        writes.Put(store.chunks(), index_keys::chunk_key(chunks[first].stream_id, chunks[first].chunk_number), value);
        first = end;
    }
}

}  // namespace

Result<> RecentChunks::load(const Store& store) {
    const std::unique_ptr<rocksdb::Iterator> iterator(store.db().NewIterator({}, store.meta()));
    const std::string prefix = index_keys::recent_prefix();
    std::vector<std::pair<std::uint64_t, std::vector<ChunkEntry>>> batches;
    for (iterator->Seek(prefix); iterator->Valid() && iterator->key().starts_with(prefix); iterator->Next()) {
        const auto round = index_keys::u64_of(iterator->key().ToStringView().substr(prefix.size()));
        auto chunks = index_keys::recent_of(iterator->value().ToStringView());
        if (!round || !chunks)
            return store.broken("the chunks of a batch, {} bytes, are none of ours", iterator->value().size());
        round_ = *round + 1;
        batches.emplace_back(*round, std::move(*chunks));
    }
    for (const auto& [round, chunks] : batches)
        for (const ChunkEntry& chunk : chunks)
            if (next_turn(chunk.stream_id, round) >= round_) add(chunk);
    return store.check(iterator->status(), "reading the chunks of the last batches");
}

void RecentChunks::prepare(const std::vector<ChunkEntry>& chunks, const Store& store, rocksdb::WriteBatch& writes) {
    to_be_added_.clear();
    prepared_ = !chunks.empty();
    if (!prepared_) return;
    const std::uint64_t turn = round_ % kRounds;
    ByStream due = by_turn_[turn];
    for (const ChunkEntry& chunk : chunks) {
        if (turn_of(chunk.stream_id) == turn)
            due[chunk.stream_id].push_back(chunk);
        else
            to_be_added_.push_back(chunk);
    }
    for (auto& [stream_id, gathered] : due) put_runs(std::move(gathered), store, writes);
    writes.Put(store.meta(), index_keys::recent_key(round_), index_keys::recent_value(to_be_added_));
    if (round_ >= kRounds) writes.Delete(store.meta(), index_keys::recent_key(round_ - kRounds));
}

void RecentChunks::commit() {
    if (!prepared_) return;
    const std::lock_guard lock(mutex_);
    by_turn_[round_ % kRounds].clear();
    for (const ChunkEntry& chunk : to_be_added_) add(chunk);
    ++round_;
}

std::vector<ChunkEntry> RecentChunks::of(std::uint64_t stream_id) const {
    const std::lock_guard lock(mutex_);
    const ByStream& streams = by_turn_[turn_of(stream_id)];
    const auto at = streams.find(stream_id);
    return at == streams.end() ? std::vector<ChunkEntry>() : at->second;
}

std::vector<std::uint64_t> RecentChunks::streams() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::uint64_t> streams;
    for (const ByStream& turn : by_turn_)
        for (const auto& [stream_id, chunks] : turn) streams.push_back(stream_id);
    std::ranges::sort(streams);
    return streams;
}

Result<> RecentChunks::prepare_purge(const std::vector<std::uint64_t>& streams, const Store& store,
                                     rocksdb::WriteBatch& writes) const {
    if (streams.empty()) return {};
    const std::unique_ptr<rocksdb::Iterator> iterator(store.db().NewIterator({}, store.meta()));
    const std::string prefix = index_keys::recent_prefix();
    for (iterator->Seek(prefix); iterator->Valid() && iterator->key().starts_with(prefix); iterator->Next()) {
        auto chunks = index_keys::recent_of(iterator->value().ToStringView());
        if (!chunks) return store.broken("the chunks of a batch, {} bytes, are none of ours", iterator->value().size());
        const auto gone = std::erase_if(*chunks, [&](const ChunkEntry& chunk) {
            return std::ranges::find(streams, chunk.stream_id) != streams.end();
        });
        if (gone > 0) writes.Put(store.meta(), iterator->key(), index_keys::recent_value(*chunks));
    }
    return store.check(iterator->status(), "reading the chunks of the last batches");
}

void RecentChunks::purge(const std::vector<std::uint64_t>& streams) {
    const std::lock_guard lock(mutex_);
    for (const std::uint64_t stream_id : streams) by_turn_[turn_of(stream_id)].erase(stream_id);
}

}  // namespace spantape
