// SPDX-License-Identifier: AGPL-3.0-or-later
// Tells messages that were seen a short while ago: mirrored twice, captured on two interfaces, or retransmitted. Keeps
// a hash and a time each, in a table of fixed size, in which the oldest of a few neighbours gives way.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "capture/base/clock.h"

namespace spantape {

class DuplicateFilter {
public:
    // entries: rounded up to a power of two; window_ns: how long a message is remembered after it was last seen.
    DuplicateFilter(std::size_t entries, TimeNs window_ns);

    // True when the same bytes were seen less than the window ago. Addresses play no part: a mirror before and one
    // behind a NAT show the same message twice.
    bool seen(TimeNs time_ns, std::span<const std::uint8_t> bytes);

private:
    struct Entry {
        std::uint64_t hash = 0;  // 0: free
        TimeNs time_ns = 0;
    };
    static constexpr std::size_t kWays = 4;
    using Set = std::array<Entry, kWays>;  // one cache line

    [[nodiscard]] bool fresh(const Entry& entry, TimeNs time_ns) const;

    std::vector<Set> sets_;
    TimeNs window_ns_;
};

}  // namespace spantape
