// SPDX-License-Identifier: AGPL-3.0-or-later
// The index over its store: batches in, lookups out. Readers take no lock of ours but a short one for the chunks of the
// last batches; writers take turns, since replacing a recording reads the old one first.
#include "storage/index/index.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <unordered_map>

#include <rocksdb/snapshot.h>
#include <rocksdb/write_batch.h>

#include "storage/index/keys.h"
#include "storage/index/recent_chunks.h"
#include "storage/index/search.h"
#include "storage/index/store.h"

namespace spantape {

namespace {

constexpr const char* kWatermarkKey = "watermark";

std::string number_key(const std::string& series) { return "number/" + series; }

class RocksIndex final : public Index {
public:
    static Result<std::unique_ptr<Index>> over(Result<std::unique_ptr<Store>> store) {
        if (!store) return std::unexpected(store.error());
        std::unique_ptr<RocksIndex> index(new RocksIndex(std::move(*store)));
        if (auto loaded = index->recent_.load(*index->store_); !loaded) return std::unexpected(loaded.error());
        return index;
    }

    Result<> put(const Batch& batch) override;
    Result<std::optional<Recording>> recording(std::uint64_t ident) const override {
        return read_recording(*store_, ident, nullptr);
    }
    Result<std::vector<ChunkEntry>> chunks(std::uint64_t stream_id) const override;
    Result<std::vector<Recording>> search(const RecordingQuery& query) const override {
        return search_recordings(*store_, query);
    }
    Result<std::vector<Recording>> unfinished() const override;
    Result<Watermark> watermark() const override;
    Result<std::uint64_t> take_numbers(const std::string& series, std::uint64_t count) override;

private:
    explicit RocksIndex(std::unique_ptr<Store> store) : store_(std::move(store)) {}
    Result<> replace(const Recording& recording, rocksdb::WriteBatch& writes) const;

    std::unique_ptr<Store> store_;
    RecentChunks recent_;       // written under put_mutex_
    std::mutex put_mutex_;      // from reading the old recordings to having written the new ones
    std::mutex numbers_mutex_;  // from reading a series to having written it
};

// Writes the document and the difference between the old lookup entries and the new ones.
Result<> RocksIndex::replace(const Recording& recording, rocksdb::WriteBatch& writes) const {
    const auto old = read_recording(*store_, recording.ident, nullptr);
    if (!old) return std::unexpected(old.error());
    const auto old_keys = *old ? index_keys::lookup_keys(**old) : std::vector<std::string>();
    const auto new_keys = index_keys::lookup_keys(recording);
    std::vector<std::string> stale, fresh;
    std::ranges::set_difference(old_keys, new_keys, std::back_inserter(stale));
    std::ranges::set_difference(new_keys, old_keys, std::back_inserter(fresh));
    for (const std::string& key : stale) writes.Delete(store_->lookup(), key);
    for (const std::string& key : fresh) writes.Put(store_->lookup(), key, "");
    writes.Put(store_->recordings(), index_keys::u64_bytes(recording.ident), to_json(recording));
    return {};
}

Result<> RocksIndex::put(const Batch& batch) {
    const std::lock_guard lock(put_mutex_);
    rocksdb::WriteBatch writes;
    recent_.prepare(batch.chunks, *store_, writes);
    // Of several versions of a recording in one batch only the last is written: the ones before it are not in the
    // database yet, so their lookup entries could not be found and removed.
    std::unordered_map<std::uint64_t, const Recording*> newest;
    for (const Recording& recording : batch.recordings) newest[recording.ident] = &recording;
    for (const auto& [ident, recording] : newest)
        if (auto replaced = replace(*recording, writes); !replaced) return replaced;
    if (batch.watermark) writes.Put(store_->meta(), kWatermarkKey, index_keys::watermark_value(*batch.watermark));

    // Not synced: the segments are the truth, and the watermark goes with the batch. What a power loss takes from the
    // end of the log is found again by scanning the segments from the older watermark. A killed process loses
    // nothing, since the log has been handed to the kernel when this returns.
    rocksdb::WriteOptions options;
    options.sync = false;
    auto written = store_->check(store_->db().Write(options, &writes), "writing a batch");
    if (written) recent_.commit();
    return written;
}

Result<std::vector<ChunkEntry>> RocksIndex::chunks(std::uint64_t stream_id) const {
    std::vector<ChunkEntry> chunks = recent_.of(stream_id);
    rocksdb::ReadOptions options;
    options.prefix_same_as_start = true;
    const std::unique_ptr<rocksdb::Iterator> iterator(store_->db().NewIterator(options, store_->chunks()));
    for (iterator->Seek(index_keys::chunk_key(stream_id, 0)); iterator->Valid(); iterator->Next()) {
        const auto entry = index_keys::chunks_of(iterator->key().ToStringView(), iterator->value().ToStringView());
        if (!entry)
            return store_->broken("stream {}: a chunk's entry of {} and {} bytes is none of ours", stream_id,
                                  iterator->key().size(), iterator->value().size());
        if (entry->front().stream_id != stream_id) break;
        chunks.insert(chunks.end(), entry->begin(), entry->end());
    }
    if (auto read = store_->check(iterator->status(), "reading chunks"); !read) return std::unexpected(read.error());
    // What recovery found once more, or went over while we read, is there twice.
    std::ranges::stable_sort(chunks, {}, &ChunkEntry::chunk_number);
    const auto twice = std::ranges::unique(chunks, {}, &ChunkEntry::chunk_number);
    chunks.erase(twice.begin(), twice.end());
    return chunks;
}

Result<std::vector<Recording>> RocksIndex::unfinished() const {
    rocksdb::ManagedSnapshot snapshot(&store_->db());
    rocksdb::ReadOptions options;
    options.snapshot = snapshot.snapshot();
    const std::unique_ptr<rocksdb::Iterator> iterator(store_->db().NewIterator(options, store_->lookup()));
    const std::string prefix = index_keys::unfinished_prefix();
    std::vector<Recording> found;
    for (iterator->Seek(prefix); iterator->Valid() && iterator->key().starts_with(prefix); iterator->Next()) {
        const auto ident = index_keys::u64_of(iterator->key().ToStringView().substr(prefix.size()));
        if (!ident) return store_->broken("an entry of an unfinished recording has {} bytes", iterator->key().size());
        auto recording = read_recording(*store_, *ident, snapshot.snapshot());
        if (!recording) return std::unexpected(recording.error());
        if (!*recording) return store_->broken("an entry names recording {}, which is not there", *ident);
        found.push_back(std::move(**recording));
    }
    if (auto read = store_->check(iterator->status(), "reading unfinished recordings"); !read)
        return std::unexpected(read.error());
    return found;
}

Result<Watermark> RocksIndex::watermark() const {
    const auto value = store_->get(store_->meta(), kWatermarkKey);
    if (!value) return std::unexpected(value.error());
    if (!*value) return Watermark{};
    const auto watermark = index_keys::watermark_of(**value);
    if (!watermark) return store_->broken("the watermark is {} bytes long, must be 12", (*value)->size());
    return *watermark;
}

Result<std::uint64_t> RocksIndex::take_numbers(const std::string& series, std::uint64_t count) {
    if (series.empty() || count == 0) return store_->broken("cannot take {} numbers of series '{}'", count, series);
    const std::lock_guard lock(numbers_mutex_);
    const auto stored = store_->get(store_->meta(), number_key(series));
    if (!stored) return std::unexpected(stored.error());
    std::uint64_t first = 1;
    if (*stored) {
        const auto next = index_keys::u64_of(**stored);
        if (!next || *next == 0) return store_->broken("number series '{}' is broken", series);
        first = *next;
    }
    if (count > std::numeric_limits<std::uint64_t>::max() - first)
        return store_->broken("number series '{}' has no {} numbers left", series, count);
    rocksdb::WriteOptions options;
    options.sync = true;  // a number that was given out must never come again, not even after a power loss
    const auto status =
        store_->db().Put(options, store_->meta(), number_key(series), index_keys::u64_bytes(first + count));
    if (auto written = store_->check(status, "writing a number series"); !written)
        return std::unexpected(written.error());
    return first;
}

}  // namespace

Result<std::unique_ptr<Index>> Index::open(const std::string& directory) {
    return RocksIndex::over(Store::open(directory));
}

Result<std::unique_ptr<Index>> Index::open_read_only(const std::string& directory) {
    return RocksIndex::over(Store::open_read_only(directory));
}

}  // namespace spantape
