// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/schedule_times.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

#include <fmt/format.h>

namespace spantape {

namespace {

constexpr int kDayMinutes = 24 * 60;
constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

std::vector<std::string_view> split(std::string_view text, char at) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = text.find(at);
        std::string_view part = text.substr(0, end);
        while (part.starts_with(' ')) part.remove_prefix(1);
        while (part.ends_with(' ')) part.remove_suffix(1);
        parts.push_back(part);
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

// 0 for Monday; -1: none.
int day_of(std::string_view name) {
    const auto at = std::ranges::find(kDays, name);
    return at == kDays.end() ? -1 : static_cast<int>(at - kDays.begin());
}

// Minutes of "HH:MM", up to 24:00; -1: no time.
int minute_of(std::string_view text) {
    const auto digit = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '9' ? text[at] - '0' : 1000; };
    if (text.size() != 5 || text[2] != ':') return -1;
    const int hours = 10 * digit(0) + digit(1), minutes = 10 * digit(3) + digit(4);
    const bool good = minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0));
    return good ? 60 * hours + minutes : -1;
}

}  // namespace

Result<> ScheduleTimes::set_days(const std::string& text) {
    days_.reset();
    always_ = false;
    for (const std::string_view part : split(text, ',')) {
        const auto ends = split(part, '-');
        const int from = day_of(ends.front()), to = day_of(ends.back());
        if (ends.size() > 2 || from < 0 || to < 0) return fail("must be days such as mon-fri,sun, is '{}'", text);
        for (int day = from;; day = (day + 1) % 7) {
            days_.set(static_cast<std::size_t>(day));
            if (day == to) break;
        }
    }
    return {};
}

Result<> ScheduleTimes::set_hours(const std::string& text) {
    always_ = false;
    for (const std::string_view part : split(text, ',')) {
        const auto ends = split(part, '-');
        const Hours hours{minute_of(ends.front()), minute_of(ends.back())};
        if (ends.size() != 2 || hours.from_minute < 0 || hours.to_minute < 0 || hours.from_minute == kDayMinutes ||
            hours.from_minute == hours.to_minute)
            return fail("must be hours such as 08:00-18:00,22:00-06:00, is '{}'", text);
        hours_.push_back(hours);
    }
    return {};
}

Result<> ScheduleTimes::set_zone(const std::string& name) {
    zone_ = cctz::local_time_zone();
    if (!name.empty() && !cctz::load_time_zone(name, &zone_)) return fail("'{}' is not in the tz database", name);
    return {};
}

bool ScheduleTimes::fits(int weekday, int minute) const {
    const auto day = [&](int number) { return days_.test(static_cast<std::size_t>((number + 7) % 7)); };
    if (hours_.empty()) return day(weekday);
    return std::ranges::any_of(hours_, [&](const Hours& hours) {
        if (hours.from_minute < hours.to_minute)
            return day(weekday) && minute >= hours.from_minute && minute < hours.to_minute;
        return (day(weekday) && minute >= hours.from_minute) || (day(weekday - 1) && minute < hours.to_minute);
    });
}

bool ScheduleTimes::fit(TimeNs at_ns, std::string* why) const {
    if (always_) return true;
    const auto at = std::chrono::time_point<std::chrono::system_clock, cctz::seconds>(
        cctz::seconds(at_ns / kNsPerSecond - (at_ns % kNsPerSecond < 0 ? 1 : 0)));
    const cctz::civil_second local = cctz::convert(at, zone_);
    const int weekday = static_cast<int>(cctz::get_weekday(cctz::civil_day(local)));  // Monday is 0
    if (fits(weekday, 60 * local.hour() + local.minute())) return true;
    if (why != nullptr)
        *why = fmt::format("it is {} {:02}:{:02} in {}", kDays[static_cast<std::size_t>(weekday)], local.hour(),
                           local.minute(), zone_.name());
    return false;
}

}  // namespace spantape
