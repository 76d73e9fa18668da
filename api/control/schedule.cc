// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/schedule.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

#include <fmt/format.h>

#include "api/control/schedule_pattern.h"
#include "api/control/schedule_times.h"

namespace spantape {

namespace {

constexpr std::int64_t kWhole = 100'000;  // a share of all, in thousandths of a percent

struct Column {
    std::string_view key;
    const std::string& (*of)(const Recording&);
};
constexpr Column kColumns[] = {
    {"device", [](const Recording& r) -> const std::string& { return r.device_id; }},
    {"gate", [](const Recording& r) -> const std::string& { return r.gate; }},
    {"ani", [](const Recording& r) -> const std::string& { return r.ani; }},
    {"dnis", [](const Recording& r) -> const std::string& { return r.dnis; }},
};

// The fields as the index numbers them: the columns, the user fields, then these.
constexpr std::size_t kFirstUser = std::size(kColumns);
constexpr std::size_t kAgent = kFirstUser + std::tuple_size_v<decltype(Recording::user)>;
constexpr std::size_t kGroup = kAgent + 1;

constexpr std::string_view kUser = "user";

// 1 to 15 of "user1" …; 0: another key.
std::size_t user_number(std::string_view key) {
    if (!key.starts_with(kUser)) return 0;
    key.remove_prefix(kUser.size());
    if (key.empty() || key.size() > 2 || key[0] == '0') return 0;
    std::size_t number = 0;
    for (const char digit : key) {
        if (digit < '0' || digit > '9') return 0;
        number = 10 * number + static_cast<std::size_t>(digit - '0');
    }
    return number <= std::tuple_size_v<decltype(Recording::user)> ? number : 0;
}

std::mt19937_64& random_numbers() {
    thread_local std::mt19937_64 numbers{std::random_device{}()};
    return numbers;
}

template <class Integer>
Result<Integer> integer(const std::string& text, std::int64_t least, std::int64_t most) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most)
        return fail("must be a whole number from {} to {}, is '{}'", least, most, text);
    return static_cast<Integer>(value);
}

Result<std::int64_t> share(const std::string& text) {
    double percent = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
    if (error != std::errc{} || end != text.data() + text.size() || !(percent >= 0 && percent <= 100))
        return fail("must be from 0 to 100, is '{}'", text);
    return std::llround(percent * (kWhole / 100.0));
}

}  // namespace

struct Schedule::Rule {
    std::string name;
    ScheduleDecision decision;
    std::vector<std::pair<Column, Patterns>> columns;
    std::vector<std::pair<std::size_t, Patterns>> users;  // index into Recording::user
    Patterns agents, groups;
    std::string direction;
    ScheduleTimes times;
    std::int64_t share = kWhole;
    // Systematic sampling with a place drawn anew in each stretch: in each stretch of calls that owes one, the call at
    // `place` is taken. At equal distances, calls that come in step with the share (two sides of a call between two
    // phones of ours) would always or never be taken.
    std::int64_t owed = 0;        // since the beginning of the stretch
    std::int64_t place = draw();  // 1 to kWhole

    Result<> set(const std::string& key, const std::string& value);
    bool fits(const ScheduleFacts& facts, std::string* why = nullptr) const;
    std::vector<ScheduleIndex::Condition> conditions() const;

    // The next of the calls that fit: less than two from the exact share at every moment, whatever the share. Each of
    // them has the same chance, also the first after a start.
    bool take() {
        owed += share;
        if (owed < place) return false;
        owed -= kWhole;  // below 0: the next stretch has not begun yet
        place = draw();
        return true;
    }
    static std::int64_t draw() { return std::uniform_int_distribution<std::int64_t>(1, kWhole)(random_numbers()); }

private:
    Result<> set_action(const std::string& key, const std::string& value);
    template <class Value>
    static Result<> keep(Result<Value> value, auto& to) {
        if (!value) return std::unexpected(value.error());
        to = std::move(*value);
        return {};
    }
};

const std::vector<std::string_view>& rule_keys() {
    static const std::vector<std::string_view> keys = {
        "name",      "decision", "device", "agent",  "group",   "gate",     "ani",       "dnis",
        "direction", "days",     "hours",  "zone",   "percent", "priority", "keep_days", "archive_action",
        "user1",     "user2",    "user3",  "user4",  "user5",   "user6",    "user7",     "user8",
        "user9",     "user10",   "user11", "user12", "user13",  "user14",   "user15"};
    return keys;
}

Result<> Schedule::Rule::set(const std::string& key, const std::string& value) {
    if (value.empty() || key == "zone") return {};  // any; zone goes with the times
    if (key == "name") return name = value, Result<>{};
    if (key == "days") return times.set_days(value);
    if (key == "hours") return times.set_hours(value);
    if (key == "direction") {
        direction = value;
        return value == "I" || value == "O" ? Result<>{} : fail("must be I or O, is '{}'", value);
    }
    if (key == "percent") return keep(spantape::share(value), share);
    if (key == "agent") return keep(Patterns::parse(value), agents);
    if (key == "group") return keep(Patterns::parse(value), groups);
    if (const std::size_t number = user_number(key); number != 0)
        return keep(Patterns::parse(value), users.emplace_back(number - 1, Patterns{}).second);
    for (const Column& column : kColumns)
        if (column.key == key) return keep(Patterns::parse(value), columns.emplace_back(column, Patterns{}).second);
    return set_action(key, value);
}

Result<> Schedule::Rule::set_action(const std::string& key, const std::string& value) {
    if (key == "priority") return keep(integer<std::int32_t>(value, 0, INT32_MAX), decision.priority);
    if (key == "keep_days") return keep(integer<std::int32_t>(value, -1, 36'500), decision.keep_days);
    if (key == "archive_action") return keep(integer<std::int64_t>(value, -1, INT64_MAX), decision.archive_action);
    if (key != "decision") return fail("there is no such key");
    constexpr std::pair<std::string_view, ScheduleAction> kActions[] = {
        {"record", ScheduleAction::record}, {"skip", ScheduleAction::skip}, {"block", ScheduleAction::block}};
    for (const auto& [text, action] : kActions)
        if (text == value) return decision.action = action, Result<>{};
    return fail("must be record, skip or block, is '{}'", value);
}

// why: where given, what does not fit is written there.
bool Schedule::Rule::fits(const ScheduleFacts& facts, std::string* why) const {
    const Recording& call = facts.fields;
    const auto misfit = [&](const auto&... text) {
        if (why != nullptr) *why = fmt::format(text...);
        return false;
    };
    if (!direction.empty() && call.direction != direction)
        return misfit(fmt::runtime("direction is {}, not {}"), call.direction, direction);
    for (const auto& [column, patterns] : columns)
        if (!patterns.fit(column.of(call)))
            return misfit(fmt::runtime("{} '{}' is not {}"), column.key, column.of(call), patterns.text());
    for (const auto& [index, patterns] : users)
        if (!patterns.fit(call.user[index]))
            return misfit(fmt::runtime("user{} '{}' is not {}"), index + 1, call.user[index], patterns.text());
    if (!agents.fit_any(facts.agents))
        return misfit(fmt::runtime("agent {} is not {}"), quoted(facts.agents), agents.text());
    if (!groups.fit_any(facts.groups))
        return misfit(fmt::runtime("group {} is not {}"), quoted(facts.groups), groups.text());
    return times.fit(facts.at_ns, why);
}

std::vector<ScheduleIndex::Condition> Schedule::Rule::conditions() const {
    std::vector<ScheduleIndex::Condition> all{{kAgent, &agents}, {kGroup, &groups}};
    for (const auto& [column, patterns] : columns) {
        const auto at = std::ranges::find(kColumns, column.key, &Column::key);
        all.push_back({static_cast<std::size_t>(at - std::begin(kColumns)), &patterns});
    }
    for (const auto& [index, patterns] : users) all.push_back({kFirstUser + index, &patterns});
    return all;
}

Schedule::Schedule() = default;
Schedule::~Schedule() = default;
Schedule::Schedule(Schedule&&) noexcept = default;
Schedule& Schedule::operator=(Schedule&&) noexcept = default;

bool Schedule::empty() const { return rules_.empty(); }

Result<Schedule> Schedule::make(const std::vector<RuleText>& rules, const Schedule* before) {
    Schedule schedule;
    for (const RuleText& text : rules) {
        Rule& rule = schedule.rules_.emplace_back();
        const auto name = text.find("name");
        if (name == text.end() || name->second.empty()) return fail("rule {}: has no name", schedule.rules_.size());
        const auto same = [&](const Rule& other) { return other.name == name->second; };
        if (std::ranges::any_of(schedule.rules_, same)) return fail("rule '{}': there are two", name->second);
        for (const auto& [key, value] : text)
            if (auto set = rule.set(key, value); !set)
                return fail("rule '{}': {} {}", name->second, key, set.error().message);
        const auto zone = text.find("zone");
        if (auto set = rule.times.set_zone(zone == text.end() ? "" : zone->second); !set)
            return fail("rule '{}': zone {}", name->second, set.error().message);
        rule.decision.rule = rule.name;
        schedule.index_.add(rule.conditions());
        if (before == nullptr) continue;
        if (const auto old = std::ranges::find_if(before->rules_, same); old != before->rules_.end())
            rule.owed = old->owed, rule.place = old->place;
    }
    return schedule;
}

ScheduleDecision Schedule::decide(const ScheduleFacts& facts, const std::vector<std::string>& left_out) {
    index_.start();
    for (std::size_t at = 0; at < std::size(kColumns); ++at) index_.seen(at, kColumns[at].of(facts.fields));
    for (std::size_t at = 0; at < facts.fields.user.size(); ++at) index_.seen(kFirstUser + at, facts.fields.user[at]);
    for (const std::string& agent : facts.agents) index_.seen(kAgent, agent);
    for (const std::string& group : facts.groups) index_.seen(kGroup, group);
    std::vector<std::string> sampled_out;
    for (const ScheduleIndex::RuleNumber number : index_.rules()) {
        Rule& rule = rules_[number];
        if (!rule.fits(facts)) continue;
        if (rule.share < kWhole && (std::ranges::find(left_out, rule.name) != left_out.end() || !rule.take())) {
            sampled_out.push_back(rule.name);
            continue;
        }
        ScheduleDecision decision = rule.decision;
        decision.sampled_out = std::move(sampled_out);
        return decision;
    }
    return {.action = rules_.empty() ? ScheduleAction::record : ScheduleAction::skip,
            .sampled_out = std::move(sampled_out)};
}

std::vector<std::pair<std::string, std::string>> Schedule::explain(const ScheduleFacts& facts) const {
    std::vector<std::pair<std::string, std::string>> verdicts;
    for (const Rule& rule : rules_) {
        verdicts.emplace_back(rule.name, "");
        if (rule.fits(facts, &verdicts.back().second) && rule.share == kWhole) break;
    }
    return verdicts;
}

}  // namespace spantape
