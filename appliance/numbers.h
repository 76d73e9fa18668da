// SPDX-License-Identifier: AGPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <future>
#include <map>
#include <string>

#include "capture/base/clock.h"
#include "storage/index/index.h"

namespace spantape {

// Numbers of a series, taken from the index in blocks. When half of a block is used the next one is taken, by a thread
// of its own: one synced write for kNumbersAtOnce recordings, for more where a flood uses them up, which no decision
// waits for.
class Numbers {
public:
    explicit Numbers(Index& index) : index_(index) {}
    std::uint64_t next(const std::string& series) {
        Block& block = blocks_[series];
        if (block.next == block.end) {
            const TimeNs now_ns = monotonic_ns();
            block.taken_quickly = now_ns - block.taken_ns < kNsPerSecond;
            block.taken_ns = now_ns;
            if (!block.coming.valid()) order(block, series);
            const auto first = block.coming.get();
            // Without an index the numbers go on, so that recording does; recover() will find them taken.
            if (first) block.next = block.end = *first;
            block.end += block.numbers;
        }
        const std::uint64_t number = block.next++;
        if (!block.coming.valid() && block.end - block.next < block.numbers / 2) order(block, series);
        return number;
    }

private:
    static constexpr std::uint64_t kNumbersAtOnce = 100;
    static constexpr std::uint64_t kMostNumbersAtOnce = 100'000;
    struct Block {
        std::uint64_t next = 1, end = 1, numbers = 0;  // numbers: of this block and then of the one that comes
        std::future<Result<std::uint64_t>> coming;
        TimeNs taken_ns = -kNsPerSecond;
        bool taken_quickly = false;
    };
    void order(Block& block, const std::string& series) {
        block.numbers = block.taken_quickly ? std::min(block.numbers * 2, kMostNumbersAtOnce) : kNumbersAtOnce;
        // Deferred, as it were by the caller, only where the system has no thread to give.
        block.coming = std::async(std::launch::async | std::launch::deferred, [this, series, numbers = block.numbers] {
            return index_.take_numbers(series, numbers);
        });
    }

    Index& index_;
    std::map<std::string, Block> blocks_;
};

}  // namespace spantape
