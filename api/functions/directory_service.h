// SPDX-License-Identifier: AGPL-3.0-or-later
// Puts the directory's changes on disk: in their order, several that wait as one batch, on the pool; and keeps the
// turns of requests that must first hash a password there. Lives on the control thread; outlives the pool's work.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/control/directory.h"
#include "storage/index/directory_store.h"

namespace spantape::api {

class DirectoryService {
public:
    // store: nullptr: the directory is kept in memory alone.
    DirectoryService(Directory& directory, DirectoryStore* store, boost::asio::io_context& control_thread,
                     boost::asio::thread_pool& pool)
        : directory_(directory), store_(store), control_thread_(control_thread), pool_(pool) {}

    [[nodiscard]] Directory& directory() { return directory_; }

    // Calls `turn` after all turns asked for before, with the hash of the password ("" for none).
    using Turn = std::function<void(Result<std::string> password_hash)>;
    void in_turn(std::string password, Turn turn);
    [[nodiscard]] bool turns_waiting() const { return !turns_.empty(); }
    // More should not be taken on.
    [[nodiscard]] bool crowded() const { return turns_.size() + waiting_.size() >= kMostWaiting; }

    // `changes` are in the directory already. Calls `done` when they and all before them are durable; or with an error,
    // when they, and all that came after what could not be written, were taken back.
    using Done = std::function<void(const Result<>&)>;
    void commit(DirectoryChanges changes, Done done);

private:
    static constexpr std::size_t kMostWaiting = 20'000;
    struct Waiting {
        DirectoryChanges changes;
        Done done;
    };
    struct WaitingTurn {
        Turn turn;
        bool ready = false;
        Result<std::string> hash;
    };

    void take_turns();
    void write();
    void written(const Result<>& result);

    Directory& directory_;
    DirectoryStore* store_;
    boost::asio::io_context& control_thread_;
    boost::asio::thread_pool& pool_;
    std::deque<Waiting> waiting_;  // the first writing_ of them are being written
    std::size_t writing_ = 0;
    std::deque<std::shared_ptr<WaitingTurn>> turns_;
    bool taking_turns_ = false;
};

}  // namespace spantape::api
