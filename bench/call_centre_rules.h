// SPDX-License-Identifier: AGPL-3.0-or-later
// A schedule as call centres have it: rules by device, number, group, agent and hours.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/control/schedule.h"

namespace spantape::bench {

// So many rules, of which only the last fits any call; `last` are its keys beside its name.
inline std::vector<RuleText> call_centre_rules(std::int64_t count, RuleText last) {
    std::vector<RuleText> rules;
    for (std::int64_t i = 1; i < count; ++i) {
        RuleText rule{{"name", fmt::format("rule {}", i)}, {"hours", "00:00-24:00"}};
        if (i % 5 == 0) rule["device"] = fmt::format("7{:04},7{:04}", i, i + 1);
        if (i % 5 == 1) rule["ani"] = fmt::format("+49{}*", i);
        if (i % 5 == 2) rule["group"] = fmt::format("Group {}", i);
        if (i % 5 == 3) rule["agent"] = fmt::format("agent{}", i);
        if (i % 5 == 4) rule["dnis"] = fmt::format("1800{:06},!18001*", i);
        rules.push_back(rule);
    }
    last["name"] = "rest";
    rules.push_back(std::move(last));
    return rules;
}

}  // namespace spantape::bench
