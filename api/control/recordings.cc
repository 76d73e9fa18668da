// SPDX-License-Identifier: AGPL-3.0-or-later
// Recordings: start, stop, completion; and the end of calls.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "api/control/call_control.h"
#include "api/control/event_document.h"
#include "api/control/local_time.h"

namespace spantape {

namespace {
constexpr TimeNs kLingerNs = 500 * kNsPerMs;      // media still under way when the BYE is seen
constexpr TimeNs kFirstFrameNs = 200 * kNsPerMs;  // so long a recording may wait for media with nobody asking
}  // namespace

ActiveRecording* CallControl::start_recording(Call& call, TimeNs now_ns, bool partial, const FieldUpdate& update) {
    if (!call.wanted || call.session->ending) return nullptr;
    if (!may_record(space_, call.fields.priority)) {
        outputs_.log("no_space", fmt::format("call {} on device {} is not recorded: the disk is full",
                                             call.fields.global_call_id, call.fields.device_id));
        note_outcome(call, "not recorded: the disk is full");
        call.refused = Shortfall::disk_full;
        drop_media(call);
        return nullptr;
    }
    const std::uint32_t channel = take_channel(call, now_ns);
    if (channel == 0) {
        outputs_.log("no_channel", fmt::format("call {} on device {} is not recorded: all {} channels are in use",
                                               call.fields.global_call_id, call.fields.device_id, options_.channels));
        note_outcome(call, fmt::format("not recorded: all {} channels were in use", options_.channels));
        call.refused = Shortfall::no_channel;
        drop_media(call);
        return nullptr;
    }
    call.recorded = true;
    call.refused.reset();
    auto recording = std::make_unique<ActiveRecording>();
    recording->partial = partial;
    recording->session = call.session;
    recording->kernel_drops_before = outputs_.dropped_by_kernel();
    Recording& fields = recording->fields = call.fields;
    set_fields(update, fields);
    fields.ident = outputs_.next_number("ident");
    fields.session_id = call.session->id;
    fields.state = RecordingState::recording;
    fields.start_ns = now_ns;
    fields.channel = channel;
    fields.filename = filename_for(fields);
    if (!partial) {
        call.fields.ident = fields.ident;
        call.fields.filename = fields.filename;
        call.fields.channel = channel;
    }
    if (!partial) {
        recording->max_duration_ns = call.max_duration_ns;
        recording->max_silence_ns = call.max_silence_ns;
    }
    set_limits(update, *recording);
    call.recordings.push_back(std::move(recording));
    ActiveRecording& started = *call.recordings.back();
    by_priority_[PriorityKey::of(fields)] = call.shared_from_this();
    outputs_.put({document(call, started), false});
    if (call.session->streams.empty())
        without_media_[fields.ident] = call.shared_from_this();
    else
        channels_.set(channel, ChannelState::recording, now_ns);
    if (started.max_silence_ns != 0) watch_silence(*call.session);
    note_outcome(call, fmt::format("recorded as {}", fields.ident));
    publish("RECORDINGSTARTED", call, &started.fields);
    if (call.session->paused) show_pause(call, started, true);
    return &started;
}

// manual: FILENAME; api-decisions: RECORDINGPATH/YYYYMMDD/DEVICE/DEVICE-HH-MM-SS.wav, -2, -3 … if taken.
std::string CallControl::filename_for(const Recording& recording) {
    std::string device = recording.device_id;
    std::replace_if(
        device.begin(), device.end(),
        [](char c) { return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20; }, '_');
    if (device == "." || device == "..") device = "_";
    const std::tm at = local_time(recording.start_ns);
    const std::string base =
        fmt::format("{}/{:04}{:02}{:02}/{}/{}-{:02}-{:02}-{:02}", options_.recording_path, at.tm_year + 1900,
                    at.tm_mon + 1, at.tm_mday, device, device, at.tm_hour, at.tm_min, at.tm_sec);
    // Many calls on one device in one second: the numbers tried before are not tried again.
    if (const TimeNs second = recording.start_ns / kNsPerSecond; std::exchange(names_second_, second) != second)
        next_name_.clear();
    int& number = next_name_.try_emplace(base, 1).first->second;
    for (;; ++number) {
        std::string name = number == 1 ? base + ".wav" : fmt::format("{}-{}.wav", base, number);
        if (name_in_use(recording, name)) continue;
        ++number;
        return name;
    }
}

bool CallControl::name_in_use(const Recording& recording, const std::string& name) const {
    if (outputs_.filename_taken(name)) return true;
    const auto at_device = devices_.find(recording.device_id);
    if (at_device == devices_.end()) return false;
    for (const auto& call : at_device->second.calls)
        for (const auto& other : call->recordings)
            if (other->fields.filename == name) return true;
    return std::any_of(completing_.begin(), completing_.end(),
                       [&](const auto& entry) { return entry.second.filename == name; });
}

// A free channel; with none, that of the recording that has waited longest for its first frame: a flood of calls
// without media must not keep out those that have some; with none of those, one of lower priority. 0: none.
std::uint32_t CallControl::take_channel(const Call& wanted_by, TimeNs now_ns) {
    if (const std::uint32_t channel = channels_.take(now_ns)) return channel;
    if (const std::uint32_t channel = channel_without_media(now_ns)) return channel;
    return pre_empt(wanted_by, now_ns) ? channels_.take(now_ns) : 0;
}

std::uint32_t CallControl::channel_without_media(TimeNs now_ns) {
    if (without_media_.empty()) return 0;
    const auto& [first, holder] = *without_media_.begin();
    const std::uint64_t ident = first;
    const CallPtr call = holder;  // giving way takes it off the list
    const auto recording = std::find_if(call->recordings.begin(), call->recordings.end(),
                                        [&](const auto& one) { return one->fields.ident == ident; });
    if (recording == call->recordings.end() || now_ns - (*recording)->fields.start_ns < kFirstFrameNs) return 0;
    give_way(*call, **recording, now_ns);
    return channels_.take(now_ns);
}

// Of the recordings of the lowest priority, if that is lower than `priority`, the one that began last ends, and leaves
// its channel at once: so the least is lost that was whole until now. What it holds is kept.
// Not one of the same media: to end that would be no gain.
bool CallControl::pre_empt(const Call& wanted_by, TimeNs now_ns) {
    const std::int32_t priority = wanted_by.fields.priority;
    const auto victim =
        std::ranges::find_if(by_priority_, [&](const auto& each) { return each.second->session != wanted_by.session; });
    if (victim == by_priority_.end() || victim->first.priority >= priority) return false;
    const std::uint64_t ident = victim->first.ident;
    const CallPtr call = victim->second;
    const auto at = std::ranges::find(call->recordings, ident, [](const auto& each) { return each->fields.ident; });
    if (at == call->recordings.end()) return false;
    ActiveRecording& recording = **at;
    outputs_.log("pre_empted", fmt::format("recording {} of device {}, of priority {}, gives way to one of priority {}",
                                           ident, call->fields.device_id, recording.fields.priority, priority));
    note_outcome(*call, fmt::format("recording {} gave way to one of priority {}", ident, priority));
    const std::uint32_t channel = recording.fields.channel;
    recording.fields.ended_by = "pre_empted";
    channel_given_.insert(ident);
    stop_recording(*call, recording, now_ns);
    channels_.set(channel, ChannelState::idle, now_ns);
    return true;
}

// The recording ends without media. Its call goes on, and is recorded anew when media comes and a channel is free.
void CallControl::give_way(Call& call, ActiveRecording& recording, TimeNs now_ns) {
    const std::uint64_t ident = recording.fields.ident;
    outputs_.log("gave_way", fmt::format("call {} on device {} has no media yet: its channel goes to another",
                                         call.fields.global_call_id, call.fields.device_id));
    without_media_.erase(ident);
    by_priority_.erase(PriorityKey::of(recording.fields));
    recording.stopped = true;
    recording.fields.stop_ns = std::max(now_ns, recording.fields.start_ns);
    recording.fields.ended_by = "no_media";
    publish("RECORDINGSTOPPED", call, &recording.fields);
    channels_.set(std::exchange(recording.fields.channel, 0), ChannelState::idle, now_ns);
    complete(call, recording, true);  // nothing was stored that a flush would have to wait for
    std::erase_if(call.recordings, [&](const auto& other) { return other->fields.ident == ident; });
}

// The recording takes no more; its document follows when its media is on disk.
void CallControl::stop_recording(Call& call, ActiveRecording& recording, TimeNs now_ns) {
    if (recording.stopped) return;
    without_media_.erase(recording.fields.ident);
    by_priority_.erase(PriorityKey::of(recording.fields));
    recording.stopped = true;
    recording.fields.stop_ns = std::max(now_ns, recording.fields.start_ns);
    recording.fields.dropped_kernel = outputs_.dropped_by_kernel() - recording.kernel_drops_before;
    if (recording.fields.ended_by.empty()) recording.fields.ended_by = call.ended_by;
    channels_.set(recording.fields.channel, ChannelState::finish_recording, now_ns);
    publish("RECORDINGSTOPPED", call, &recording.fields);

    Session& session = *recording.session;
    const auto needs_it = [&](const CallPtr& other) {
        return std::any_of(other->recordings.begin(), other->recordings.end(), [&](const auto& running) {
            return !running->stopped && running->session.get() == &session;
        });
    };
    if (std::none_of(session.calls.begin(), session.calls.end(), needs_it)) {
        end_session(recording.session);  // session_ended() completes it
        return;
    }
    complete(call, recording, false);
    std::erase_if(call.recordings, [&](const auto& other) { return other.get() == &recording; });
}

// The capture ended before the call did, and by its clock, which damage may have put years ahead: then the media
// timeout would have ended the recording, since no two of its frames are further apart. Its streams
// are over and counted.
void CallControl::end_with_its_media(ActiveRecording& recording) const {
    const TimeNs timeout_ns = options_.media_timeout_ns;
    if (timeout_ns <= 0 || !recording.session) return;
    TimeNs last_ns = recording.fields.start_ns;
    std::uint64_t frames = 1;
    for (const Session::Stream& stream : recording.session->streams) {
        last_ns = std::max(last_ns, stream.last_ns);
        frames += stream.counters.stored;
    }
    const TimeNs length_ns = std::min(recording.fields.stop_ns, last_ns + timeout_ns) - recording.fields.start_ns;
    const auto most_frames = static_cast<std::uint64_t>(length_ns / timeout_ns) + 1;
    recording.fields.stop_ns =
        recording.fields.start_ns + (frames < most_frames ? static_cast<TimeNs>(frames) * timeout_ns : length_ns);
}

// Writes the last document. final: its session is over, the writer drains what belongs to it first; otherwise the
// media goes on for others, and a flush makes sure that this recording's part is on disk.
void CallControl::complete(Call& call, ActiveRecording& recording, bool final) {
    if (final && recording.fields.ended_by == kEndOfCapture) end_with_its_media(recording);
    recording.fields.state = RecordingState::stored;
    Recording last = document(call, recording);
    completing_[last.ident] = last;
    const std::uint64_t ident = last.ident;
    outputs_.put({std::move(last), final});
    if (final) return;
    const std::uint64_t token = next_flush_token_++;
    flush_tokens_[token] = {ident};
    if (options_.hold_back_ns == 0) return outputs_.flush(token);
    constexpr TimeNs kClocksApart = 500 * kNsPerMs;  // ours and the writer's, and frames on their way to it
    late_flushes_.push_back({recording.fields.stop_ns + options_.hold_back_ns + kClocksApart, token,
                             recording.session ? recording.session->id : 0});
}

// Its session over, all of a recording was written.
void CallControl::send_late_flushes() {
    std::erase_if(late_flushes_, [this](const LateFlush& late) {
        if (now_ns_ < late.at_ns && sessions_.contains(late.session)) return false;
        outputs_.flush(late.token);
        return true;
    });
}

void CallControl::stored(std::uint64_t ident) {
    const auto done = completing_.extract(ident);
    if (done.empty()) return;
    const Recording& document = done.mapped();
    if (channel_given_.erase(ident) == 0) channels_.set(document.channel, ChannelState::idle, now_ns_);
    assurance_.stored(document);
    EventContext context;
    context.fields = &document;
    context.start_ns = document.start_ns;
    outputs_.publish(event_document("RECORDINGUPDATE", context));
    outputs_.completed(ident);
}

// The writer tells when the shortest MAXRECORDSILENCE of the session's recordings is reached.
void CallControl::watch_silence(Session& session) {
    WatchSilence watch{.session = session.id, .limit_ns = 0, .since_ns = now_ns_, .payloads = {}};
    for (const CallPtr& call : session.calls)
        for (const auto& recording : call->recordings)
            if (!recording->stopped && recording->max_silence_ns != 0 &&
                (watch.limit_ns == 0 || recording->max_silence_ns < watch.limit_ns))
                watch.limit_ns = recording->max_silence_ns;
    if (watch.limit_ns == 0) return;
    for (const auto& offer : session.offers)
        watch.payloads.insert(watch.payloads.end(), offer.payloads.begin(), offer.payloads.end());
    session.silence_watched = true;
    outputs_.command_writer(std::move(watch));
}

void CallControl::session_silent(const SessionSilent& silent) {
    const auto at = sessions_.find(silent.session);
    if (at == sessions_.end()) return;
    const std::shared_ptr<Session> session = at->second;
    const auto calls = session->calls;
    for (const CallPtr& call : calls) {
        const auto due = [&](const auto& each) {
            return !each->stopped && each->max_silence_ns != 0 && now_ns_ - silent.since_ns >= each->max_silence_ns;
        };
        for (auto each = std::ranges::find_if(call->recordings, due); each != call->recordings.end();
             each = std::ranges::find_if(call->recordings, due)) {
            const TimeNs stop_ns = silent.since_ns + (*each)->max_silence_ns;
            (*each)->fields.ended_by = "max_record_silence";
            stop_recording(*call, **each, stop_ns);
        }
    }
    watch_silence(*session);
}

// Fields of a running recording, of which the priority says who gives way.
void CallControl::set_recording_fields(const FieldUpdate& update, ActiveRecording& recording) {
    const PriorityKey before = PriorityKey::of(recording.fields);
    set_fields(update, recording.fields);
    const PriorityKey after = PriorityKey::of(recording.fields);
    if (after == before) return;
    if (auto entry = by_priority_.extract(before)) {
        entry.key() = after;
        by_priority_.insert(std::move(entry));
    }
}

void CallControl::stop_all_of(Call& call, TimeNs now_ns) {
    std::vector<ActiveRecording*> running;
    for (const auto& recording : call.recordings)
        if (!recording->stopped) running.push_back(recording.get());
    for (ActiveRecording* recording : running) stop_recording(call, *recording, now_ns);
}

void CallControl::end_call(Call& call, TimeNs now_ns, const std::string& reason, bool linger) {
    if (!call.active()) return;
    call.stop_ns = std::max(now_ns, call.start_ns);
    call.ended_by = reason;
    --active_calls_;
    note_idle(call);
    publish("CALLSTOP", call, nullptr);
    assure(call);
    end_blackouts(call);
    if (linger && call.recording_now() != nullptr) {
        call.finish_at_ns = now_ns_ + kLingerNs;
        finishing_.push_back(call.shared_from_this());
        for (const auto& recording : call.recordings)
            if (!recording->stopped) channels_.set(recording->fields.channel, ChannelState::finish_recording, now_ns);
        return;
    }
    finish_call(call, call.stop_ns);
}

void CallControl::finish_call(Call& call, TimeNs /*now_ns*/) {
    call.finish_at_ns = 0;
    const auto keep = open_calls_.find(call.number) != open_calls_.end() ? open_calls_[call.number] : nullptr;
    const bool was_recorded = call.recording_now() != nullptr;
    stop_all_of(call, call.stop_ns);
    if (!call.session) {
        open_calls_.erase(call.number);
        return;
    }
    // Never recorded, and nobody else on its media, nor waiting for what is under way: the workers may forget the
    // endpoints.
    const bool others = std::ranges::any_of(call.session->calls, [&](const CallPtr& other) {
        return other.get() != &call && (other->active() || other->recording_now() != nullptr);
    });
    if (!was_recorded && !others) end_session(call.session);
    if (call.recordings.empty()) open_calls_.erase(call.number);
}

// From the next tick on: what signalling and the workers tell of a call comes in bursts.
void CallControl::write_documents(Call& call) {
    if (std::exchange(call.documents_due, true)) return;
    documents_wanted_.push_back(call.shared_from_this());
}

bool CallControl::write_due_document() {
    if (documents_due_.empty()) return false;
    const CallPtr call = std::move(documents_due_.front());
    documents_due_.pop_front();
    call->documents_due = false;
    for (const auto& recording : call->recordings)
        if (!recording->stopped) outputs_.put({document(*call, *recording), false});
    return !documents_due_.empty();
}

}  // namespace spantape
