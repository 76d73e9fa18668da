// SPDX-License-Identifier: AGPL-3.0-or-later
// A sum of samples as one sample.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace spantape {

constexpr std::int16_t saturated(std::int32_t value) {
    constexpr std::int32_t kLeast = std::numeric_limits<std::int16_t>::min();
    constexpr std::int32_t kMost = std::numeric_limits<std::int16_t>::max();
    return static_cast<std::int16_t>(std::clamp(value, kLeast, kMost));
}

}  // namespace spantape
