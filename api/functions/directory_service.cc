// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/directory_service.h"

#include <boost/asio/post.hpp>

#include "storage/password.h"

namespace spantape::api {

namespace asio = boost::asio;

// --- turns

void DirectoryService::in_turn(std::string password, Turn turn) {
    const auto waiting = std::make_shared<WaitingTurn>();
    waiting->turn = std::move(turn);
    waiting->ready = password.empty();
    turns_.push_back(waiting);
    if (!waiting->ready)
        asio::post(pool_, [this, waiting, password = std::move(password)] {
            auto hash = std::make_shared<Result<std::string>>(hash_password(password));
            asio::post(control_thread_, [this, waiting, hash] {
                waiting->hash = std::move(*hash);
                waiting->ready = true;
                take_turns();
            });
        });
    take_turns();
}

void DirectoryService::take_turns() {
    if (taking_turns_) return;  // a turn asked for another
    taking_turns_ = true;
    while (!turns_.empty() && turns_.front()->ready) {
        const auto next = std::move(turns_.front());
        turns_.pop_front();
        next->turn(std::move(next->hash));
    }
    taking_turns_ = false;
}

// --- writing

void DirectoryService::commit(DirectoryChanges changes, Done done) {
    // Without changes, too, an answer rests on what those before it changed.
    if (store_ == nullptr || (changes.empty() && waiting_.empty())) return done({});
    waiting_.push_back({std::move(changes), std::move(done)});
    if (writing_ == 0) write();
}

// All that wait, as one batch.
void DirectoryService::write() {
    DirectoryStore::Batch batch;
    for (const Waiting& one : waiting_)
        for (const DirectoryChange& change : one.changes)
            batch.emplace_back(change.key, change.after ? std::optional(encode(*change.after)) : std::nullopt);
    writing_ = waiting_.size();
    asio::post(pool_, [this, batch = std::move(batch)] {
        auto result = std::make_shared<Result<>>(batch.empty() ? Result<>() : store_->put(batch));
        asio::post(control_thread_, [this, result] { written(*result); });
    });
}

void DirectoryService::written(const Result<>& result) {
    std::deque<Waiting> finished;
    if (result) {
        for (; writing_ > 0; --writing_) {
            finished.push_back(std::move(waiting_.front()));
            waiting_.pop_front();
        }
        if (!waiting_.empty()) write();
    } else {
        // What came later was decided on what is not to be: all of it goes, the newest first.
        for (auto one = waiting_.rbegin(); one != waiting_.rend(); ++one) directory_.undo(one->changes);
        finished.swap(waiting_);
        writing_ = 0;
    }
    for (const Waiting& one : finished) one.done(result);
}

}  // namespace spantape::api
