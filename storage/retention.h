// SPDX-License-Identifier: AGPL-3.0-or-later
// How full a disk may get: what is still recorded when there is little room. Pure.
#pragma once

#include <cstdint>

namespace spantape {

enum class Space : std::uint8_t {
    enough,
    low,   // below the reserve: only recordings of a raised priority begin
    none,  // below half of it: none begins. What runs is finished
};

// reserve_percent: storage.reserve. before: what it was; to get better takes a tenth of the reserve more, so that it
// does not go to and fro with each segment. A file system of no size is one that cannot be asked: enough.
constexpr Space space_of(std::uint64_t free_bytes, std::uint64_t total_bytes, double reserve_percent, Space before) {
    if (total_bytes == 0) return Space::enough;
    const double free_percent = 100.0 * static_cast<double>(free_bytes) / static_cast<double>(total_bytes);
    constexpr double kMargin = 1.1;
    const double low = before == Space::enough ? reserve_percent : reserve_percent * kMargin;
    const double none = (before == Space::none ? reserve_percent * kMargin : reserve_percent) / 2;
    if (free_percent < none) return Space::none;
    return free_percent < low ? Space::low : Space::enough;
}

// priority: PRIORITY of the recording; 0 where nobody raised it.
constexpr bool may_record(Space space, std::int32_t priority) {
    return space == Space::enough || (space == Space::low && priority > 0);
}

}  // namespace spantape
