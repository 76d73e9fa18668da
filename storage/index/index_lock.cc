// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/index_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <rocksdb/env.h>

namespace spantape {

namespace {

// RocksDB's own: a file that is locked by fcntl.
std::string lock_file(const std::string& directory) { return directory + "/LOCK"; }

class RocksLock final : public IndexLock {
public:
    explicit RocksLock(rocksdb::FileLock* lock) : lock_(lock) {}
    ~RocksLock() override { rocksdb::Env::Default()->UnlockFile(lock_); }
    RocksLock(const RocksLock&) = delete;
    RocksLock& operator=(const RocksLock&) = delete;

private:
    rocksdb::FileLock* lock_;
};

}  // namespace

Result<std::unique_ptr<IndexLock>> IndexLock::take(const std::string& directory) {
    rocksdb::FileLock* lock = nullptr;
    const auto status = rocksdb::Env::Default()->LockFile(lock_file(directory), &lock);
    if (!status.ok()) {
        // This process's own lock is asked for first: see index_in_use().
        if (status.ToString().find("lock hold by") != std::string::npos || index_in_use(directory))
            return fail("index {}: in use by another process", directory);
        return fail("index {}: cannot be locked: {}", directory, status.ToString());
    }
    return std::make_unique<RocksLock>(lock);
}

bool index_in_use(const std::string& directory) {
    const int file = open(lock_file(directory).c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) return false;
    struct flock held{};
    held.l_type = F_WRLCK;
    held.l_whence = SEEK_SET;
    const bool in_use = fcntl(file, F_GETLK, &held) == 0 && held.l_type != F_UNLCK;
    // Closing any descriptor of a file drops this process's own locks on it: only others' are asked for, and the
    // caller has none.
    close(file);
    return in_use;
}

}  // namespace spantape
