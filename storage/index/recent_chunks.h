// SPDX-License-Identifier: AGPL-3.0-or-later
// Where the chunks of the last few batches lie. A stream gets a chunk at every flush; an entry of its own for each
// would cost the database more than all the rest. So a batch's chunks go into it as one value, and of one stream in
// kRounds all that has gathered becomes one entry of that stream, which leaves the oldest batch's value to be deleted:
// after kRounds batches every stream had its turn. For the files of this folder only.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <rocksdb/write_batch.h>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/index/store.h"

namespace spantape {

class RecentChunks {
public:
    static constexpr std::uint64_t kRounds = 16;

    // What the last batches before this start left. An error: an entry that is none of ours.
    Result<> load(const Store& store);

    // Adds to `writes` what finds `chunks` after it is written. When it was, commit() follows; else the next prepare()
    // begins where this one did.
    void prepare(const std::vector<ChunkEntry>& chunks, const Store& store, rocksdb::WriteBatch& writes);
    void commit();

    // Those of the stream that no entry of its own holds yet; any thread. Read before the stream's entries, for what
    // goes over meanwhile.
    [[nodiscard]] std::vector<ChunkEntry> of(std::uint64_t stream_id) const;
    // All streams of which there are some, rising; any thread.
    [[nodiscard]] std::vector<std::uint64_t> streams() const;

    // Adds to `writes` what takes these streams out of the last batches; when it was written, purge() follows.
    Result<> prepare_purge(const std::vector<std::uint64_t>& streams, const Store& store,
                           rocksdb::WriteBatch& writes) const;
    void purge(const std::vector<std::uint64_t>& streams);

private:
    using ByStream = std::unordered_map<std::uint64_t, std::vector<ChunkEntry>>;
    [[nodiscard]] static std::uint64_t turn_of(std::uint64_t stream_id) { return stream_id % kRounds; }
    // The first batch after `round` in which the stream has its turn.
    [[nodiscard]] static std::uint64_t next_turn(std::uint64_t stream_id, std::uint64_t round) {
        return round + 1 + (turn_of(stream_id) + kRounds - (round + 1) % kRounds) % kRounds;
    }
    void add(const ChunkEntry& chunk) { by_turn_[turn_of(chunk.stream_id)][chunk.stream_id].push_back(chunk); }

    mutable std::mutex mutex_;  // of by_turn_, between the writer's commit() and readers
    std::array<ByStream, kRounds> by_turn_;
    std::uint64_t round_ = 0;              // writer's, as what follows: of the next batch with chunks
    bool prepared_ = false;                // there is something for commit()
    std::vector<ChunkEntry> to_be_added_;  // by commit()
};

}  // namespace spantape
