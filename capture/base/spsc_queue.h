// SPDX-License-Identifier: AGPL-3.0-or-later
// A bounded queue of values between exactly one producer thread and one consumer thread; no lock, no allocation
// after construction. Producer's and consumer's fields lie on separate cache lines; each keeps a copy of the other's
// index, so that the shared line is read only when the copy says full or empty.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace spantape {

template <class T>
class SpscQueue {
public:
    // capacity is rounded up to a power of two.
    explicit SpscQueue(std::size_t capacity) {
        std::size_t size = 2;
        while (size < capacity) size *= 2;
        mask_ = size - 1;
        slots_ = std::make_unique<T[]>(size);
    }
    SpscQueue(const SpscQueue&) = delete;
    SpscQueue& operator=(const SpscQueue&) = delete;

    // Producer only. False, with value untouched, when the queue is full.
    bool push(T&& value) {
        const std::size_t tail = tail_.load(std::memory_order_relaxed);
        if (tail - head_copy_ > mask_) {
            head_copy_ = head_.load(std::memory_order_acquire);  // slots before it were moved out by the consumer
            if (tail - head_copy_ > mask_) return false;
        }
        slots_[tail & mask_] = std::move(value);
        tail_.store(tail + 1, std::memory_order_release);  // publishes the slot
        return true;
    }

    // Consumer only.
    std::optional<T> pop() {
        const std::size_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_copy_) {
            tail_copy_ = tail_.load(std::memory_order_acquire);  // slots before it are filled
            if (head == tail_copy_) return std::nullopt;
        }
        std::optional<T> value(std::move(slots_[head & mask_]));
        head_.store(head + 1, std::memory_order_release);  // gives the slot back
        return value;
    }

    // Any thread; a moment's view.
    [[nodiscard]] std::size_t size() const {
        const std::size_t head = head_.load(std::memory_order_acquire);
        return tail_.load(std::memory_order_acquire) - head;
    }
    [[nodiscard]] bool empty() const {
        return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
    }

private:
    std::size_t mask_ = 0;
    std::unique_ptr<T[]> slots_;
    alignas(64) std::atomic<std::size_t> tail_{0};  // written by the producer
    std::size_t head_copy_ = 0;                     // producer's
    alignas(64) std::atomic<std::size_t> head_{0};  // written by the consumer
    std::size_t tail_copy_ = 0;                     // consumer's
};

}  // namespace spantape
