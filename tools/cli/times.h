// SPDX-License-Identifier: AGPL-3.0-or-later
// Times as people read and write them, in the time zone of the process.
#pragma once

#include <string>
#include <string_view>

#include "capture/base/clock.h"
#include "capture/base/result.h"

namespace spantape::cli {

[[nodiscard]] std::string time_text(TimeNs time_ns);         // "2026-03-01 14:05:09"
[[nodiscard]] std::string duration_text(double duration_s);  // "0:07.5", "1:02:03.0"

// Which end of a range a time stands for: a day alone means its first or its last nanosecond.
enum class RangeEnd { from, to };
// "2026-03-01", "2026-03-01 14:30", "2026-03-01T14:30:05", "14:30" (today), "1767225600" (UNIX seconds), and how long
// ago: "90s", "15m", "2h", "7d".
Result<TimeNs> parse_time(std::string_view text, RangeEnd end, TimeNs now_ns);

}  // namespace spantape::cli
