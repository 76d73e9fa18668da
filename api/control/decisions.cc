// SPDX-License-Identifier: AGPL-3.0-or-later
// The schedule's decisions on calls, what follows from them, and the memory of the latest.
#include <algorithm>

#include <fmt/format.h>

#include "api/control/call_control.h"
#include "api/control/directory.h"

namespace spantape {

namespace {
constexpr std::size_t kExplained = 1000;  // latest calls
}

// The rules are the directory's; they may have changed.
void CallControl::refresh_schedule() {
    if (directory_ == nullptr || schedule_version_ == directory_->schedule_version()) return;
    schedule_version_ = directory_->schedule_version();
    auto made = Schedule::make(directory_->schedule(), &schedule_);
    if (made)
        schedule_ = std::move(*made);
    else  // of a damaged store: what is set by functions and the configuration was checked
        outputs_.log("schedule", "the schedule stays as it was: " + made.error().message);
}

ScheduleFacts CallControl::facts_of(const Recording& fields, TimeNs at_ns) const {
    ScheduleFacts facts{.fields = fields, .at_ns = at_ns, .agents = {}, .groups = {}};
    if (!fields.group.empty()) facts.groups.push_back(fields.group);
    for (const std::string* name : {&fields.sys_user, &fields.crm_user})
        if (!name->empty()) facts.agents.push_back(*name);
    if (directory_ == nullptr || fields.agent_id == 0) return facts;
    facts.agents.push_back(fmt::to_string(fields.agent_id));
    const User* agent = directory_->user(static_cast<std::int32_t>(fields.agent_id));
    if (agent == nullptr) return facts;
    for (const std::string& name : {agent->username, agent->sys_user, agent->first_name + " " + agent->last_name})
        if (name.size() > 1) facts.agents.push_back(name);
    for (const std::int32_t id : directory_->groups_of(agent->id, fields.device_id))
        if (const Group* group = directory_->group(id)) facts.groups.push_back(group->name);
    return facts;
}

// Whether the call is to be recorded, and as what. Asked where a call begins, and again where CALLSTART tells more of
// one that is not recorded.
void CallControl::ask_schedule(Call& call) {
    take_decision(call, schedule_decision(call.fields, call.start_ns, call.schedule.sampled_out));
}

ScheduleDecision CallControl::schedule_decision(const Recording& fields, TimeNs at_ns,
                                                const std::vector<std::string>& sampled_out) {
    refresh_schedule();
    return schedule_.decide(facts_of(fields, at_ns), sampled_out);
}

void CallControl::take_decision(Call& call, const ScheduleDecision& decision) {
    Recording& fields = call.fields;
    call.schedule = decision;
    call.wanted = call.schedule.action == ScheduleAction::record;
    fields.schedule_rule = call.schedule.rule;
    if (!call.wanted) fields.schedule_rule.clear();
    if (call.wanted) {
        if (call.schedule.priority) fields.priority = *call.schedule.priority;
        if (call.schedule.keep_days) fields.keep_days = *call.schedule.keep_days;
        if (call.schedule.archive_action) fields.archive_action = *call.schedule.archive_action;
    }
    const auto [known, added] = explained_.try_emplace(call.number);
    known->second.fields = fields;
    known->second.at_ns = call.start_ns;
    known->second.decision = call.schedule;
    if (!added) return;
    explained_order_.push_back(call.number);
    if (explained_order_.size() <= kExplained) return;
    explained_.erase(explained_order_.front());
    explained_order_.pop_front();
}

void CallControl::note_outcome(const Call& call, std::string outcome) {
    const auto known = explained_.find(call.number);
    constexpr std::size_t kMost = 16;
    if (known == explained_.end() || known->second.outcomes.size() >= kMost) return;
    known->second.outcomes.push_back(std::move(outcome));
}

// Media of the call is to be stored that was not watched for until now; from_ns 0: what look-back still has of it, too.
void CallControl::want_media(Session& session, TimeNs from_ns) {
    if (session.wanted) return;
    session.from_ns = from_ns;
    session.wanted = true;
    session.watched_ns = now_ns_;
    for (const auto& offer : session.offers) watch(session, offer);
}

// A call whose recording was refused: nothing of it may reach the disk, unless others record the same media, or may
// yet.
void CallControl::drop_media(Call& call) {
    if (!call.session) return;
    const auto needs_it = [](const CallPtr& other) {
        return other->recording_now() != nullptr || (other->active() && other->wanted && !other->refused);
    };
    if (std::ranges::none_of(call.session->calls, needs_it)) end_session(call.session);
}

// A call has ended. What was recorded of it is looked at when it is stored.
void CallControl::assure(const Call& call) {
    if (call.recorded) return;
    if (!call.wanted) return assurance_.not_wanted();
    if (call.answer_ns == 0) return assurance_.not_answered();
    assurance_.note({call.start_ns,
                     0,
                     call.fields.global_call_id,
                     call.fields.device_id,
                     {call.refused.value_or(Shortfall::no_media)}});
}

// Why start_recording() has just refused the call.
CallOutcome CallControl::not_recorded(const Call& call) const {
    if (call.schedule.action == ScheduleAction::block) return CallOutcome::blocked;
    if (!call.wanted) return CallOutcome::no_schedule;
    return may_record(space_, call.fields.priority) ? CallOutcome::no_free_channels : CallOutcome::out_of_space;
}

const ExplainedCall* CallControl::explained(const std::function<bool(const ExplainedCall&)>& wanted) const {
    for (auto number = explained_order_.rbegin(); number != explained_order_.rend(); ++number)
        if (const ExplainedCall& call = explained_.at(*number); wanted(call)) return &call;
    return nullptr;
}

std::vector<std::pair<std::string, std::string>> CallControl::explain(const Recording& fields, TimeNs at_ns) {
    refresh_schedule();
    return schedule_.explain(facts_of(fields, at_ns));
}

}  // namespace spantape
