// SPDX-License-Identifier: AGPL-3.0-or-later
// Ours: SCHEDULESET, which lists and changes the rules of the schedule, and EXPLAIN, which says why a call was or was
// not recorded.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "api/control/event_document.h"
#include "api/functions/directory_functions.h"
#include "api/functions/functions.h"

namespace spantape::api {

namespace {

// "keep_days" is KEEPDAYS here, as in the call functions.
std::string parameter_of(std::string_view key) {
    std::string name;
    for (const char c : key)
        if (c != '_') name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
}

// The request's conditions and actions, put into the rule; an empty one takes it out.
void set_from(const Parameters& from, RuleText& rule) {
    for (const std::string_view key : rule_keys()) {
        auto value = from.text(parameter_of(key));
        if (!value || key == "name") continue;
        if (key == "decision")
            std::ranges::transform(*value, value->begin(), [](unsigned char c) { return std::tolower(c); });
        if (value->empty())
            rule.erase(std::string(key));
        else
            rule[std::string(key)] = *value;
    }
}

Element list_of(const std::vector<RuleText>& rules) {
    Element list{"RULES", {}, {}};
    for (std::size_t at = 0; at < rules.size(); ++at) {
        Element& rule = list.children.emplace_back(Element{"RULE", {}, {}});
        rule.children.push_back(leaf("POSITION", fmt::to_string(at + 1)));
        for (const std::string_view key : rule_keys())
            if (const auto value = rules[at].find(std::string(key)); value != rules[at].end())
                rule.children.push_back(leaf(parameter_of(key), value->second));
    }
    return list;
}

DirectoryAnswer listed(const Directory& directory) {
    DirectoryAnswer answer;
    answer.reply.body.push_back(leaf("COUNT", fmt::to_string(directory.schedule().size())));
    answer.reply.body.push_back(leaf("ORIGIN", directory.own_schedule() ? "changed" : "configuration"));
    answer.reply.body.push_back(list_of(directory.schedule()));
    return answer;
}

DirectoryAnswer wrong(std::string why) { return {refused(ResultCode::API_INVALID_MESSAGE_FORMAT, std::move(why))}; }

}  // namespace

DirectoryAnswer schedule_set(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const std::string action = from.text_or_empty("ACTION"), name = from.text_or_empty("NAME");
    if (action == "LIST") return listed(directory);
    std::optional<ScheduleEntry> entry;
    if (action != "RESET") {
        if (name.empty()) return wrong("NAME of the rule is required");
        entry = ScheduleEntry{directory.schedule()};
        auto& rules = entry->rules;
        const auto at = std::ranges::find_if(rules, [&](const RuleText& rule) { return rule.at("name") == name; });
        if (action == "ADD" && at != rules.end()) return wrong(fmt::format("NAME: there is a rule '{}'", name));
        if (action != "ADD" && at == rules.end()) return wrong(fmt::format("NAME: there is no rule '{}'", name));
        RuleText rule = action == "ADD" ? RuleText{{"name", name}} : *at;
        if (action == "ADD" || action == "MODIFY") set_from(from, rule);
        auto place = at == rules.end() ? rules.size() : static_cast<std::size_t>(at - rules.begin());
        if (at != rules.end()) rules.erase(at);
        const auto wanted = from.integer("POSITION");
        if (action == "MOVE" && !wanted) return wrong("POSITION is required");
        if (wanted) place = std::min(static_cast<std::size_t>(*wanted - 1), rules.size());
        if (action != "DELETE") rules.insert(rules.begin() + static_cast<std::ptrdiff_t>(place), std::move(rule));
        if (const auto made = Schedule::make(rules); !made) return wrong(made.error().message);
    }
    auto done = directory.set_schedule(entry);
    if (!done) return refused_by(done.error(), ResultCode::API_INVALID_MESSAGE_FORMAT);
    DirectoryAnswer answer = listed(directory);
    answer.changes = std::move(done->changes);
    return answer;
}

namespace {

std::string_view text_of(ScheduleAction action) {
    constexpr std::string_view kTexts[] = {"record", "skip", "block"};
    return kTexts[static_cast<std::size_t>(action)];
}

void explain_call(Reply& reply, CallControl& control, const Recording& fields, TimeNs at_ns,
                  const ScheduleDecision& decision, const std::vector<std::string>& outcomes) {
    reply.body.push_back(leaf("GLOBALCALLID", fields.global_call_id));
    reply.body.push_back(leaf("DEVICEID", fields.device_id));
    reply.body.push_back(leaf("TIME", manual_time(at_ns)));
    reply.body.push_back(leaf("DECISION", std::string(text_of(decision.action))));
    reply.body.push_back(leaf("DECIDINGRULE", decision.rule));
    Element& rules = reply.body.emplace_back(Element{"RULES", {}, {}});
    for (const auto& [name, misfit] : control.explain(fields, at_ns)) {
        const bool left_out = std::ranges::find(decision.sampled_out, name) != decision.sampled_out.end();
        const std::string verdict = !misfit.empty() ? misfit : left_out ? "fits; its share left the call out" : "fits";
        rules.children.push_back({"RULE", {}, {leaf("NAME", name), leaf("VERDICT", verdict)}});
        if (misfit.empty() && name == decision.rule) break;
    }
    Element& list = reply.body.emplace_back(Element{"OUTCOMES", {}, {}});
    for (const std::string& outcome : outcomes) list.children.push_back(leaf("OUTCOME", outcome));
}

}  // namespace

void Functions::explain(const FunctionCall& call, Done done) {
    const auto ident = call.parameters.integer("RECORDID");
    const std::string global = call.parameters.text_or_empty("GLOBALCALLID");
    const std::string device = call.parameters.text_or_empty("DEVICEID");
    const std::string recorded = ident ? fmt::format("recorded as {}", *ident) : "";
    const ExplainedCall* known = context_.control.explained([&](const ExplainedCall& each) {
        if (ident) return std::ranges::find(each.outcomes, recorded) != each.outcomes.end();
        return global.empty() ? each.fields.device_id == device : each.fields.global_call_id == global;
    });
    Reply reply;
    if (known != nullptr) {
        explain_call(reply, context_.control, known->fields, known->at_ns, known->decision, known->outcomes);
        return done(std::move(reply));
    }
    // Older: what its recording tells.
    const auto stored = ident ? context_.index.recording(static_cast<std::uint64_t>(*ident))
                              : Result<std::optional<Recording>>(std::nullopt);
    if (!stored) return done(refused(ResultCode::API_RECORDID_INVALID, stored.error().message));
    if (!*stored)
        return done(refused(ResultCode::API_RECORDID_INVALID, ident ? fmt::format("there is no recording {}", *ident)
                                                                    : "none of the latest calls is that one"));
    const Recording& recording = **stored;
    explain_call(reply, context_.control, recording, recording.start_ns,
                 {.action = ScheduleAction::record, .rule = recording.schedule_rule, .sampled_out = {}},
                 {recorded, "an older call: the rules are those of now"});
    done(std::move(reply));
}

}  // namespace spantape::api
