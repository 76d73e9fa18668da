// SPDX-License-Identifier: AGPL-3.0-or-later
// Blackouts: the windows of a call, and how they act on its media session and recordings.
#include "api/control/blackout.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/control/call_control.h"

namespace spantape {

CallBlackouts::Window CallBlackouts::start(std::uint64_t new_id, TimeNs edge_ns, TimeNs now_ns, TimeNs limit_ns) {
    auto open = std::ranges::find(windows_, true, &Window::open);
    if (open == windows_.end()) {
        windows_.push_back({new_id, {edge_ns, INT64_MAX}, true});
        open = windows_.end() - 1;
    }
    open->window.from_ns = std::min(open->window.from_ns, edge_ns);
    if (limit_ns != 0) open->window.to_ns = std::max(edge_ns, now_ns) + limit_ns;
    return *open;
}

const CallBlackouts::Window* CallBlackouts::stop(TimeNs edge_ns, TimeNs now_ns) {
    auto ends = std::ranges::find(windows_, true, &Window::open);
    if (ends == windows_.end()) {
        for (auto each = windows_.begin(); each != windows_.end(); ++each)
            if (each->window.to_ns > now_ns && !each->window.empty() &&
                (ends == windows_.end() || each->window.to_ns >= ends->window.to_ns))
                ends = each;
    }
    if (ends == windows_.end()) return nullptr;
    ends->open = false;
    ends->window.to_ns = std::max(ends->window.from_ns, edge_ns);
    return &*ends;
}

std::vector<CallBlackouts::Window> CallBlackouts::expire(TimeNs now_ns) {
    std::vector<Window> expired;
    for (Window& each : windows_) {
        if (!each.open || each.window.to_ns > now_ns) continue;
        each.open = false;
        expired.push_back(each);
    }
    return expired;
}

std::vector<CallBlackouts::Window> CallBlackouts::end_all(TimeNs stop_ns) {
    std::vector<Window> ended;
    for (Window& each : windows_) {
        if (each.window.to_ns <= stop_ns) continue;
        each.open = false;
        each.window.to_ns = std::max(each.window.from_ns, stop_ns);
        ended.push_back(each);
    }
    return ended;
}

bool CallBlackouts::pending(TimeNs now_ns) const {
    return std::ranges::any_of(windows_, [&](const Window& each) { return each.open || each.window.to_ns > now_ns; });
}

// The newest active call that is named so, by_label: or that the directory has labelled so.
CallControl::Addressed CallControl::named_call(const DeviceAddress& who, bool by_label) const {
    Addressed found;
    const auto look_at = [&](const Device& device) {
        for (const CallPtr& call : device.calls) {
            if (!is_named(device, call.get(), who, by_label)) continue;
            found.device = true;
            if (!call->active() || (who.instance && call->fields.call_instance != *who.instance)) continue;
            if (found.call == nullptr || found.call->number < call->number) found.call = call;
        }
        found.device = found.device || is_named(device, nullptr, who, by_label);
    };
    if (who.device_id.empty())
        for (const auto& [id, device] : devices_) look_at(device);
    else if (const auto known = devices_.find(who.device_id); known != devices_.end())
        look_at(known->second);
    return found;
}

// The call that a blackout means: one that the API has named so, else one whose phone the directory knows as his; of
// one whom neither shows in a call, one on a phone of his in which nobody else is.
CallControl::Addressed CallControl::addressed_call(const DeviceAddress& who) const {
    if (who.empty()) return {};
    Addressed found = named_call(who, false);
    if (found.call != nullptr) return found;
    if (const Addressed labelled = named_call(who, true); labelled.call != nullptr || !found.device) found = labelled;
    if (found.call != nullptr || found.device || !who.device_id.empty()) return found;
    const auto phone = devices_.find(directory_device(who));
    if (phone == devices_.end()) return {!directory_device(who).empty(), nullptr};
    found.device = true;
    for (const CallPtr& call : phone->second.calls)
        if (call->active() && !is_of_another(*call, who) &&
            (!who.instance || call->fields.call_instance == *who.instance))
            found.call = call;
    return found;
}

CallOutcome CallControl::unknown(const DeviceAddress& who) {
    const bool by_user = who.device_id.empty() && who.device_alias.empty();
    return by_user ? CallOutcome::agent_not_found : CallOutcome::device_invalid;
}

CallControl::BlackoutStarted CallControl::blackout_start(const DeviceAddress& who, TimeNs offset_ns, TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    const Addressed found = addressed_call(who);
    if (found.call == nullptr) return {found.device ? CallOutcome::not_in_call : unknown(who), 0};
    Call& call = *found.call;
    const auto changed = call.blackouts.start(next_blackout_, now_ns + offset_ns, now_ns, options_.blackout_limit_ns);
    if (changed.id == next_blackout_) ++next_blackout_;
    blacked_out_calls_[call.number] = found.call;
    if (!call.session) return {CallOutcome::ok, 0};
    const std::uint64_t token = impose(*call.session, changed);
    update_pause(*call.session);
    return {CallOutcome::ok, token};
}

CallOutcome CallControl::blackout_stop(const DeviceAddress& who, TimeNs offset_ns, TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    const Addressed found = addressed_call(who);
    const std::string device_id = found.call != nullptr ? found.call->fields.device_id : who.device_id;
    const bool resumed = stop_resumed(device_id, now_ns + offset_ns);
    if (found.call == nullptr) {
        if (resumed) return CallOutcome::ok;
        return found.device ? CallOutcome::not_in_call : unknown(who);
    }
    Call& call = *found.call;
    const CallBlackouts::Window* ended = call.blackouts.stop(now_ns + offset_ns, now_ns);
    if (ended == nullptr) return resumed ? CallOutcome::ok : CallOutcome::no_blackout;
    if (call.session) {
        end_window(*call.session, *ended);
        update_pause(*call.session);
    }
    return CallOutcome::ok;
}

// What comes behind a window may carry what was spoken within it once more (RED, RFC 2198; Opus with FEC): for the
// writer it ends when that is over.
TimeNs CallControl::behind_repeats(const Session& session, TimeNs to_ns) {
    const bool repeats = std::ranges::any_of(
        session.offers, [](const Session::Offer& offer) { return std::ranges::any_of(offer.payloads, repeats_audio); });
    return repeats && to_ns < INT64_MAX - kRepeatsNs ? to_ns + kRepeatsNs : to_ns;
}

// A window begins to act on the session, or has a new beginning. Its workers' streams are named for those that ended.
// One that begins now has a past part, too: until the writer hears of it, it stores frames that arrived meanwhile.
std::uint64_t CallControl::impose(Session& session, const CallBlackouts::Window& window) {
    const std::uint64_t token = window.window.from_ns <= now_ns_ ? next_blackout_token_++ : 0;
    if (token != 0) ++redacting_[session.id];
    session.blackouts[window.id] = {window.window.from_ns, window.open ? INT64_MAX : window.window.to_ns};
    Blackout command{session.id, window.id, window.window, token, {}};
    if (!window.window.empty()) command.window.to_ns = behind_repeats(session, window.window.to_ns);
    for (const Session::Stream& stream : session.streams) command.streams.push_back(stream.stream_id);
    outputs_.command_writer(std::move(command));
    return token;
}

// The call has got a media session: what was blacked out on it before is so there.
void CallControl::impose_all(Call& call) {
    if (!call.session || (call.blackouts.all().empty() && call.agent_blackouts.all().empty())) return;
    for (const auto* blackouts : {&call.blackouts, &call.agent_blackouts})
        for (const auto& window : blackouts->all()) impose(*call.session, window);
    update_pause(*call.session);
}

void CallControl::end_window(Session& session, const CallBlackouts::Window& window) {
    session.blackouts[window.id] = window.window;
    const TimeNs to_ns = window.window.empty() ? window.window.to_ns : behind_repeats(session, window.window.to_ns);
    outputs_.command_writer(EndBlackout{session.id, window.id, to_ns});
}

// A call's blackout ends with the call. With nobody else on its media, what is under way of that stays dark.
void CallControl::end_blackouts(Call& call) {
    auto ended = call.blackouts.end_all(call.stop_ns);
    const auto of_agent = call.agent_blackouts.end_all(call.stop_ns);
    ended.insert(ended.end(), of_agent.begin(), of_agent.end());
    if (!call.session) return;
    const bool others = std::ranges::any_of(
        call.session->calls, [&](const CallPtr& other) { return other.get() != &call && other->active(); });
    if (!others) return;
    for (const auto& window : ended) end_window(*call.session, window);
    update_pause(*call.session);
}

// Edges that time brings.
void CallControl::advance_blackouts() {
    advance_agent_blackouts();
    for (auto at = blacked_out_calls_.begin(); at != blacked_out_calls_.end();) {
        Call& call = *at->second;
        for (const auto& window :
             call.active() ? call.blackouts.expire(now_ns_) : decltype(call.blackouts.expire(0)){}) {
            outputs_.log(
                "blackout_limit",
                fmt::format("the blackout of call {} on device {} had no stop within {:.0f} s: "
                            "it has ended",
                            call.fields.global_call_id, call.fields.device_id, seconds(options_.blackout_limit_ns)));
            if (call.session) end_window(*call.session, window);
        }
        if (call.session) update_pause(*call.session);
        const bool pending = call.blackouts.pending(now_ns_) || call.agent_blackouts.pending(now_ns_);
        const bool done = !call.active() || !pending;
        at = done ? blacked_out_calls_.erase(at) : std::next(at);
    }
}

bool CallControl::dark_now(const Session& session) const {
    return std::ranges::any_of(session.blackouts, [&](const auto& one) { return one.second.holds(now_ns_); });
}

// RECORDINGPAUSED and RECORDINGRESUMED, for every recording that is made of the session.
void CallControl::update_pause(Session& session) {
    const bool dark = dark_now(session);
    if (dark == session.paused) return;
    session.paused = dark;
    for (const CallPtr& call : session.calls) {
        if (!call->active()) continue;  // its recordings end
        for (const auto& recording : call->recordings)
            if (!recording->stopped) show_pause(*call, *recording, dark);
        write_documents(*call);
    }
}

void CallControl::show_pause(const Call& call, const ActiveRecording& recording, bool paused) {
    channels_.set(recording.fields.channel, paused ? ChannelState::waiting : ChannelState::recording, now_ns_);
    publish(paused ? "RECORDINGPAUSED" : "RECORDINGRESUMED", call, &recording.fields);
}

void CallControl::redaction_over(std::uint64_t session) {
    const auto at = redacting_.find(session);
    if (at != redacting_.end() && --at->second == 0) redacting_.erase(at);
}

// Frames were taken off the disk: the documents tell.
void CallControl::redacted(std::uint64_t session, std::uint64_t frames) {
    if (frames == 0) return;
    if (const auto at = sessions_.find(session); at != sessions_.end()) {
        at->second->redacted += frames;
        for (const CallPtr& call : at->second->calls) write_documents(*call);
        return;
    }
    for (auto& [ident, document] : completing_) {
        if (document.session_id != session) continue;
        document.redacted += frames;
        outputs_.put({document, false});  // after its last document, which is on its way
    }
}

}  // namespace spantape
