// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/store.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <sys/resource.h>
#include <unistd.h>

#include "storage/index/blocks.h"
#include "storage/index/keys.h"

namespace spantape {

namespace {

// A search looks at some hundred blocks; where those of a year do not fit, it waits for the disk and unpacks each anew:
// four million recordings took three times as long with 64 MiB as with 512. It grows as it is used.
constexpr std::uint64_t kMostCacheBytes = 512u << 20;
constexpr std::uint64_t kCacheShareOfMemory = 16;
constexpr std::size_t kWriteBufferBytes = 16u << 20;
constexpr double kBloomBitsPerKey = 10;
constexpr rlim_t kMostOpenFiles = 4096, kOpenFilesShare = 4;
constexpr int kReadOnlyAttempts = 20;  // 0.2 s: a purge of several recordings replaces all files several times
constexpr std::chrono::milliseconds kBetweenAttempts{10};

std::size_t cache_bytes() {
    const auto pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0) return kMostCacheBytes / kCacheShareOfMemory;
    const auto memory = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
    return std::min(kMostCacheBytes, memory / kCacheShareOfMemory);
}

// A file that is not open is opened anew, index and filter and all, for each look into it: a search of ten million
// recordings, in a thousand files, took half again as long when 256 could be.
int most_open_files() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<int>(kMostOpenFiles / kOpenFilesShare);
    return static_cast<int>(std::min(kMostOpenFiles, limit.rlim_cur / kOpenFilesShare));
}

rocksdb::DBOptions database_options() {
    rocksdb::DBOptions options;
    options.create_if_missing = true;
    options.create_missing_column_families = true;
    options.max_background_jobs = 2;
    options.max_open_files = most_open_files();
    options.max_total_wal_size = 64u << 20;  // bounds the replay at the next start
    options.bytes_per_sync = 1u << 20;       // no bursts of write-back that would delay the segments
    options.wal_bytes_per_sync = 1u << 20;
    // The manifest names the first and last key of each file, and keys hold values of fields. A new one at each change
    // of files keeps none of what was purged (erase_purged()); it is small beside the files that are written then.
    options.max_manifest_file_size = 1;
    // A log that is torn at its end (power loss) is taken up to the last whole batch. What is lost is put back from
    // the segments, since the watermark was in the same batches.
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    return options;
}

rocksdb::ColumnFamilyOptions family_options(const std::shared_ptr<rocksdb::Cache>& cache, bool filtered = true) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    if (filtered) table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
    table.format_version = 5;
    rocksdb::ColumnFamilyOptions options;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    options.write_buffer_size = kWriteBufferBytes;
    options.level_compaction_dynamic_level_bytes = true;
    const auto compressions = rocksdb::GetSupportedCompressions();
    const bool lz4 = std::ranges::find(compressions, rocksdb::kLZ4Compression) != compressions.end();
    options.compression = lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
    return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> families() {
    const auto cache = rocksdb::NewLRUCache(cache_bytes());
    auto chunks = family_options(cache);
    // The lookup family is only ever walked: a filter on whole keys would cost a byte and a quarter each, and say
    // nothing.
    auto lookup = family_options(cache, false);
    lookup.merge_operator = blocks::block_merge();
    // Chunks are only ever walked by stream: filters on the stream id skip the files that do not hold it.
    chunks.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(index_keys::kStreamIdBytes));
    return {{rocksdb::kDefaultColumnFamilyName, family_options(cache)},
            {"recordings", family_options(cache)},
            {"chunks", chunks},
            {"lookup", lookup}};
}

// RocksDB tells a lock that is held only by its text ("lock hold by current process", "While lock file: …").
bool is_lock_error(const rocksdb::Status& status) {
    const std::string text = status.ToString();
    return status.IsIOError() &&
           (text.find("While lock file") != std::string::npos || text.find("lock hold by") != std::string::npos);
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& directory) {
    std::error_code error;
    const auto parent = std::filesystem::absolute(directory, error).lexically_normal().parent_path();
    if (!std::filesystem::is_directory(parent, error))
        return fail("index {}: there is no directory {}", directory, parent.string());
    if (std::filesystem::exists(directory, error) && !std::filesystem::is_directory(directory, error))
        return fail("index {}: is no directory", directory);

    std::unique_ptr<Store> store(new Store(directory));
    rocksdb::DB* db = nullptr;
    rocksdb::DBOptions options = database_options();
    store->failed_ = watch_for_write_failure(options);
    const auto status = rocksdb::DB::Open(options, directory, families(), &store->families_, &db);
    store->db_.reset(db);
    if (is_lock_error(status)) return store->broken("in use by another process");
    if (auto opened = store->check(status, "cannot be opened"); !opened) return std::unexpected(opened.error());
    if (auto known = store->check_format(); !known) return std::unexpected(known.error());
    return store;
}

Result<std::unique_ptr<Store>> Store::open_read_only(const std::string& directory) {
    std::error_code error;
    if (!std::filesystem::exists(directory + "/CURRENT", error)) return fail("index {}: there is none", directory);
    rocksdb::DBOptions options = database_options();
    watch_for_write_failure(options);
    options.create_if_missing = false;
    options.create_missing_column_families = false;
    options.max_open_files = -1;  // all at once: the writer may delete old ones later
    std::unique_ptr<Store> store(new Store(directory));
    store->read_only_ = true;
    rocksdb::Status status;
    // The writer may have replaced files between our reading their names and opening them: then look again.
    for (int attempt = 0; attempt < kReadOnlyAttempts; ++attempt) {
        rocksdb::DB* db = nullptr;
        status = rocksdb::DB::OpenForReadOnly(options, directory, families(), &store->families_, &db);
        store->db_.reset(db);
        if (status.ok()) break;
        std::this_thread::sleep_for(kBetweenAttempts);
    }
    if (auto opened = store->check(status, "cannot be opened"); !opened) return std::unexpected(opened.error());
    if (auto known = store->check_format(); !known) return std::unexpected(known.error());
    return store;
}

Store::~Store() {
    if (!db_) return;
    for (auto* family : families_) db_->DestroyColumnFamilyHandle(family);
    if (!failed_ || !*failed_)
        db_->SyncWAL();  // a clean end leaves nothing to the write-back; its failure costs only a rescan of segments
    db_->Close();
}

Result<> Store::check_format() {
    const auto stored = get(meta(), "format");
    if (!stored) return std::unexpected(stored.error());
    format_ = index_keys::kFormatVersion;
    if (!*stored)
        return check(db_->Put({}, meta(), "format", index_keys::u32_bytes(index_keys::kFormatVersion)),
                     "writing the format version");
    const auto version = index_keys::u32_of(**stored);
    if (!version) return broken("the format version is {} bytes long, must be 4", (*stored)->size());
    // Older ones read the same; what they lack is made when they are opened for writing (keeping.h).
    if (*version == 0 || *version > index_keys::kFormatVersion)
        return broken("has format {}, this program knows formats up to {}", *version, index_keys::kFormatVersion);
    if (read_only_ && *version != index_keys::kFormatVersion)
        return broken("has format {}, and must be brought to format {} first: start spantaped once", *version,
                      index_keys::kFormatVersion);
    format_ = *version;
    return {};
}

Result<std::optional<std::string>> Store::get(rocksdb::ColumnFamilyHandle* family, std::string_view key,
                                              const rocksdb::Snapshot* snapshot) const {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    std::string value;
    const auto status = db_->Get(options, family, key, &value);
    if (status.IsNotFound()) return std::nullopt;
    if (auto read = check(status, "reading"); !read) return std::unexpected(read.error());
    return value;
}

Result<> Store::check(const rocksdb::Status& status, std::string_view doing) const {
    if (status.ok()) return {};
    return broken("{}: {}", doing, status.ToString());
}

}  // namespace spantape
