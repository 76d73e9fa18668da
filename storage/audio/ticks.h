// SPDX-License-Identifier: AGPL-3.0-or-later
// Conversions between nanoseconds and ticks of a sample or RTP clock, without overflow within ±292 years, rounded to
// the nearest (halves up).
#pragma once

#include <cstdint>

#include "capture/base/clock.h"

namespace spantape {

constexpr std::int64_t floor_div(std::int64_t value, std::int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

constexpr std::int64_t ticks_of(TimeNs ns, std::uint32_t rate_hz) {
    const std::int64_t whole = floor_div(ns, kNsPerSecond);
    const std::int64_t rest = ns - whole * kNsPerSecond;
    return whole * rate_hz + (rest * rate_hz + kNsPerSecond / 2) / kNsPerSecond;
}

constexpr TimeNs ns_of(std::int64_t ticks, std::uint32_t rate_hz) {
    const std::int64_t whole = floor_div(ticks, rate_hz);
    const std::int64_t rest = ticks - whole * rate_hz;
    return whole * kNsPerSecond + (rest * kNsPerSecond + rate_hz / 2) / rate_hz;
}

}  // namespace spantape
