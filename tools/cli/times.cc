// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/times.h"

#include <charconv>
#include <cmath>
#include <ctime>
#include <optional>

#include "api/control/local_time.h"

namespace spantape::cli {
namespace {

constexpr std::int64_t kMostSeconds = INT64_MAX / kNsPerSecond - 1;

std::optional<std::int64_t> whole_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
    return number;
}

// "15m": nanoseconds.
std::optional<TimeNs> age(std::string_view text) {
    if (text.size() < 2) return std::nullopt;
    const std::int64_t unit_s = text.back() == 's'   ? 1
                                : text.back() == 'm' ? 60
                                : text.back() == 'h' ? 3600
                                : text.back() == 'd' ? 86400
                                                     : 0;
    const auto number = whole_number(text.substr(0, text.size() - 1));
    if (unit_s == 0 || !number || *number > kMostSeconds / unit_s) return std::nullopt;
    return *number * unit_s * kNsPerSecond;
}

// Digits of exactly this length, moved over; false when they are not there.
bool take_digits(std::string_view& rest, std::size_t length, int& value) {
    const auto number = rest.size() >= length ? whole_number(rest.substr(0, length)) : std::nullopt;
    if (!number) return false;
    value = static_cast<int>(*number);
    rest.remove_prefix(length);
    return true;
}

bool take(std::string_view& rest, char expected) {
    if (rest.empty() || rest[0] != expected) return false;
    rest.remove_prefix(1);
    return true;
}

bool take_date(std::string_view& rest, std::tm& local) {
    if (!take_digits(rest, 4, local.tm_year) || !take(rest, '-') || !take_digits(rest, 2, local.tm_mon) ||
        !take(rest, '-') || !take_digits(rest, 2, local.tm_mday))
        return false;
    local.tm_year -= 1900;
    local.tm_mon -= 1;
    return local.tm_mon >= 0 && local.tm_mon < 12 && local.tm_mday >= 1 && local.tm_mday <= 31;
}

bool take_time_of_day(std::string_view& rest, std::tm& local) {
    if (!take_digits(rest, 2, local.tm_hour) || !take(rest, ':') || !take_digits(rest, 2, local.tm_min)) return false;
    local.tm_sec = 0;
    if (take(rest, ':') && !take_digits(rest, 2, local.tm_sec)) return false;
    return local.tm_hour < 24 && local.tm_min < 60 && local.tm_sec < 60;
}

// A local date, time of day or both; whole_day: no time of day was given.
std::optional<std::tm> calendar(std::string_view rest, TimeNs now_ns, bool& whole_day) {
    std::tm local = local_time(now_ns);
    local.tm_isdst = -1;
    whole_day = false;
    if (rest.size() > 2 && rest[2] == ':')
        return take_time_of_day(rest, local) && rest.empty() ? std::optional(local) : std::nullopt;
    local.tm_hour = local.tm_min = local.tm_sec = 0;
    const int day = take_date(rest, local) ? local.tm_mday : 0;
    whole_day = rest.empty();
    const bool complete = whole_day || ((take(rest, 'T') || take(rest, ' ')) && take_time_of_day(rest, local));
    if (day == 0 || !complete || !rest.empty()) return std::nullopt;
    std::tm normal = local;
    if (std::mktime(&normal) == -1 || normal.tm_mday != day) return std::nullopt;  // the 31st of a shorter month
    return local;
}

}  // namespace

std::string time_text(TimeNs time_ns) {
    const std::tm local = local_time(time_ns);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday,
                       local.tm_hour, local.tm_min, local.tm_sec);
}

std::string duration_text(double duration_s) {
    const auto tenths = static_cast<std::int64_t>(std::llround(std::max(duration_s, 0.0) * 10));
    const std::int64_t minutes = tenths / 600;
    if (minutes < 60) return fmt::format("{}:{:02}.{}", minutes, tenths / 10 % 60, tenths % 10);
    return fmt::format("{}:{:02}:{:02}.{}", minutes / 60, minutes % 60, tenths / 10 % 60, tenths % 10);
}

Result<TimeNs> parse_time(std::string_view text, RangeEnd end, TimeNs now_ns) {
    if (const auto unix_s = whole_number(text); unix_s && *unix_s <= kMostSeconds) return *unix_s * kNsPerSecond;
    if (const auto ago_ns = age(text)) return now_ns - *ago_ns;
    bool whole_day = false;
    auto local = calendar(text, now_ns, whole_day);
    if (!local)
        return fail("'{}' is no time: 2026-03-01, 2026-03-01 14:30, 14:30, UNIX seconds, or 90s, 15m, 2h, 7d ago",
                    text);
    if (whole_day && end == RangeEnd::to) ++local->tm_mday;  // mktime carries it into the next month
    const TimeNs time_ns = static_cast<TimeNs>(std::mktime(&*local)) * kNsPerSecond;
    return whole_day && end == RangeEnd::to ? time_ns - 1 : time_ns;
}

}  // namespace spantape::cli
