// SPDX-License-Identifier: AGPL-3.0-or-later
// Which calls are recorded: ordered rules, of which the first that matches decides. Pure: rules and the facts of a call
// in, a decision out, and why. Only the sampling remembers.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/control/schedule_index.h"
#include "capture/base/clock.h"
#include "capture/base/result.h"
#include "storage/recording.h"

namespace spantape {

// A rule as it is written, in the configuration and by functions: condition or action -> text.
//   name, decision ("record", "skip", "block"), device, agent, group, gate, ani, dnis, user1 … user15: patterns,
//   separated by commas, of which one must fit: text, with * and ? as wildcards; /regular expression/; !pattern must
//   not fit. direction (I, O), days ("mon-fri,sun"), hours ("08:00-18:00,22:00-06:00": these go on into the next day),
//   zone (of days and hours; tz database, "" = the appliance's), percent (of the calls that fit; the others go on to
//   the next rule), and of what is recorded: priority, keep_days, archive_action.
using RuleText = std::map<std::string, std::string>;
[[nodiscard]] const std::vector<std::string_view>& rule_keys();

// What a rule may look at.
struct ScheduleFacts {
    const Recording& fields;          // of the call
    TimeNs at_ns = 0;                 // its beginning, wall clock
    std::vector<std::string> agents;  // names of its agent: number, USERNAME, SYS_USER, "First Last"
    std::vector<std::string> groups;  // GROUP of the call, and those of its agent
};

enum class ScheduleAction : std::uint8_t {
    record,
    skip,   // unless RECORDSTART asks for it
    block,  // whoever asks
};

struct ScheduleDecision {
    ScheduleAction action = ScheduleAction::record;
    std::string rule;  // "" none fitted: recorded when there are no rules at all, else skipped
    std::optional<std::int32_t> priority, keep_days;
    std::optional<std::int64_t> archive_action;
    std::vector<std::string> sampled_out;  // rules that fitted and whose share left the call out
};

class Schedule {
public:
    Schedule();
    ~Schedule();
    Schedule(Schedule&&) noexcept;
    Schedule& operator=(Schedule&&) noexcept;

    // Errors name the rule, the key and what is wrong. Shares go on where `before` was, for rules of the same name.
    static Result<Schedule> make(const std::vector<RuleText>& rules, const Schedule* before = nullptr);

    // Asks, and counts the call in the shares of the rules that it fits. left_out: rules whose share has left this call
    // out already, when it was asked before.
    ScheduleDecision decide(const ScheduleFacts& facts, const std::vector<std::string>& left_out = {});
    // For each rule, in order, up to the one that decides: its name, and why it does not fit ("" when it does).
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> explain(const ScheduleFacts& facts) const;
    [[nodiscard]] bool empty() const;

private:
    struct Rule;
    std::vector<Rule> rules_;
    ScheduleIndex index_;
};

}  // namespace spantape
