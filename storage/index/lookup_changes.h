// SPDX-License-Identifier: AGPL-3.0-or-later
// What recordings that come, change and go do to the lookup family. For the files of this folder only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <rocksdb/write_batch.h>

#include "capture/base/result.h"
#include "storage/index/store.h"
#include "storage/recording.h"

namespace spantape {

class LookupChanges {
public:
    // A recording's entries as they are in the database (nullptr: it has none) give way to those that it shall have
    // (nullptr: none). Each recording once.
    void note(const Recording* before, const Recording* after);
    // Only what it has in blocks, of a recording that has nothing there.
    void note_blocks(const Recording& recording) { note_in_blocks(nullptr, &recording); }

    // Adds what was noted to `writes`, and forgets it. Of blocks from which something is taken it reads what is there:
    // nobody else may be changing them. A block that nothing is left of goes, and with it the value in its key.
    Result<> write_to(rocksdb::WriteBatch& writes, const Store& store);

private:
    void note_in_blocks(const Recording* before, const Recording* after);
    struct Posting {
        std::string key;
        std::uint16_t ident = 0;  // within the block
        bool has = false;
        auto operator<=>(const Posting&) const = default;
    };
    struct Start {
        std::uint64_t ident = 0;
        std::optional<TimeNs> start_ns;
        auto operator<=>(const Start&) const = default;
    };
    using Postings = std::vector<Posting>::const_iterator;
    using Starts = std::vector<Start>::const_iterator;
    static Result<> write_block(Postings from, Postings to, rocksdb::WriteBatch& writes, const Store& store);
    static Result<> write_starts(Starts from, Starts to, rocksdb::WriteBatch& writes, const Store& store);

    std::vector<std::string> stale_, fresh_;  // entries of one recording each
    std::vector<Posting> postings_;
    std::vector<Start> starts_;
};

}  // namespace spantape
