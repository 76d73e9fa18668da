// SPDX-License-Identifier: AGPL-3.0-or-later
// Calls of which nothing but the media is seen: the appliance started in their middle, their signalling goes another
// way or is encrypted. A phone whose address is known tells whose they are.
#include <algorithm>

#include <fmt/format.h>

#include "api/control/call_control.h"

namespace spantape {

void CallControl::stream_unclaimed(const WorkerEvent& event) {
    if (!options_.record_unsignalled || explained_media_.explains(event.flow, event.time_ns, now_ns_)) return;
    // The other direction of it was told first, and the worker does not know yet.
    const auto found = by_media_at_.find(event.flow.source);
    if (found != by_media_at_.end() && std::ranges::count(found->second->found_at, event.flow.destination) != 0) return;
    struct End {
        Endpoint endpoint;
        std::string device_id;  // "": no phone of ours is known there
        CallParty party = CallParty::caller;
    };
    End ends[] = {{event.flow.source, phone_at(event.flow.source.ip), CallParty::caller},
                  {event.flow.destination, phone_at(event.flow.destination.ip), CallParty::callee}};
    // What a phone in a call sends and hears from other places than were said is of that call.
    for (const End& end : ends) {
        const auto known = devices_.find(end.device_id);
        if (known == devices_.end()) continue;
        for (const CallPtr& call : known->second.calls) {
            if (!call->active() || call->by_media) continue;
            if (call->sip_call == 0 && !call->session && call->wanted) found_by_media(*call, event.flow, end.party);
            return;
        }
    }
    std::shared_ptr<Session> session;
    bool asked = false;
    for (const End& end : ends) {
        if (end.device_id.empty() || (session && device_match_.empty())) continue;
        asked = true;
        Device& on = device(end.device_id);
        const ScheduleDecision decision = schedule_decision(fields_on(on), event.time_ns);
        if (decision.action != ScheduleAction::record) continue;
        const CallPtr call = new_call(on, event.time_ns);
        call->by_media = true;
        call->answer_ns = event.time_ns;
        call->fields.call_instance = fmt::to_string(call->number);
        take_decision(*call, decision);
        publish("CALLSTART", *call, nullptr);
        if (session) {
            join(*call, session, end.party);
            start_recording(*call, event.time_ns, false);
        } else {
            found_by_media(*call, event.flow, end.party);
            session = call->session;
        }
        if (call->recording_now() == nullptr) end_call(*call, event.time_ns, "not_recorded", false);
    }
    if (asked && (!session || session->ending)) explained_media_.refuse(event.flow, now_ns_);
}

// The id of the one device that is known at an address, as far as it is one of ours; "" else.
std::string CallControl::phone_at(const IpAddress& address) const {
    const std::string* user = phones_.only_user_at(address);
    if (user == nullptr) return {};
    if (!device_match_.empty()) return is_device(*user) ? *user : std::string();
    const auto known = devices_.find(*user);
    return known != devices_.end() && known->second.kept ? *user : std::string();
}

void CallControl::join(Call& call, const std::shared_ptr<Session>& session, CallParty device_party) {
    call.session = session;
    call.device_party = device_party;
    session->calls.push_back(call.shared_from_this());
    impose_all(call);
}

// The call's media is what goes on between the two ends of the flow.
void CallControl::found_by_media(Call& call, const FlowKey& flow, CallParty device_party) {
    join(call, open_session(), device_party);
    Session& session = *call.session;
    for (const auto& [endpoint, party] :
         {std::pair(flow.source, CallParty::caller), std::pair(flow.destination, CallParty::callee)}) {
        by_media_at_[endpoint] = call.session;
        session.found_at.push_back(endpoint);
        watch(session, endpoint, party);
    }
    start_recording(call, now_ns_, false);
}

// SIP names an endpoint of a call that was known by its media alone: now it is known better.
void CallControl::signalled(const Session* session, const Endpoint& endpoint) {
    const auto at = by_media_at_.find(endpoint);
    if (at == by_media_at_.end() || at->second.get() == session) return;
    const auto calls = at->second->calls;
    for (const CallPtr& call : calls)
        if (call->active() && call->by_media) end_call(*call, now_ns_, "signalled", false);
}

void CallControl::forget_by_media(const Session& session) {
    if (session.found_at.size() == 2) explained_media_.refuse({session.found_at[0], session.found_at[1], 0}, now_ns_);
    for (const Endpoint& endpoint : session.found_at)
        if (const auto at = by_media_at_.find(endpoint); at != by_media_at_.end() && at->second.get() == &session)
            by_media_at_.erase(at);
}

}  // namespace spantape
