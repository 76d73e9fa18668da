// SPDX-License-Identifier: AGPL-3.0-or-later
// A counter, or a gauge, that one thread changes and any thread reads. Adding is a plain load, add and store: no locked
// instruction.
#pragma once

#include <atomic>
#include <cstdint>

namespace spantape {

class Counter {
public:
    void add(std::uint64_t amount = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    void subtract(std::uint64_t amount = 1) { add(0 - amount); }  // of a gauge
    void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};  // written by the owner
};

}  // namespace spantape
