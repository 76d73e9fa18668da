// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/duplicate_filter.h"

#include <algorithm>
#include <bit>

#include "capture/sip/text.h"

namespace spantape {

DuplicateFilter::DuplicateFilter(std::size_t entries, TimeNs window_ns)
    : sets_(std::bit_ceil(std::max<std::size_t>(entries / kWays, 1))), window_ns_(window_ns) {}

// Capture times can go back (several interfaces, files in a row), so both directions count.
bool DuplicateFilter::fresh(const Entry& entry, TimeNs time_ns) const {
    return entry.time_ns <= time_ns ? time_ns - entry.time_ns < window_ns_ : entry.time_ns - time_ns < window_ns_;
}

bool DuplicateFilter::seen(TimeNs time_ns, std::span<const std::uint8_t> bytes) {
    const std::uint64_t hash = std::max<std::uint64_t>(sip_text::hash_bytes(bytes), 1);
    Set& set = sets_[hash & (sets_.size() - 1)];
    auto* const known = std::find_if(set.begin(), set.end(), [&](const Entry& entry) { return entry.hash == hash; });
    if (known != set.end()) {
        const bool duplicate = fresh(*known, time_ns);
        known->time_ns = time_ns;
        return duplicate;
    }
    *std::min_element(set.begin(), set.end(), [](const Entry& left, const Entry& right) {
        return left.time_ns < right.time_ns;
    }) = {hash, time_ns};
    return false;
}

}  // namespace spantape
