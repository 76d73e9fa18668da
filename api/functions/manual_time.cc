// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/manual_time.h"

#include <charconv>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>

#include "api/control/event_document.h"
#include "api/control/local_time.h"

namespace spantape::api {

namespace {

constexpr int kMostOffsetHours = 14;

// "-05:00" in seconds.
std::optional<long> offset_of(std::string_view text) {
    int hours = 0, minutes = 0;
    const auto number = [](std::string_view digits, int& to) {
        return std::from_chars(digits.data(), digits.data() + digits.size(), to).ptr == digits.data() + digits.size();
    };
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' || text[1] == '-' || text[4] == '-')
        return std::nullopt;
    if (!number(text.substr(1, 2), hours) || !number(text.substr(4, 2), minutes)) return std::nullopt;
    if (hours > kMostOffsetHours || minutes > 59) return std::nullopt;
    const long seconds = hours * 3600L + minutes * 60L;
    return text[0] == '-' ? -seconds : seconds;
}

// mktime() and timegm() take the 31st of April for the 1st of May.
bool same_day(const std::tm& asked, const std::tm& made) {
    return asked.tm_mday == made.tm_mday && asked.tm_mon == made.tm_mon && asked.tm_year == made.tm_year;
}

}  // namespace

std::optional<TimeNs> parse_manual_time(const std::string& text) {
    std::tm parsed{};
    const char* rest = nullptr;
    for (const char* format : {"%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"}) {
        parsed = {};
        rest = strptime(text.c_str(), format, &parsed);
        // "4:05:38 PM" is read by the second format, too, up to the PM.
        if (rest != nullptr && (*rest == '\0' || offset_of(*rest == ' ' ? rest + 1 : rest))) break;
        rest = nullptr;
    }
    if (rest == nullptr || parsed.tm_year < 70 || parsed.tm_year > 300 || parsed.tm_sec > 59) return std::nullopt;
    if (*rest == ' ') ++rest;
    std::tm made = parsed;
    made.tm_isdst = -1;
    const std::time_t whole = *rest == '\0' ? mktime(&made) : timegm(&made) - *offset_of(rest);
    if (!same_day(parsed, made)) return std::nullopt;
    return TimeNs{whole} * kNsPerSecond;
}

std::string manual_time_with_offset(TimeNs time_ns) {
    if (time_ns == 0) return "";
    const long minutes = local_time(time_ns).tm_gmtoff / 60;
    return fmt::format("{}{}{:02}:{:02}", manual_time(time_ns), minutes < 0 ? '-' : '+', std::labs(minutes) / 60,
                       std::labs(minutes) % 60);
}

}  // namespace spantape::api
