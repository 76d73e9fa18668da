// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/directory_store.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include "storage/index/write_failure.h"

namespace spantape {

namespace {

// Entries are below it, so that what is ours is told from theirs.
constexpr std::string_view kEntryPrefix = "e/";
constexpr const char* kFormatKey = "format";
constexpr std::string_view kFormat = "1";
constexpr std::size_t kWriteBufferBytes = 4u << 20;

rocksdb::Options options() {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.max_background_jobs = 1;
    options.max_open_files = 64;
    options.write_buffer_size = kWriteBufferBytes;
    options.max_total_wal_size = 4 * kWriteBufferBytes;
    // The tail of a log that a power loss tore was never answered for; damage before it is an error, not a gap.
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    return options;
}

class RocksDirectoryStore final : public DirectoryStore {
public:
    explicit RocksDirectoryStore(std::string directory) : directory_(std::move(directory)) {}
    ~RocksDirectoryStore() override {
        if (db_) db_->Close();
    }
    RocksDirectoryStore(const RocksDirectoryStore&) = delete;
    RocksDirectoryStore& operator=(const RocksDirectoryStore&) = delete;

    Result<> open();
    Result<> for_each(const Visitor& visit) const override;
    Result<> put(const Batch& batch) override;

private:
    [[nodiscard]] Result<> check(const rocksdb::Status& status, std::string_view doing) const {
        if (status.ok()) return {};
        return fail("directory {}: {}: {}", directory_, doing, status.ToString());
    }
    Result<> make_private() const;
    Result<> check_format();

    const std::string directory_;
    WriteFailure failed_;
    std::unique_ptr<rocksdb::DB> db_;
};

// It holds hashes of passwords. RocksDB's files follow the umask; nobody else gets to them through a closed door.
Result<> RocksDirectoryStore::make_private() const {
    if (mkdir(directory_.c_str(), S_IRWXU) == 0) return {};
    if (errno != EEXIST) return fail("directory {}: cannot be made: {}", directory_, strerror(errno));
    std::error_code error;
    if (!std::filesystem::is_directory(directory_, error)) return fail("directory {}: is no directory", directory_);
    if (chmod(directory_.c_str(), S_IRWXU) != 0)
        return fail("directory {}: cannot be closed to others: {}", directory_, strerror(errno));
    return {};
}

Result<> RocksDirectoryStore::open() {
    if (auto closed = make_private(); !closed) return closed;
    rocksdb::DB* db = nullptr;
    rocksdb::Options with = options();
    failed_ = watch_for_write_failure(with);
    const auto status = rocksdb::DB::Open(with, directory_, &db);
    db_.reset(db);
    const std::string text = status.ToString();
    if (text.find("While lock file") != std::string::npos || text.find("lock hold by") != std::string::npos)
        return fail("directory {}: in use by another process", directory_);
    if (auto opened = check(status, "cannot be opened"); !opened) return opened;
    return check_format();
}

Result<> RocksDirectoryStore::check_format() {
    std::string format;
    const auto status = db_->Get({}, kFormatKey, &format);
    if (status.IsNotFound()) {
        rocksdb::WriteOptions synced;
        synced.sync = true;
        return check(db_->Put(synced, kFormatKey, rocksdb::Slice(kFormat.data(), kFormat.size())),
                     "writing the format version");
    }
    if (auto read = check(status, "reading the format version"); !read) return read;
    if (format != kFormat)
        return fail("directory {}: has format '{}', this program knows format {}", directory_, format, kFormat);
    return {};
}

Result<> RocksDirectoryStore::for_each(const Visitor& visit) const {
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}));
    for (at->Seek(rocksdb::Slice(kEntryPrefix.data(), kEntryPrefix.size())); at->Valid(); at->Next()) {
        const std::string_view key = at->key().ToStringView();
        if (!key.starts_with(kEntryPrefix)) break;
        auto visited = visit(key.substr(kEntryPrefix.size()), at->value().ToStringView());
        if (!visited) return fail("directory {}: {}", directory_, visited.error().message);
    }
    return check(at->status(), "reading the entries");
}

Result<> RocksDirectoryStore::put(const Batch& batch) {
    if ((!db_ || *failed_) && room_to_open(directory_)) {
        if (db_) db_->Close();
        db_.reset();
        if (auto opened = open(); !opened) {
            db_.reset();
            return opened;
        }
    }
    if (!db_) return fail("directory {}: closed after a write that failed; the disk has no room yet", directory_);
    rocksdb::WriteBatch writes;
    for (const auto& [key, value] : batch) {
        const std::string name = std::string(kEntryPrefix) + key;
        if (value)
            writes.Put(name, *value);
        else
            writes.Delete(name);
    }
    rocksdb::WriteOptions synced;
    synced.sync = true;
    return check(db_->Write(synced, &writes), "writing");
}

}  // namespace

Result<std::unique_ptr<DirectoryStore>> DirectoryStore::open(const std::string& directory) {
    auto store = std::make_unique<RocksDirectoryStore>(directory);
    if (auto opened = store->open(); !opened) return std::unexpected(opened.error());
    return store;
}

}  // namespace spantape
