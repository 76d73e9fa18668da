// SPDX-License-Identifier: AGPL-3.0-or-later
// Any rules, "key=value" a line, an empty line between two, and behind "---" a call: what is taken decides, and the
// explanation says the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "api/control/schedule.h"

namespace {

using namespace spantape;

std::string_view take_line(std::string_view& text) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    std::vector<RuleText> rules(1);
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        if (line == "---") break;
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos)
            rules.emplace_back();
        else
            rules.back()[std::string(line.substr(0, equals))] = line.substr(equals + 1);
    }
    auto schedule = Schedule::make(rules);
    if (!schedule) {
        if (schedule.error().message.empty()) std::abort();
        return 0;
    }
    Recording call;
    call.device_id = take_line(text);
    call.ani = take_line(text);
    call.dnis = take_line(text);
    call.user[0] = take_line(text);
    const std::string agent(take_line(text));
    const ScheduleFacts facts{.fields = call,
                              .at_ns = static_cast<TimeNs>(size) * 3'600'123 * kNsPerSecond,
                              .agents = {agent},
                              .groups = {agent}};
    const auto explained = schedule->explain(facts);
    const ScheduleDecision decision = schedule->decide(facts);
    if (decision.rule.empty()) return 0;
    bool fits = false;
    for (const auto& [name, misfit] : explained) fits |= name == decision.rule && misfit.empty();
    if (!fits) std::abort();
    return 0;
}
