// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: AGENTBLACKOUTSTART, AGENTBLACKOUTSTOP. A blackout of an agent covers all calls that he has and those that
// begin until its stop. Who is in no directory is known by what he is addressed by.
#include <algorithm>

#include <fmt/format.h>

#include "api/control/call_control.h"
#include "api/control/directory.h"

namespace spantape {

CallControl::AgentBlackout CallControl::agent_blackout_of(const DeviceAddress& who) const {
    AgentBlackout blackout{.who = who};
    if (directory_ == nullptr) return blackout;
    const User* user = directory_->by_phone(who.device_id);
    if (user == nullptr) user = directory_->by_phone(who.device_alias);
    if (user == nullptr) user = directory_->by_sys_user(who.sys_user);
    if (user == nullptr) user = directory_->by_crm_user(who.crm_user);
    if (user != nullptr) blackout.agent = user->id;
    return blackout;
}

bool CallControl::concerns(const AgentBlackout& blackout, const Call& call) const {
    if (blackout.of_call) return !call.from_beginning && call.fields.device_id == blackout.who.device_id;
    if (blackout.agent > 0) {
        // Also of one who came to the phone while it talks.
        const auto is_on = [&](const std::string& phone) {
            const User* user = directory_->by_phone(phone);
            return user != nullptr && user->id == blackout.agent;
        };
        return call.fields.agent_id == blackout.agent || is_on(call.fields.device_id) ||
               is_on(call.fields.device_alias);
    }
    const auto on = devices_.find(call.fields.device_id);
    return on != devices_.end() && is_named(on->second, &call, blackout.who, true);
}

// The blackout of the same agent that waits for its stop, or whose end is still to come.
std::vector<CallControl::AgentBlackout>::iterator CallControl::running(const AgentBlackout& like) {
    return std::ranges::find_if(agent_blackouts_, [&](const AgentBlackout& each) {
        if (each.of_call) return false;
        const bool same = like.agent > 0 ? each.agent == like.agent : each.agent == 0 && each.who == like.who;
        return same && (each.open || each.window.to_ns > now_ns_);
    });
}

CallControl::AgentBlackoutStarted CallControl::agent_blackout_start(const DeviceAddress& who, TimeNs offset_ns,
                                                                    TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    AgentBlackout wanted = agent_blackout_of(who);
    if (wanted.agent == 0 && !addressed_call(who).device) return {unknown(who), {}};
    auto blackout = running(wanted);
    if (blackout == agent_blackouts_.end() || !blackout->open) {
        wanted.window = {now_ns + offset_ns, INT64_MAX};
        wanted.open = true;
        agent_blackouts_.push_back(std::move(wanted));
        blackout = agent_blackouts_.end() - 1;
    }
    blackout->window.from_ns = std::min(blackout->window.from_ns, now_ns + offset_ns);
    if (options_.blackout_limit_ns != 0)
        blackout->window.to_ns = std::max(now_ns + offset_ns, now_ns) + options_.blackout_limit_ns;
    AgentBlackoutStarted started;
    const auto covered = [&](std::uint64_t token) {
        if (token != 0) started.tokens.push_back(token);
    };
    const PastBlackout past = past_of(*blackout, {now_ns + offset_ns, now_ns});
    // Of calls that are over, names that fields cut may be those of several people.
    const bool past_known = blackout->agent > 0 || blackout->who.as_stored() == blackout->who;
    for (const auto& [number, call] : open_calls_) {
        if (call->active() && concerns(*blackout, *call)) covered(cover(call, *blackout));
        // Over, but its media is still under way.
        if (past_known && !call->active() && call->stop_ns > past.window.from_ns && past.is_of(call->fields))
            covered(cover_ended(*call, *blackout));
    }
    if (offset_ns < 0 && past_known) started.past = past;
    return started;
}

// Of calls that are over it is who had them that counts, not who is on their phone now.
PastBlackout CallControl::past_of(const AgentBlackout& blackout, BlackoutWindow window) {
    PastBlackout past{.window = window, .whose = {}};
    if (blackout.agent > 0) {
        past.whose = {{"agent_id", fmt::to_string(blackout.agent)}};
        return past;
    }
    const DeviceAddress who = blackout.who.as_stored();
    for (const auto& [column, value] : {std::pair("device_id", &who.device_id),
                                        {"device_alias", &who.device_alias},
                                        {"sys_user", &who.sys_user},
                                        {"crm_user", &who.crm_user}})
        if (!value->empty()) past.whose.emplace_back(column, *value);
    return past;
}

bool CallControl::completing(const PastBlackout& blackout) const {
    return std::ranges::any_of(completing_, [&](const auto& each) { return blackout.reaches(each.second); });
}

// As long as nobody else talks on its media, what follows is dark, too.
std::uint64_t CallControl::cover_ended(const Call& call, const AgentBlackout& blackout) {
    if (!call.session || !sessions_.contains(call.session->id)) return 0;
    const bool others = std::ranges::any_of(call.session->calls, [](const CallPtr& other) { return other->active(); });
    const BlackoutWindow window{blackout.window.from_ns, others ? call.stop_ns : INT64_MAX};
    return impose(*call.session, {next_blackout_++, window, false});
}

CallOutcome CallControl::agent_blackout_stop(const DeviceAddress& who, TimeNs offset_ns, TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    const AgentBlackout wanted = agent_blackout_of(who);
    const auto blackout = running(wanted);
    if (blackout == agent_blackouts_.end())
        return wanted.agent == 0 && !addressed_call(who).device ? unknown(who) : CallOutcome::no_blackout;
    end_agent_blackout(*blackout, now_ns + offset_ns);
    return CallOutcome::ok;
}

// The blackout begins to act on the call, or has a new beginning; gives the token of its past part.
std::uint64_t CallControl::cover(const CallPtr& call, AgentBlackout& blackout) {
    CallBlackouts& windows = windows_of(*call, blackout);
    auto window = windows.start(next_blackout_, blackout.window.from_ns, now_ns_, 0);
    if (window.id == next_blackout_) ++next_blackout_;
    if (!blackout.open)
        if (const auto* ended = windows.stop(blackout.window.to_ns, now_ns_)) window = *ended;
    // The writer knows the limit, and does not wait to be told that it is reached.
    if (blackout.open) window.window.to_ns = blackout.window.to_ns;
    blacked_out_calls_[call->number] = call;
    blackout.covered.insert(call->number);
    if (!call->session) return 0;  // when it gets one: impose_all()
    const std::uint64_t token = impose(*call->session, window);
    update_pause(*call->session);
    return token;
}

// A call that is new, or whose agent is.
void CallControl::cover_by_agents(const CallPtr& call) {
    for (AgentBlackout& blackout : agent_blackouts_)
        if ((blackout.open || blackout.window.to_ns > now_ns_) && concerns(blackout, *call) &&
            !windows_of(*call, blackout).pending(now_ns_))
            cover(call, blackout);
}

void CallControl::end_agent_blackout(AgentBlackout& blackout, TimeNs edge_ns) {
    blackout.open = false;
    blackout.window.to_ns = std::max(blackout.window.from_ns, edge_ns);
    for (const auto& [number, call] : blacked_out_calls_) {
        if (!call->active() || !blackout.covered.contains(number)) continue;
        const auto* ended = windows_of(*call, blackout).stop(blackout.window.to_ns, now_ns_);
        if (ended == nullptr || !call->session) continue;
        end_window(*call->session, *ended);
        update_pause(*call->session);
    }
}

// Those whose stop did not come within the limit, and those that are over.
void CallControl::advance_agent_blackouts() {
    for (AgentBlackout& blackout : agent_blackouts_) {
        if (!blackout.open || blackout.window.to_ns > now_ns_) continue;
        outputs_.log("blackout_limit",
                     fmt::format("the blackout of {} had no stop within {:.0f} s: it has ended",
                                 blackout.of_call     ? fmt::format("a call on device '{}'", blackout.who.device_id)
                                 : blackout.agent > 0 ? fmt::format("agent {}", blackout.agent)
                                                      : fmt::format("an agent on device '{}'", blackout.who.device_id),
                                 seconds(options_.blackout_limit_ns)));
        end_agent_blackout(blackout, blackout.window.to_ns);
    }
    std::erase_if(agent_blackouts_,
                  [&](const AgentBlackout& each) { return !each.open && each.window.to_ns <= now_ns_; });
}

// BLACKOUTSTOP of what began before the restart.
bool CallControl::stop_resumed(const std::string& device_id, TimeNs edge_ns) {
    bool any = false;
    for (AgentBlackout& blackout : agent_blackouts_) {
        if (!blackout.of_call || !blackout.open || blackout.who.device_id != device_id) continue;
        end_agent_blackout(blackout, edge_ns);
        any = true;
    }
    return any;
}

std::vector<RunningBlackout> CallControl::running_blackouts() const {
    std::vector<RunningBlackout> running;
    for (const AgentBlackout& each : agent_blackouts_)
        if (each.open || each.window.to_ns > now_ns_)
            running.push_back({.of_agent = !each.of_call,
                               .stop_known = !each.open,
                               .agent = each.agent,
                               .device_id = each.who.device_id,
                               .device_alias = each.who.device_alias,
                               .sys_user = each.who.sys_user,
                               .crm_user = each.who.crm_user,
                               .window = each.window});
    for (const auto& [number, call] : blacked_out_calls_) {
        if (!call->active()) continue;
        const bool resumed = std::ranges::any_of(running, [&](const RunningBlackout& each) {
            return !each.of_agent && each.device_id == call->fields.device_id;
        });
        if (resumed) continue;
        for (const auto& each : call->blackouts.all())
            if (each.open || each.window.to_ns > now_ns_)
                running.push_back(
                    {.stop_known = !each.open, .device_id = call->fields.device_id, .window = each.window});
    }
    return running;
}

void CallControl::resume_blackouts(const std::vector<RunningBlackout>& blackouts, TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    for (const RunningBlackout& each : blackouts) {
        if (each.window.to_ns <= now_ns_) continue;
        agent_blackouts_.push_back({.who = {.device_id = each.device_id,
                                            .device_alias = each.device_alias,
                                            .sys_user = each.sys_user,
                                            .crm_user = each.crm_user},
                                    .agent = each.agent,
                                    .window = each.window,
                                    .open = !each.stop_known,
                                    .of_call = !each.of_agent});
    }
}

}  // namespace spantape
