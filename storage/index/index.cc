// SPDX-License-Identifier: AGPL-3.0-or-later
// The index over its store: batches in, lookups out. Readers take no lock of ours but a short one for the chunks of the
// last batches; writers take turns, since replacing a recording reads the old one first.
#include "storage/index/index.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <tuple>

#include <rocksdb/snapshot.h>
#include <rocksdb/write_batch.h>

#include "storage/index/keeping.h"
#include "storage/index/keys.h"
#include "storage/index/lookup_changes.h"
#include "storage/index/recent_chunks.h"
#include "storage/index/reviving_index.h"
#include "storage/index/search.h"
#include "storage/index/store.h"

namespace spantape {

namespace {

constexpr const char* kWatermarkKey = "watermark";

std::string number_key(const std::string& series) { return "number/" + series; }

// Of several entries of one chunk the one in the later place is valid (FORMAT.md): recovery may have found it twice,
// or it went over from the last batches while we read.
void keep_valid(std::vector<ChunkEntry>& chunks) {
    std::ranges::sort(chunks, [](const ChunkEntry& a, const ChunkEntry& b) {
        return std::tuple(a.chunk_number, b.segment, b.offset) < std::tuple(b.chunk_number, a.segment, a.offset);
    });
    const auto twice = std::ranges::unique(chunks, {}, &ChunkEntry::chunk_number);
    chunks.erase(twice.begin(), twice.end());
}

class RocksIndex final : public Index {
public:
    static Result<std::unique_ptr<Index>> over(Result<std::unique_ptr<Store>> store, bool writing) {
        if (!store) return std::unexpected(store.error());
        std::unique_ptr<RocksIndex> index(new RocksIndex(std::move(*store)));
        if (auto migrated = writing ? migrate(*index->store_) : Result<>{}; !migrated)
            return std::unexpected(migrated.error());
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
    Result<> for_each_stream(const StreamVisitor& visit) const override;
    Result<> for_each_recording(const RecordingVisitor& visit) const override;
    Result<std::vector<std::uint64_t>> recordings_of(std::uint64_t stream_id) const override {
        return spantape::recordings_of(*store_, stream_id);
    }
    Result<std::vector<DocumentEntry>> documents(std::uint64_t ident) const override {
        return read_documents(*store_, ident);
    }
    Result<std::uint32_t> documents_known_from() const override { return spantape::documents_known_from(*store_); }
    Result<std::vector<std::uint64_t>> expired(TimeNs now_ns, std::int32_t default_keep_days,
                                               std::size_t limit) const override {
        return find_expired(*store_, now_ns, default_keep_days, limit);
    }
    Result<> mark_purging(const std::vector<std::uint64_t>& idents) override {
        return spantape::mark_purging(*store_, idents);
    }
    Result<std::vector<std::uint64_t>> purging() const override { return read_purging(*store_); }
    Result<> purge(std::uint64_t ident, const std::vector<std::uint64_t>& streams) override;
    Result<> erase_purged() override { return spantape::erase_purged(*store_); }
    Result<std::vector<ArchiveDue>> archive_due(const ArchiveDue& from, std::size_t limit) const override {
        return find_archive_due(*store_, from, limit);
    }
    Result<> done_archiving(const std::vector<ArchiveDue>& done) override {
        const std::lock_guard lock(put_mutex_);
        return spantape::done_archiving(*store_, done);
    }
    Result<> put_archived(const ArchivedCopy& copy) override { return spantape::put_archived(*store_, copy); }
    Result<std::vector<ArchivedCopy>> archived(std::uint64_t ident) const override;
    Result<> forget_archived(const ArchivedCopy& copy) override { return spantape::forget_archived(*store_, copy); }
    Result<> for_each_archived(const ArchivedVisitor& visit) const override {
        return spantape::for_each_archived(*store_, index_keys::archived_prefix(), visit);
    }
    Result<std::uint64_t> take_numbers(const std::string& series, std::uint64_t count) override;
    Result<std::uint64_t> next_number(const std::string& series) const override;
    Result<> raise_numbers(const std::string& series, std::uint64_t at_least) override;

private:
    explicit RocksIndex(std::unique_ptr<Store> store) : store_(std::move(store)) {}
    Result<> replace(const Recording& recording, rocksdb::WriteBatch& writes, LookupChanges& lookups) const;
    Result<> set_next_number(const std::string& series, std::uint64_t next);

    std::unique_ptr<Store> store_;
    RecentChunks recent_;       // written under put_mutex_
    std::mutex put_mutex_;      // from reading the old recordings to having written the new ones
    std::mutex numbers_mutex_;  // from reading a series to having written it
};

// Writes the document; notes what changes for those that search.
Result<> RocksIndex::replace(const Recording& recording, rocksdb::WriteBatch& writes, LookupChanges& lookups) const {
    const auto old = read_recording(*store_, recording.ident, nullptr);
    if (!old) return std::unexpected(old.error());
    lookups.note(*old ? &**old : nullptr, &recording);
    writes.Put(store_->recordings(), index_keys::u64_bytes(recording.ident), to_json(recording));
    return {};
}

Result<> RocksIndex::put(const Batch& batch) {
    const std::lock_guard lock(put_mutex_);
    rocksdb::WriteBatch writes;
    recent_.prepare(batch.chunks, *store_, writes);
    // Of several versions of a recording in one batch only the last is written: the ones before it are not in the
    // database yet, so their lookup entries could not be found and removed.
    std::map<std::uint64_t, const Recording*> newest;
    for (const Recording& recording : batch.recordings) newest[recording.ident] = &recording;
    LookupChanges lookups;
    for (const auto& [ident, recording] : newest)
        if (auto replaced = replace(*recording, writes, lookups); !replaced) return replaced;
    if (auto noted = lookups.write_to(writes, *store_); !noted) return noted;
    for (const DocumentEntry& document : batch.documents)
        writes.Put(store_->lookup(), index_keys::document_key(document), index_keys::u32_bytes(document.bytes));
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
    keep_valid(chunks);
    return chunks;
}

// The chunks' entries are in stream order; streams that only the last batches know are put between them.
Result<> RocksIndex::for_each_stream(const StreamVisitor& visit) const {
    const auto only_recent = recent_.streams();
    auto recent = only_recent.begin();
    std::vector<ChunkEntry> chunks;
    auto visit_recent_before = [&](std::uint64_t stream_id) -> Result<> {
        for (; recent != only_recent.end() && *recent < stream_id; ++recent) {
            chunks = recent_.of(*recent);
            keep_valid(chunks);
            if (auto visited = visit(*recent, chunks); !visited) return visited;
        }
        return {};
    };
    rocksdb::ReadOptions options;
    options.total_order_seek = true;
    options.readahead_size = 2u << 20;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> iterator(store_->db().NewIterator(options, store_->chunks()));
    iterator->SeekToFirst();
    while (iterator->Valid()) {
        std::uint64_t stream_id = 0;
        std::vector<ChunkEntry> gathered;
        for (; iterator->Valid(); iterator->Next()) {
            const auto entry = index_keys::chunks_of(iterator->key().ToStringView(), iterator->value().ToStringView());
            if (!entry)
                return store_->broken("a chunk's entry of {} and {} bytes is none of ours", iterator->key().size(),
                                      iterator->value().size());
            if (!gathered.empty() && entry->front().stream_id != stream_id) break;
            stream_id = entry->front().stream_id;
            gathered.insert(gathered.end(), entry->begin(), entry->end());
        }
        if (auto visited = visit_recent_before(stream_id); !visited) return visited;
        if (recent != only_recent.end() && *recent == stream_id) ++recent;
        const auto last = recent_.of(stream_id);
        gathered.insert(gathered.end(), last.begin(), last.end());
        keep_valid(gathered);
        if (auto visited = visit(stream_id, gathered); !visited) return visited;
    }
    if (auto read = store_->check(iterator->status(), "reading chunks"); !read) return read;
    return only_recent.empty() ? Result<>{} : visit_recent_before(only_recent.back() + 1);
}

Result<> RocksIndex::for_each_recording(const RecordingVisitor& visit) const {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> iterator(store_->db().NewIterator(options, store_->recordings()));
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
        const auto ident = index_keys::u64_of(iterator->key().ToStringView());
        if (!ident) return store_->broken("a recording's key has {} bytes, must have 8", iterator->key().size());
        if (auto visited = visit(*ident, recording_from_json(iterator->value().ToStringView())); !visited)
            return visited;
    }
    return store_->check(iterator->status(), "reading recordings");
}

Result<> RocksIndex::purge(std::uint64_t ident, const std::vector<std::uint64_t>& streams) {
    const std::lock_guard lock(put_mutex_);
    rocksdb::WriteBatch writes;
    const auto old = read_recording(*store_, ident, nullptr);
    if (!old) return std::unexpected(old.error());
    const auto documents = read_documents(*store_, ident);
    if (!documents) return std::unexpected(documents.error());
    for (const DocumentEntry& document : *documents)
        writes.Delete(store_->lookup(), index_keys::document_key(document));
    if (*old) {
        LookupChanges lookups;
        lookups.note(&**old, nullptr);
        if (auto noted = lookups.write_to(writes, *store_); !noted) return noted;
        writes.Delete(store_->recordings(), index_keys::u64_bytes(ident));
    }
    for (const std::uint64_t stream : streams) {
        writes.DeleteRange(store_->chunks(), index_keys::chunk_key(stream, 0), index_keys::chunk_key(stream, ~0u));
        writes.Delete(store_->chunks(), index_keys::chunk_key(stream, ~0u));
    }
    if (auto prepared = recent_.prepare_purge(streams, *store_, writes); !prepared) return prepared;
    auto written = store_->check(store_->db().Write({}, &writes), "purging a recording");
    if (written) recent_.purge(streams);
    return written;
}

Result<std::vector<ArchivedCopy>> RocksIndex::archived(std::uint64_t ident) const {
    std::vector<ArchivedCopy> copies;
    const std::string prefix = index_keys::archived_prefix() + index_keys::u64_bytes(ident);
    auto read = spantape::for_each_archived(*store_, prefix, [&](const ArchivedCopy& copy) {
        copies.push_back(copy);
        return Result<>{};
    });
    if (!read) return std::unexpected(read.error());
    return copies;
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

Result<std::uint64_t> RocksIndex::next_number(const std::string& series) const {
    const auto stored = store_->get(store_->meta(), number_key(series));
    if (!stored) return std::unexpected(stored.error());
    if (!*stored) return 1;
    const auto next = index_keys::u64_of(**stored);
    if (!next || *next == 0) return store_->broken("number series '{}' is broken", series);
    return *next;
}

Result<> RocksIndex::set_next_number(const std::string& series, std::uint64_t next) {
    rocksdb::WriteOptions options;
    options.sync = true;  // a number that was given out must never come again, not even after a power loss
    return store_->check(store_->db().Put(options, store_->meta(), number_key(series), index_keys::u64_bytes(next)),
                         "writing a number series");
}

Result<std::uint64_t> RocksIndex::take_numbers(const std::string& series, std::uint64_t count) {
    if (series.empty() || count == 0) return store_->broken("cannot take {} numbers of series '{}'", count, series);
    const std::lock_guard lock(numbers_mutex_);
    const auto first = next_number(series);
    if (!first) return first;
    if (count > std::numeric_limits<std::uint64_t>::max() - *first)
        return store_->broken("number series '{}' has no {} numbers left", series, count);
    if (auto written = set_next_number(series, *first + count); !written) return std::unexpected(written.error());
    return first;
}

Result<> RocksIndex::raise_numbers(const std::string& series, std::uint64_t at_least) {
    const std::lock_guard lock(numbers_mutex_);
    const auto next = next_number(series);
    if (!next) return std::unexpected(next.error());
    return *next >= at_least ? Result<>{} : set_next_number(series, at_least);
}

}  // namespace

std::optional<ArchiveDue> archive_due_of(const Recording& recording) {
    if (recording.state == RecordingState::recording || recording.archive_action == 0) return std::nullopt;
    return ArchiveDue{recording.archive_action, std::max(recording.start_ns, recording.stop_ns), recording.ident,
                      recording.locked};
}

Result<std::unique_ptr<Index>> Index::open(const std::string& directory) {
    return open_reviving_index(directory, [](const std::string& place) -> Result<OpenedIndex> {
        auto store = Store::open(place);
        const WriteFailure failed = store ? (*store)->write_failure() : nullptr;
        auto index = RocksIndex::over(std::move(store), true);
        if (!index) return std::unexpected(index.error());
        return OpenedIndex{std::move(*index), failed};
    });
}

Result<std::unique_ptr<Index>> Index::open_read_only(const std::string& directory) {
    return RocksIndex::over(Store::open_read_only(directory), false);
}

}  // namespace spantape
