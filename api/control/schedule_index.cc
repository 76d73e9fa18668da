// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/schedule_index.h"

#include <algorithm>
#include <limits>

namespace spantape {

namespace {

// How much a condition tells: by the shortest of its beginnings; whole values tell most. 0: nothing.
std::size_t worth(const std::vector<Patterns::Beginning>& beginnings) {
    std::size_t least = beginnings.empty() ? 0 : std::numeric_limits<std::size_t>::max();
    for (const auto& [text, whole] : beginnings)
        least = std::min(least, whole ? std::numeric_limits<std::size_t>::max() : text.size());
    return least;
}

}  // namespace

void ScheduleIndex::add(const std::vector<Condition>& conditions) {
    const RuleNumber number = next_++;
    std::vector<Patterns::Beginning> best;
    std::size_t field = 0;
    for (const Condition& condition : conditions) {
        auto beginnings = condition.patterns->beginnings();
        if (worth(beginnings) <= worth(best)) continue;
        best = std::move(beginnings);
        field = condition.field;
    }
    if (best.empty()) return asked_always_.push_back(number);
    if (fields_.size() <= field) fields_.resize(field + 1);
    for (const auto& [text, whole] : best) {
        auto& under = whole ? fields_[field].whole : fields_[field].beginnings[text.size()];
        under[std::string(text)].push_back(number);
    }
}

void ScheduleIndex::start() { found_ = asked_always_; }

void ScheduleIndex::seen(std::size_t field, std::string_view value) {
    if (field >= fields_.size()) return;
    found(fields_[field].whole, value);
    for (const auto& [bytes, under] : fields_[field].beginnings) {
        if (bytes > value.size()) break;
        found(under, value.substr(0, bytes));
    }
}

void ScheduleIndex::found(const ByText& under, std::string_view text) {
    const auto at = under.find(text);
    if (at != under.end()) found_.insert(found_.end(), at->second.begin(), at->second.end());
}

const std::vector<ScheduleIndex::RuleNumber>& ScheduleIndex::rules() {
    std::ranges::sort(found_);
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    return found_;
}

}  // namespace spantape
