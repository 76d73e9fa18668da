// SPDX-License-Identifier: AGPL-3.0-or-later
// RocksDB where a disk is full or fails. After a write that failed it takes no more; and what it does by itself to go
// on, and its own log, end the process in builds with assertions, as Debian's is: both go by what failed before
// (facebook/rocksdb pull request 12448 is a later version's cure). So it writes no log, does not recover by itself, and
// whoever uses it closes it and opens it anew.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include <rocksdb/options.h>

namespace spantape {

// Set once RocksDB takes no more writes.
using WriteFailure = std::shared_ptr<std::atomic<bool>>;

// For options of a database that is opened for writing.
WriteFailure watch_for_write_failure(rocksdb::DBOptions& options);

// Whether so much of the disk is free again that the database in `directory` can be opened: its logs are written to
// tables then.
[[nodiscard]] bool room_to_open(const std::string& directory);

}  // namespace spantape
