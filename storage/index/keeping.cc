// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/keeping.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include <rocksdb/write_batch.h>

#include "storage/index/blocks.h"
#include "storage/index/keys.h"
#include "storage/index/lookup_changes.h"

namespace spantape {

namespace {

constexpr const char* kFormatKey = "format";
constexpr const char* kDocumentsKey = "documents";
constexpr const char* kErasedKey = "erased";
constexpr std::uint32_t kOthersSince = 4, kBlocksSince = 5;
constexpr TimeNs kNsPerDay = 86'400 * kNsPerSecond;

// visit(key, value) for each key with the prefix, until it gives false.
template <class Visit>
Result<> for_each(const Store& store, rocksdb::ColumnFamilyHandle* family, const std::string& prefix, Visit visit) {
    const std::unique_ptr<rocksdb::Iterator> iterator(store.db().NewIterator({}, family));
    for (iterator->Seek(prefix); iterator->Valid() && iterator->key().starts_with(prefix); iterator->Next())
        if (!visit(iterator->key().ToStringView(), iterator->value().ToStringView())) break;
    return store.check(iterator->status(), "reading");
}

rocksdb::WriteOptions synced() {
    rocksdb::WriteOptions options;
    options.sync = true;
    return options;
}

// Before format 3 the documents' places were not kept: they are known from the next segment on.
Result<> note_documents(const Store& store, rocksdb::WriteBatch& writes) {
    constexpr std::uint32_t kKnownSince = 3;
    if (store.format() >= kKnownSince) return {};
    const auto stored = store.get(store.meta(), "watermark");
    if (!stored) return std::unexpected(stored.error());
    const auto watermark = *stored ? index_keys::watermark_of(**stored) : std::optional(Watermark{});
    if (!watermark) return store.broken("the watermark is {} bytes long, must be 12", (*stored)->size());
    writes.Put(store.meta(), kDocumentsKey, index_keys::u32_bytes(watermark->segment + 1));
    return {};
}

// What a search that runs since before the purge can still see, compacting keeps.
Result<> wait_for_snapshots(const Store& store) {
    constexpr std::chrono::milliseconds kStep{20}, kPatience{60'000};
    const std::uint64_t purged = store.db().GetLatestSequenceNumber();
    for (auto waited = std::chrono::milliseconds(0); waited < kPatience; waited += kStep) {
        std::uint64_t oldest = 0;
        store.db().GetIntProperty(rocksdb::DB::Properties::kOldestSnapshotSequence, &oldest);
        if (oldest == 0 || oldest >= purged) return {};
        std::this_thread::sleep_for(kStep);
    }
    return store.broken("a search that runs for more than {} s keeps what was purged from being erased",
                        kPatience.count() / 1000);
}

}  // namespace

Result<> migrate(Store& store) {
    if (store.format() == index_keys::kFormatVersion) return {};

    // Blocks that an interrupted migration left may be older than what an old program changed since.
    rocksdb::WriteBatch writes;
    const bool without_blocks = store.format() < kBlocksSince;
    if (without_blocks)
        for (const auto& [from, to] : {std::pair("p", "q"), std::pair("b", "c"), std::pair("w", "x")})
            writes.DeleteRange(store.lookup(), from, to);
    LookupChanges lookups;
    std::uint64_t recordings = 0;
    Result<> written;
    const auto write = [&] {
        written = lookups.write_to(writes, store);
        if (written) written = store.check(store.db().Write({}, &writes), "bringing it to the newest format");
        writes.Clear();
        return written.has_value();
    };
    auto read = for_each(store, store.recordings(), "", [&](std::string_view, std::string_view document) {
        const auto recording = recording_from_json(document);
        if (!recording) return true;  // `verify` names it
        // The other entries are there since format 4; of those of the archive, some are done and must not come again.
        if (store.format() >= kOthersSince)
            lookups.note_blocks(*recording);
        else
            lookups.note(nullptr, &*recording);
        return ++recordings % blocks::kBlockIdents != 0 || write();
    });
    if (!read) return read;
    if (written) write();
    if (!written) return written;
    if (without_blocks)
        for (const auto& [from, to] : {std::pair("f", "g"), std::pair("t", "u")})
            writes.DeleteRange(store.lookup(), from, to);
    if (auto noted = note_documents(store, writes); !noted) return noted;
    writes.Put(store.meta(), kFormatKey, index_keys::u32_bytes(index_keys::kFormatVersion));
    auto migrated = store.check(store.db().Write(synced(), &writes), "bringing it to the newest format");
    if (migrated) store.set_format(index_keys::kFormatVersion);
    return migrated;
}

Result<std::vector<std::uint64_t>> recordings_of(const Store& store, std::uint64_t stream_id) {
    std::vector<std::uint64_t> idents;
    const std::string prefix = index_keys::stream_prefix(stream_id);
    auto read = for_each(store, store.lookup(), prefix, [&](std::string_view key, std::string_view) {
        if (const auto ident = index_keys::u64_of(key.substr(prefix.size()))) idents.push_back(*ident);
        return true;
    });
    if (!read) return std::unexpected(read.error());
    return idents;
}

Result<std::vector<DocumentEntry>> read_documents(const Store& store, std::uint64_t ident) {
    std::vector<DocumentEntry> documents;
    auto read = for_each(store, store.lookup(), index_keys::document_prefix(ident),
                         [&](std::string_view key, std::string_view value) {
                             const auto document = index_keys::document_of(key, value);
                             if (document) documents.push_back(*document);
                             return true;
                         });
    if (!read) return std::unexpected(read.error());
    return documents;
}

Result<std::uint32_t> documents_known_from(const Store& store) {
    const auto stored = store.get(store.meta(), kDocumentsKey);
    if (!stored) return std::unexpected(stored.error());
    if (!*stored) return 0;
    const auto segment = index_keys::u32_of(**stored);
    if (!segment) return store.broken("where the documents' places begin is {} bytes long", (*stored)->size());
    return *segment;
}

// The entries of one number of keep days stand together, oldest first: behind the first that has not expired the walk
// goes on with the next number.
Result<std::vector<std::uint64_t>> find_expired(const Store& store, TimeNs now_ns, std::int32_t default_keep_days,
                                                std::size_t limit) {
    std::vector<std::uint64_t> idents;
    const std::string prefix = index_keys::keep_prefix();
    const std::unique_ptr<rocksdb::Iterator> iterator(store.db().NewIterator({}, store.lookup()));
    iterator->Seek(prefix);
    while (iterator->Valid() && iterator->key().starts_with(prefix) && idents.size() < limit) {
        const auto entry = index_keys::keep_of(iterator->key().ToStringView());
        if (!entry) return store.broken("an entry by keep days has {} bytes", iterator->key().size());
        const std::int64_t days = entry->keep_days < 0 ? default_keep_days : entry->keep_days;
        TimeNs kept_ns = 0, expiry_ns = 0;
        const bool for_ever = days <= 0 || __builtin_mul_overflow(days, kNsPerDay, &kept_ns) ||
                              __builtin_add_overflow(entry->start_ns, kept_ns, &expiry_ns);
        if (!for_ever && expiry_ns <= now_ns) {
            idents.push_back(entry->ident);
            iterator->Next();
            continue;
        }
        if (entry->keep_days == std::numeric_limits<std::int32_t>::max()) break;
        iterator->Seek(index_keys::keep_key({entry->keep_days + 1, std::numeric_limits<TimeNs>::min(), 0}));
    }
    if (auto read = store.check(iterator->status(), "reading keep days"); !read) return std::unexpected(read.error());
    return idents;
}

Result<std::vector<ArchiveDue>> find_archive_due(const Store& store, const ArchiveDue& from, std::size_t limit) {
    std::vector<ArchiveDue> found;
    const std::string prefix = index_keys::due_prefix();
    const std::unique_ptr<rocksdb::Iterator> iterator(store.db().NewIterator({}, store.lookup()));
    for (iterator->Seek(index_keys::due_key(from)); iterator->Valid() && iterator->key().starts_with(prefix);
         iterator->Next()) {
        if (found.size() == limit) break;
        const auto due = index_keys::due_of(iterator->key().ToStringView());
        if (!due) return store.broken("an entry by archive action has {} bytes", iterator->key().size());
        found.push_back(*due);
    }
    if (auto read = store.check(iterator->status(), "reading what is to be archived"); !read)
        return std::unexpected(read.error());
    return found;
}

Result<> done_archiving(const Store& store, const std::vector<ArchiveDue>& done) {
    rocksdb::WriteBatch writes;
    for (const ArchiveDue& due : done) writes.Delete(store.lookup(), index_keys::due_key(due));
    return store.check(store.db().Write(synced(), &writes), "marking what was archived");
}

Result<> put_archived(const Store& store, const ArchivedCopy& copy) {
    const auto status = store.db().Put(synced(), store.lookup(), index_keys::archived_key(copy), copy.name);
    return store.check(status, "writing what was archived");
}

Result<> for_each_archived(const Store& store, const std::string& prefix, const Index::ArchivedVisitor& visit) {
    Result<> visited;
    auto read = for_each(store, store.lookup(), prefix, [&](std::string_view key, std::string_view value) {
        const auto copy = index_keys::archived_of(key, value);
        visited = copy ? visit(*copy) : store.broken("an entry of an archived copy has {} bytes", key.size());
        return visited.has_value();
    });
    return visited ? read : visited;
}

Result<> forget_archived(const Store& store, const ArchivedCopy& copy) {
    const auto status = store.db().Delete(synced(), store.lookup(), index_keys::archived_key(copy));
    return store.check(status, "forgetting an archived copy");
}

Result<> mark_purging(const Store& store, const std::vector<std::uint64_t>& idents) {
    rocksdb::WriteBatch writes;
    for (const std::uint64_t ident : idents) writes.Put(store.meta(), index_keys::purging_key(ident), "");
    return store.check(store.db().Write(synced(), &writes), "marking what is to be purged");
}

Result<std::vector<std::uint64_t>> read_purging(const Store& store) {
    std::vector<std::uint64_t> idents;
    const std::string prefix = index_keys::purging_prefix();
    auto read = for_each(store, store.meta(), prefix, [&](std::string_view key, std::string_view) {
        if (const auto ident = index_keys::u64_of(key.substr(prefix.size()))) idents.push_back(*ident);
        return true;
    });
    if (!read) return std::unexpected(read.error());
    return idents;
}

Result<> erase_purged(const Store& store) {
    const auto purging = read_purging(store);
    if (!purging) return std::unexpected(purging.error());
    if (auto alone = wait_for_snapshots(store); !alone) return alone;
    const std::vector<rocksdb::ColumnFamilyHandle*> families{store.meta(), store.recordings(), store.chunks(),
                                                             store.lookup()};
    // Out of the logs and into files, then every file anew without what was deleted. Old logs go with the flush.
    if (auto flushed = store.check(store.db().Flush({}, families), "flushing"); !flushed) return flushed;
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    options.exclusive_manual_compaction = false;
    for (auto* family : families) {
        const auto status = store.db().CompactRange(options, family, nullptr, nullptr);
        if (auto compacted = store.check(status, "erasing what was purged"); !compacted) return compacted;
    }
    rocksdb::WriteBatch unmark;
    for (const std::uint64_t ident : *purging) unmark.Delete(store.meta(), index_keys::purging_key(ident));
    if (auto written = store.check(store.db().Write(synced(), &unmark), "unmarking"); !written) return written;
    // A manifest begins with the files as they were before the change that it was begun for: only the second one after
    // the compaction names none of the old files' keys.
    for (int turn = 0; turn < 2; ++turn) {
        auto status = store.db().Put({}, store.meta(), kErasedKey, index_keys::u32_bytes(turn));
        if (status.ok()) status = store.db().Flush({}, store.meta());
        if (auto flushed = store.check(status, "renewing the manifest"); !flushed) return flushed;
    }
    // Files that are not needed any more go in the background else.
    if (const auto status = store.db().DisableFileDeletions(); !status.ok())
        return store.check(status, "erasing files");
    return store.check(store.db().EnableFileDeletions(true), "erasing files");
}

}  // namespace spantape
