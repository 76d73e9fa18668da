// SPDX-License-Identifier: AGPL-3.0-or-later
// Dispatch of inputs, devices and calls.
#include "api/control/call_control.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "api/control/event_document.h"

namespace spantape {

namespace {
constexpr TimeNs kUnwatchedLimitNs = 12 * 3600 * kNsPerSecond;  // a call whose media is not looked at
}

std::string_view name_of(ChannelState state) {
    constexpr std::string_view kNames[] = {
        "Idle",  "OffHook",   "Recording",         "Playback",        "Waiting",
        "Error", "Resetting", "PreparingToRecord", "FinishRecording", "DialingForPlayback"};
    return kNames[static_cast<std::size_t>(state)];
}

void apply(const FieldUpdate& update, Recording& recording) {
    const auto set = [](const auto& from, auto& to) {
        if (from) to = *from;
    };
    set(update.device_alias, recording.device_alias);
    set(update.sys_user, recording.sys_user);
    set(update.crm_user, recording.crm_user);
    set(update.station, recording.station);
    set(update.group, recording.group);
    set(update.gate, recording.gate);
    set(update.ani, recording.ani);
    set(update.dnis, recording.dnis);
    set(update.call_id, recording.call_id);
    set(update.direction, recording.direction);
    for (std::size_t i = 0; i < recording.user.size(); ++i) set(update.user[i], recording.user[i]);
    set(update.priority, recording.priority);
    set(update.keep_days, recording.keep_days);
    set(update.archive_action, recording.archive_action);
    set(update.agent_initiated, recording.agent_initiated);
    set(update.cti_initiated, recording.cti_initiated);
    set(update.locked, recording.locked);
    set(update.lock_reason, recording.lock_reason);
}

Call* Device::active_call(const std::string* instance) const {
    for (auto call = calls.rbegin(); call != calls.rend(); ++call)
        if ((*call)->active() && (instance == nullptr || (*call)->fields.call_instance == *instance))
            return call->get();
    return nullptr;
}

Call* Device::latest_call() const {
    if (Call* active = active_call()) return active;
    return calls.empty() ? nullptr : calls.back().get();
}

CallControl::CallControl(ControlOptions options, ControlOutputs& outputs, TimeNs now_ns, const Directory* directory)
    : options_(std::move(options)),
      outputs_(outputs),
      directory_(directory),
      channels_(options_.channels, now_ns),
      now_ns_(now_ns),
      reached_ns_(options_.workers, 0) {
    for (const auto& pattern : options_.device_match) device_match_.emplace_back(pattern, std::regex::optimize);
}

// Calls and their sessions hold each other until the session is over.
CallControl::~CallControl() {
    for (const auto& [id, session] : sessions_) session->calls.clear();
}

void CallControl::on_sip(const SipEvent& event) {
    now_ns_ = std::max(now_ns_, event.time_ns);
    const TimeNs at = event.time_ns;
    struct {
        CallControl& control;
        TimeNs at;
        void operator()(const SipCallStarted& what) { control.sip_started(what, at); }
        void operator()(const SipCallMedia& what) { control.sip_media(what, at); }
        void operator()(const SipCallAnswered& what) { control.sip_answered(what, at); }
        void operator()(const SipCallEnded& what) { control.sip_ended(what, at); }
        void operator()(const SipRegistered& what) { control.sip_registered(what); }
    } handle{*this, at};
    cause_ns_ = at;
    std::visit(handle, event.what);
    cause_ns_ = 0;
}

void CallControl::on_worker(const WorkerEvent& event) {
    if (event.kind == WorkerEvent::Kind::tick) {
        reached_ns_[event.worker] = std::max(reached_ns_[event.worker], event.time_ns);
        return advance(event.time_ns);
    }
    if (event.kind == WorkerEvent::Kind::source_ended) reached_ns_[event.worker] = std::numeric_limits<TimeNs>::max();
    if (event.kind == WorkerEvent::Kind::stream_unclaimed) return stream_unclaimed(event);
    const auto at = sessions_.find(event.session);
    if (at == sessions_.end()) return;
    const std::shared_ptr<Session> session = at->second;
    switch (event.kind) {
        case WorkerEvent::Kind::stream_bound:
            stream_bound(*session, event);
            break;
        case WorkerEvent::Kind::stream_left:
            stream_left(*session, event);
            break;
        case WorkerEvent::Kind::session_quiet:
            session_quiet(*session, event, now_ns_);
            break;
        case WorkerEvent::Kind::session_ended:
            if (session->answers_missing > 0 && --session->answers_missing == 0) session_ended(session);
            break;
        case WorkerEvent::Kind::stream_unclaimed:
        case WorkerEvent::Kind::tick:
        case WorkerEvent::Kind::source_ended:
            break;
    }
}

void CallControl::on_writer(const WriterEvent& event) {
    if (const auto* recording = std::get_if<RecordingStored>(&event)) {
        if (recording->final) stored(recording->ident);
    } else if (const auto* flushed = std::get_if<Flushed>(&event)) {
        const auto idents = flush_tokens_.extract(flushed->token);
        if (idents.empty()) return;
        for (const std::uint64_t ident : idents.mapped()) stored(ident);
    } else if (const auto* silent = std::get_if<SessionSilent>(&event)) {
        session_silent(*silent);
    }
}

void CallControl::advance(TimeNs now_ns) {
    now_ns_ = std::max(now_ns_, now_ns);
    std::ranges::move(std::exchange(documents_wanted_, {}), std::back_inserter(documents_due_));
    // A worker that is behind the others may still have their media to read.
    const TimeNs reached_ns = std::ranges::min(reached_ns_);
    for (const CallPtr& call : std::exchange(finishing_, {})) {
        if (call->finish_at_ns == 0) continue;
        if (reached_ns >= call->finish_at_ns)
            finish_call(*call, now_ns_);
        else
            finishing_.push_back(call);
    }
    advance_blackouts();
    send_late_flushes();
    explained_media_.expire(now_ns_);
    sweep();
}

// All calls once a second, a few at a time: no decision waits for all of them.
void CallControl::sweep() {
    const TimeNs passed_ns = std::min(now_ns_ - last_sweep_ns_, kNsPerSecond);
    const std::size_t buckets = open_calls_.bucket_count();
    const auto share = static_cast<std::size_t>(static_cast<double>(buckets) * static_cast<double>(passed_ns) /
                                                static_cast<double>(kNsPerSecond));
    if (share == 0) return;
    last_sweep_ns_ = now_ns_;
    std::vector<CallPtr> active;
    for (std::size_t i = 0; i < share; ++i) {
        if (++sweep_hand_ >= buckets) sweep_hand_ = 0;
        for (auto call = open_calls_.begin(sweep_hand_); call != open_calls_.end(sweep_hand_); ++call)
            if (call->second->active()) active.push_back(call->second);
    }
    for (const CallPtr& call : active) check_limits(*call);
}

// What lasts too long.
void CallControl::check_limits(Call& call) {
    for (const auto& recording : call.recordings)
        if (!recording->stopped && recording->max_duration_ns != 0 &&
            now_ns_ - recording->fields.start_ns >= recording->max_duration_ns) {
            recording->fields.ended_by = "max_record_time";
            stop_recording(call, *recording, recording->fields.start_ns + recording->max_duration_ns);
            return;  // it may be gone from the list; others have their turn at the next sweep
        }
    end_without_media(call);
}

// Answered, and no media ever: the same time-out as for media that ceased. Where it is not watched for, its BYE may
// have been lost or it may go on: much later its end is taken for granted.
void CallControl::end_without_media(Call& call) {
    if (!call.active() || call.answer_ns == 0 || call.sip_call == 0 || !call.session) return;
    const Session& session = *call.session;
    const bool watched = session.wanted && !session.ending;
    if (watched && (!session.streams.empty() || session.held[0] || session.held[1])) return;
    const TimeNs due_ns = watched ? std::max(call.answer_ns, session.watched_ns) + options_.media_timeout_ns
                                  : call.answer_ns + kUnwatchedLimitNs;
    if (now_ns_ < due_ns) return;
    forget_sip_call(call.sip_call);
    // When it was due: a capture's clock may jump by years between two packets.
    end_call(call, due_ns, "media_timeout", false);
}

void CallControl::end_all(TimeNs now_ns, const std::string& reason) {
    now_ns_ = std::max(now_ns_, now_ns);
    std::vector<CallPtr> all;
    for (const auto& [number, call] : open_calls_) all.push_back(call);
    for (const auto& call : all) {
        if (call->active())
            end_call(*call, now_ns_, reason, false);
        else if (call->finish_at_ns != 0)
            finish_call(*call, now_ns_);
    }
}

bool CallControl::idle() const { return open_calls_.empty() && completing_.empty() && sessions_.empty(); }

// --- devices and calls

Device& CallControl::device(const std::string& id) {
    Device& found = devices_[id];
    if (!found.id.empty()) return found;
    found.id = id;
    if (const auto at = registered_.find(id); at != registered_.end()) found.addresses = at->second;
    return found;
}

// A call on the device has ended. Of those known from calls alone so many are kept: a flood of calls between ever new
// users must not fill the memory.
void CallControl::note_idle(const Call& call) {
    const auto ended = devices_.find(call.fields.device_id);
    if (ended == devices_.end()) return;
    ended->second.last_ended = call.number;
    idle_devices_.emplace_back(ended->first, call.number);
    const auto in_use = [](const CallPtr& one) { return one->active() || !one->recordings.empty(); };
    // One comes, so one or two may have to go: those that are still being stored have their turn later.
    for (int look = 0; look < 2 && idle_devices_.size() > options_.idle_devices; ++look) {
        auto [id, number] = std::move(idle_devices_.front());
        idle_devices_.pop_front();
        const auto at = devices_.find(id);
        if (at == devices_.end() || at->second.kept || at->second.last_ended != number) continue;
        const auto& calls = at->second.calls;
        if (std::none_of(calls.begin(), calls.end(), in_use))
            devices_.erase(at);
        else if (at->second.active_call() == nullptr)
            idle_devices_.emplace_back(std::move(id), number);
    }
}

Recording CallControl::fields_on(const Device& on) const {
    Recording fields;
    fields.core_id = options_.core_id;
    fields.device_id = on.id;
    fields.device_alias = on.alias;
    fields.sys_user = on.sys_user;
    fields.crm_user = on.crm_user;
    fields.station = on.station;
    name_agent(on, fields);
    return fields;
}

CallControl::CallPtr CallControl::new_call(Device& on, TimeNs now_ns, bool from_beginning) {
    forget_ended_calls(on);
    forget_overruled(on);
    auto call = std::make_shared<Call>();
    call->number = next_call_++;
    call->start_ns = now_ns;
    call->from_beginning = from_beginning;
    call->fields = fields_on(on);
    call->named = on.named;
    call->fields.global_call_id = fmt::format("{:04}{:010}", options_.core_id, outputs_.next_number("global_call"));
    on.calls.push_back(call);
    open_calls_[call->number] = call;
    ++active_calls_;
    cover_by_agents(call);
    return call;
}

// A device keeps its active calls and, for its status, the one that ended last.
void CallControl::forget_ended_calls(Device& on) {
    std::erase_if(on.calls, [](const CallPtr& call) { return !call->active() && call->recording_now() == nullptr; });
}

// A call that SIP does not show: its media is what comes from and goes to the device's own addresses.
void CallControl::watch_device(Call& call, const Device& on, TimeNs from_ns) {
    if (on.addresses.empty()) return;
    join(call, open_session(), CallParty::callee);
    call.session->from_ns = from_ns;
    for (const IpAddress& address : on.addresses) watch(*call.session, {address, 0}, CallParty::callee);
}

void CallControl::publish(const char* type, const Call& call, const Recording* recording) {
    EventContext context;
    context.fields = recording != nullptr ? recording : &call.fields;
    context.start_ns = call.start_ns;
    outputs_.publish(event_document(type, context));
}

std::optional<std::uint64_t> CallControl::last_recording_on(const std::string& device_id) const {
    std::optional<std::uint64_t> last;
    const auto consider = [&](const Recording& recording) {
        if (recording.device_id == device_id && (!last || recording.ident > *last)) last = recording.ident;
    };
    for (const auto& [ident, document] : completing_) consider(document);
    if (const auto at = devices_.find(device_id); at != devices_.end())
        for (const auto& call : at->second.calls)
            for (const auto& recording : call->recordings) consider(recording->fields);
    return last;
}

std::optional<Recording> CallControl::active_recording(std::uint64_t ident) const {
    for (const auto& [number, call] : open_calls_)
        for (const auto& recording : call->recordings)
            if (recording->fields.ident == ident) return document(*call, *recording);
    return std::nullopt;
}

}  // namespace spantape
