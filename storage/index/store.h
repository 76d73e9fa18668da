// SPDX-License-Identifier: AGPL-3.0-or-later
// The RocksDB database under the index: opening it with our options, its column families, and its errors as ours.
// For the files of this folder only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <rocksdb/db.h>

#include "capture/base/result.h"
#include "storage/index/write_failure.h"

namespace spantape {

class Store {
public:
    // Opens or creates the database. An error names the directory and what is wrong with it.
    static Result<std::unique_ptr<Store>> open(const std::string& directory);
    // An existing database as it is now, beside the process that writes it; writing to it gives errors.
    static Result<std::unique_ptr<Store>> open_read_only(const std::string& directory);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    // Of what is there, not of what we write.
    [[nodiscard]] std::uint32_t format() const { return format_; }
    void set_format(std::uint32_t format) { format_ = format; }
    // Families are read one after the other then: while the writer purges, one may know less than another.
    [[nodiscard]] bool read_only() const { return read_only_; }
    // Of a store that was opened for writing.
    [[nodiscard]] const WriteFailure& write_failure() const { return failed_; }
    [[nodiscard]] rocksdb::DB& db() const { return *db_; }
    [[nodiscard]] rocksdb::ColumnFamilyHandle* meta() const { return families_[0]; }
    [[nodiscard]] rocksdb::ColumnFamilyHandle* recordings() const { return families_[1]; }
    [[nodiscard]] rocksdb::ColumnFamilyHandle* chunks() const { return families_[2]; }
    [[nodiscard]] rocksdb::ColumnFamilyHandle* lookup() const { return families_[3]; }

    // nullopt when there is no such key.
    Result<std::optional<std::string>> get(rocksdb::ColumnFamilyHandle* family, std::string_view key,
                                           const rocksdb::Snapshot* snapshot = nullptr) const;
    // `doing` is what failed: "index /var/lib/spantape/index: reading recording 7: IO error: …".
    [[nodiscard]] Result<> check(const rocksdb::Status& status, std::string_view doing) const;

    // For errors found by ourselves: "index DIRECTORY: " and the message.
    template <class... Args>
    [[nodiscard]] std::unexpected<Error> broken(fmt::format_string<Args...> format, Args&&... args) const {
        return fail("index {}: {}", directory_, fmt::format(format, std::forward<Args>(args)...));
    }

private:
    explicit Store(std::string directory) : directory_(std::move(directory)) {}
    Result<> check_format();

    std::string directory_;
    std::uint32_t format_ = 0;
    bool read_only_ = false;
    WriteFailure failed_;
    std::unique_ptr<rocksdb::DB> db_;
    std::vector<rocksdb::ColumnFamilyHandle*> families_;  // ours to destroy, before the database
};

}  // namespace spantape
