// SPDX-License-Identifier: AGPL-3.0-or-later
// Calls as the API tells them.
#include <utility>

#include "api/control/call_control.h"

namespace spantape {

CallOutcome CallControl::call_start(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns) {
    return begin_call(who, fields, now_ns, 0);
}

// media_from_ns: what arrived before is not to be stored; 0: what look-back has, too.
CallOutcome CallControl::begin_call(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns,
                                    TimeNs media_from_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    Device* on = resolve(who, true);
    if (on == nullptr) return CallOutcome::device_invalid;
    Call* call = nullptr;
    if (who.instance) {
        call = on->active_call(&*who.instance);
        if (call == nullptr) {  // a call seen in SIP that the API has not named yet is this one
            for (const auto& known : on->calls)
                if (known->active() && known->sip_call != 0 && !known->api_named) call = known.get();
            if (call != nullptr) call->fields.call_instance = *who.instance;
        }
    } else {
        call = call_on(*on, who);
    }
    if (call != nullptr) {
        call->api_named = true;
        name_call(*call, who, fields);
        set_fields(fields, call->fields);
        set_limits(fields, *call);
        cover_by_agents(call->shared_from_this());
        for (const auto& recording : call->recordings)
            if (!recording->stopped) {
                recording->fields.call_instance = call->fields.call_instance;
                set_recording_fields(fields, *recording);
                set_limits(fields, *recording);
            }
        if (call->session) watch_silence(*call->session);
        write_documents(*call);
        return call->recording_now() != nullptr ? CallOutcome::ok : reconsider(*call, now_ns);
    }
    const CallPtr started = new_call(*on, now_ns);
    started->api_named = true;
    started->answer_ns = now_ns;
    if (who.instance) started->fields.call_instance = *who.instance;
    name_call(*started, who, fields);
    set_fields(fields, started->fields);
    set_limits(fields, *started);
    cover_by_agents(started);
    ask_schedule(*started);
    publish("CALLSTART", *started, nullptr);
    if (!started->wanted) return not_recorded(*started);
    watch_device(*started, *on, media_from_ns);
    if (!started->session) return CallOutcome::ok;  // recorded as soon as SIP shows its media
    return start_recording(*started, now_ns, false) == nullptr ? not_recorded(*started) : CallOutcome::ok;
}

// CALLSTART tells more of a call that SIP shows, and that is not recorded (yet).
CallOutcome CallControl::reconsider(Call& call, TimeNs now_ns) {
    if (call.wanted) return CallOutcome::ok;
    ask_schedule(call);
    if (!call.wanted) return not_recorded(call);
    if (!call.session || call.session->ending) return CallOutcome::ok;
    want_media(*call.session, 0);
    if (call.answer_ns == 0) return CallOutcome::ok;  // recorded with its answer
    return start_recording(call, now_ns, false) != nullptr ? CallOutcome::ok : not_recorded(call);
}

CallOutcome CallControl::call_stop(const DeviceAddress& who, TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    Device* on = resolve(who, false);
    if (on == nullptr) return names_device(who) ? CallOutcome::nothing_active : CallOutcome::device_invalid;
    Call* call = call_on(*on, who);
    if (call == nullptr) return CallOutcome::nothing_active;
    end_call(*call, now_ns, "api", false);
    return CallOutcome::ok;
}

CallOutcome CallControl::call_update(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    Device* on = resolve(who, false);
    if (on == nullptr) return names_device(who) ? CallOutcome::not_in_call : CallOutcome::device_invalid;
    Call* call = call_on(*on, who);
    if (call == nullptr) return CallOutcome::not_in_call;
    name_call(*call, who, fields);
    set_fields(fields, call->fields);
    cover_by_agents(call->shared_from_this());
    for (const auto& recording : call->recordings)
        if (!recording->stopped) set_recording_fields(fields, *recording);
    write_documents(*call);
    return CallOutcome::ok;
}

// RECORDSTART where no call is known: one begins so, whatever the schedule says, unless it forbids it.
CallOutcome CallControl::record_new_call(const DeviceAddress& who, Device& on, const FieldUpdate& fields,
                                         TimeNs now_ns) {
    const CallOutcome outcome = begin_call(who, fields, now_ns, now_ns);
    if (outcome != CallOutcome::no_schedule) return outcome;
    Call* call = on.active_call(who.instance ? &*who.instance : nullptr);
    return call == nullptr ? outcome : record_start(who, fields, now_ns);
}

CallOutcome CallControl::record_start(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    Device* on = resolve(who, true);
    if (on == nullptr) return CallOutcome::device_invalid;
    Call* call = call_on(*on, who);
    if (call == nullptr) return record_new_call(who, *on, fields, now_ns);
    const bool partial = call->recording_now() != nullptr;
    if (call->schedule.action == ScheduleAction::block) return CallOutcome::blocked;
    // Who is in the call holds for the call.
    FieldUpdate names;
    names.device_alias = fields.device_alias;
    names.sys_user = fields.sys_user;
    names.crm_user = fields.crm_user;
    name_call(*call, who, names);
    set_fields(names, call->fields);
    cover_by_agents(call->shared_from_this());
    if (!std::exchange(call->wanted, true)) note_outcome(*call, "RECORDSTART asked for it");
    if (call->session && !call->session->ending) want_media(*call->session, now_ns);
    if (!partial && (!call->session || call->session->ending)) {
        // Not recorded until now (stopped, or without a channel): the same endpoints, a media session of its own.
        const std::shared_ptr<Session> old = call->session;
        if (old) {
            call->session = open_session();
            call->session->from_ns = now_ns;
            call->session->calls.push_back(call->shared_from_this());
            call->session->held[0] = old->held[0];
            call->session->held[1] = old->held[1];
            for (const auto& offer : old->offers) {
                call->session->offers.push_back(offer);
                watch(*call->session, offer);
            }
            impose_all(*call);
            if (call->sip_call != 0) sip_sessions_[call->sip_call] = call->session;
        } else {
            watch_device(*call, *on, now_ns);
        }
        if (!call->session) {  // recorded as soon as SIP shows its media
            set_fields(fields, call->fields);
            set_limits(fields, *call);
            return CallOutcome::ok;
        }
    }
    if (fields.priority) call->fields.priority = *fields.priority;  // decides whether it is recorded
    return start_recording(*call, now_ns, partial, fields) == nullptr ? not_recorded(*call) : CallOutcome::ok;
}

CallOutcome CallControl::record_stop(const DeviceAddress& who, const FieldUpdate& fields, TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    Device* on = resolve(who, false);
    if (on == nullptr) return names_device(who) ? CallOutcome::nothing_active : CallOutcome::device_invalid;
    Call* call = call_on(*on, who);
    if (call == nullptr) return CallOutcome::nothing_active;
    // What RECORDSTART began last; without such, the call's own recording.
    ActiveRecording* last = nullptr;
    for (const auto& recording : call->recordings)
        if (!recording->stopped && (last == nullptr || recording->partial)) last = recording.get();
    // RECORDSTART asked for what SIP has not shown yet.
    if (last == nullptr && !call->session && call->schedule.action != ScheduleAction::record) call->wanted = false;
    if (last == nullptr) return CallOutcome::nothing_active;
    set_recording_fields(fields, *last);
    last->fields.ended_by = "api";
    stop_recording(*call, *last, now_ns);
    return CallOutcome::ok;
}

bool CallControl::update_active(std::uint64_t ident, const FieldUpdate& fields,
                                const std::function<void(Recording&)>& also) {
    for (const auto& [number, call] : open_calls_)
        for (const auto& recording : call->recordings)
            if (recording->fields.ident == ident) {
                set_recording_fields(fields, *recording);
                if (!recording->partial) set_fields(fields, call->fields);
                if (!recording->stopped) write_documents(*call);
                return true;
            }
    const auto at = completing_.find(ident);
    if (at == completing_.end()) return false;
    set_fields(fields, at->second);
    if (also) also(at->second);
    outputs_.put({at->second, false});  // after its last document, which is on its way
    return true;
}

}  // namespace spantape
