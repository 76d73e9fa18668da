// SPDX-License-Identifier: AGPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "capture/base/clock.h"
#include "storage/index/index.h"

namespace spantape {

// Numbers of a series, taken from the index in blocks. A new block is taken when the old one is used up: one synced
// write for kNumbersAtOnce recordings; for more where a flood uses them up, so that it is one a second or so.
class Numbers {
public:
    explicit Numbers(Index& index) : index_(index) {}
    std::uint64_t next(const std::string& series) {
        Block& block = blocks_[series];
        if (block.next == block.end) {
            const TimeNs now_ns = monotonic_ns();
            const bool used_up_quickly = now_ns - block.taken_ns < kNsPerSecond;
            block.numbers = used_up_quickly ? std::min(block.numbers * 2, kMostNumbersAtOnce) : kNumbersAtOnce;
            block.taken_ns = now_ns;
            const auto first = index_.take_numbers(series, block.numbers);
            // Without an index the numbers go on, so that recording does; recover() will find them taken.
            if (first) block.next = block.end = *first;
            block.end += block.numbers;
        }
        return block.next++;
    }

private:
    static constexpr std::uint64_t kNumbersAtOnce = 100;
    static constexpr std::uint64_t kMostNumbersAtOnce = 100'000;
    struct Block {
        std::uint64_t next = 1, end = 1, numbers = kNumbersAtOnce;
        TimeNs taken_ns = -kNsPerSecond;
    };
    Index& index_;
    std::map<std::string, Block> blocks_;
};

}  // namespace spantape
