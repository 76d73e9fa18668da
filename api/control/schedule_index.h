// SPDX-License-Identifier: AGPL-3.0-or-later
// Of a schedule's rules, those that a call may fit: found by the beginnings of what its fields must be, instead of by
// asking every rule. Each rule stands under one of its conditions; one without a condition that helps, under none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/control/schedule_pattern.h"

namespace spantape {

class ScheduleIndex {
public:
    using RuleNumber = std::uint32_t;

    // A condition of a rule: `field` names what it looks at, however the caller numbers that.
    struct Condition {
        std::size_t field = 0;
        const Patterns* patterns = nullptr;
    };
    // Of a new rule, the next number; all of its conditions must hold for it to fit. The patterns are read here only.
    void add(const std::vector<Condition>& conditions);

    // For one call: start(), then seen() for each value of each field, then rules(): in order, each once, and every
    // rule that the call fits among them. Valid until the next start().
    void start();
    void seen(std::size_t field, std::string_view value);
    [[nodiscard]] const std::vector<RuleNumber>& rules();

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    using ByText = std::unordered_map<std::string, std::vector<RuleNumber>, Hash, std::equal_to<>>;
    struct Field {
        ByText whole;                              // the value
        std::map<std::size_t, ByText> beginnings;  // its first so many bytes
    };
    void found(const ByText& under, std::string_view text);

    std::vector<Field> fields_;
    std::vector<RuleNumber> asked_always_;
    std::vector<RuleNumber> found_;
    RuleNumber next_ = 0;
};

}  // namespace spantape
