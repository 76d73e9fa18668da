// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/problems.h"

#include <fmt/format.h>

namespace spantape {

void Problems::there_is(const std::string& what, const std::string& message, TimeNs now_ns, TimeNs lasts_ns) {
    const auto [problem, is_new] = all_.try_emplace(what, Problem{.since_ns = now_ns});
    problem->second.until_ns = lasts_ns == 0 ? 0 : now_ns + lasts_ns;
    if (!is_new && problem->second.message == message) return;
    problem->second.message = message;
    log_("error", fmt::format("{}: {}", what, message));
}

void Problems::is_over(const std::string& what) {
    if (all_.erase(what) != 0) log_("info", fmt::format("{}: works again", what));
}

void Problems::set(const std::string& what, const std::string& message, TimeNs now_ns) {
    message.empty() ? is_over(what) : there_is(what, message, now_ns);
}

void Problems::expire(TimeNs now_ns) {
    for (auto problem = all_.begin(); problem != all_.end();) {
        const std::string what = problem->first;
        const bool over = problem->second.until_ns != 0 && now_ns >= problem->second.until_ns;
        ++problem;
        if (over) is_over(what);
    }
}

}  // namespace spantape
