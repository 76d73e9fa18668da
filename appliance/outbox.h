// SPDX-License-Identifier: AGPL-3.0-or-later
#pragma once

#include <deque>
#include <utility>

#include "capture/base/spsc_queue.h"

namespace spantape {

// An SPSC queue whose producer keeps what finds no room.
template <class T>
class Outbox {
public:
    explicit Outbox(SpscQueue<T>& queue) : queue_(&queue) {}
    void push(T&& value) {
        if (!waiting_.empty() || !queue_->push(std::move(value))) waiting_.push_back(std::move(value));
    }
    bool retry() {
        while (!waiting_.empty() && queue_->push(std::move(waiting_.front()))) waiting_.pop_front();
        return waiting_.empty();
    }

private:
    SpscQueue<T>* queue_;
    std::deque<T> waiting_;
};

}  // namespace spantape
