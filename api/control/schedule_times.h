// SPDX-License-Identifier: AGPL-3.0-or-later
// Days and hours of the schedule, by the clock on the wall of a time zone: daylight saving is the zone's.
#pragma once

#include <bitset>
#include <string>
#include <vector>

#include <cctz/time_zone.h>

#include "capture/base/clock.h"
#include "capture/base/result.h"

namespace spantape {

class ScheduleTimes {
public:
    // "mon-fri,sun"
    Result<> set_days(const std::string& text);
    // "08:00-12:00,22:00-06:00": the second begins on a day that fits and goes on into the next.
    Result<> set_hours(const std::string& text);
    // Of the tz database; "" = the process's own.
    Result<> set_zone(const std::string& name);

    // why: where given, what does not fit is written there.
    bool fit(TimeNs at_ns, std::string* why = nullptr) const;

private:
    struct Hours {
        int from_minute = 0, to_minute = 0;  // of the day; to behind from, or on the next day
    };
    [[nodiscard]] bool fits(int weekday, int minute) const;

    std::bitset<7> days_ = 0x7f;  // Monday first
    std::vector<Hours> hours_;    // none: all day
    bool always_ = true;
    cctz::time_zone zone_;
};

}  // namespace spantape
