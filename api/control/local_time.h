// SPDX-License-Identifier: AGPL-3.0-or-later
// Wall-clock time in the appliance's time zone. C++23's <chrono> zones are not in GCC 12, so the C library's are used:
// the zone is set once for the process, in main, from api.timezone.
#pragma once

#include <ctime>
#include <string>

#include "capture/base/clock.h"

namespace spantape {

inline std::tm local_time(TimeNs time_ns) {
    const auto whole = static_cast<std::time_t>(time_ns / kNsPerSecond - (time_ns % kNsPerSecond < 0 ? 1 : 0));
    std::tm local{};
    localtime_r(&whole, &local);
    return local;
}

}  // namespace spantape
