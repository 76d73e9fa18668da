// SPDX-License-Identifier: AGPL-3.0-or-later
// Time. One unit everywhere: nanoseconds since the UNIX epoch, UTC, signed 64 bits (`TimeNs`), and differences of it.
// The data path runs on the capture clock (the packets' time stamps); only live sources and timers read the wall clock.
#pragma once

#include <cstdint>
#include <ctime>

namespace spantape {

using TimeNs = std::int64_t;

inline constexpr TimeNs kNsPerSecond = 1'000'000'000;
inline constexpr TimeNs kNsPerMs = 1'000'000;

inline TimeNs wall_clock_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<TimeNs>(now.tv_sec) * kNsPerSecond + now.tv_nsec;
}

inline TimeNs monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<TimeNs>(now.tv_sec) * kNsPerSecond + now.tv_nsec;
}

inline constexpr double seconds(TimeNs ns) { return static_cast<double>(ns) / static_cast<double>(kNsPerSecond); }

}  // namespace spantape
