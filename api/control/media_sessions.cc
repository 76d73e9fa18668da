// SPDX-License-Identifier: AGPL-3.0-or-later
// Media sessions: what is watched for, what was found, and how it goes into a recording's document.
#include <algorithm>

#include "api/control/call_control.h"
#include "capture/sip/sdp.h"

namespace spantape {

namespace {

constexpr TimeNs kFrameNs = 20 * kNsPerMs;  // the usual frame, where a stream's last one is to be counted in

std::uint32_t clock_rate_of(const Session::Stream& stream) {
    return stream.payloads.empty() ? 8000 : stream.payloads.front().clock_rate_hz;
}

// What workers cannot know by themselves: the clocks of steady audio that RFC 3551 does not give.
PayloadClocks clocks_of(const std::vector<PayloadMapping>& payloads) {
    PayloadClocks clocks;
    for (const PayloadMapping& payload : payloads)
        if (is_audio(payload) && payload.clock_rate_hz != static_clock_rate_hz(payload.payload_type))
            clocks.set(payload.payload_type, payload.clock_rate_hz);
    return clocks;
}

}  // namespace

std::shared_ptr<Session> CallControl::open_session() {
    auto session = std::make_shared<Session>();
    session->id = outputs_.next_number("session");
    session->watched_ns = now_ns_;
    sessions_[session->id] = session;
    return session;
}

void CallControl::watch(Session& session, const Endpoint& endpoint, CallParty party) {
    outputs_.decide({.kind = Decision::Kind::watch,
                     .party = party,
                     .session = session.id,
                     .endpoint = endpoint,
                     .from_ns = session.from_ns,
                     .cause_ns = cause_ns_});
}

// Keys go by: the workers alone keep them.
void CallControl::watch(Session& session, const MediaDescription& description) {
    if (options_.mask_dtmf)
        outputs_.command_writer(EndpointPayloads{session.id, description.endpoint, description.payloads});
    for (const SrtpKey& key : description.srtp_keys)
        outputs_.decide({.kind = Decision::Kind::srtp_key,
                         .party = description.party,
                         .session = session.id,
                         .endpoint = description.endpoint,
                         .key = key});
    outputs_.decide({.kind = Decision::Kind::watch,
                     .party = description.party,
                     .session = session.id,
                     .endpoint = description.endpoint,
                     .from_ns = session.from_ns,
                     .cause_ns = cause_ns_,
                     .clocks = clocks_of(description.payloads),
                     .srtp = description.srtp_profile});
}

void CallControl::stream_bound(Session& session, const WorkerEvent& event) {
    session.streams.push_back({.stream_id = event.stream,
                               .flow = event.flow,
                               .sender = event.sender,
                               .relay_copy = event.relay_copy,
                               .first_payload_type = event.payload_type,
                               .encryption = event.encryption,
                               .start_ns = event.time_ns,
                               .last_ns = event.time_ns});
    session.quiet_since_report.try_emplace(event.worker, 0);
    session.last_media_ns = std::max(session.last_media_ns, event.time_ns);
    assign_payloads(session);
    const auto calls = session.calls;
    for (const CallPtr& call : calls) {
        for (const auto& recording : call->recordings)
            if (without_media_.erase(recording->fields.ident) != 0 && !session.paused)
                channels_.set(recording->fields.channel, ChannelState::recording, now_ns_);
        // Early media: the recording begins with it, not only with the answer.
        if (call->recordings.empty() && call->active() && (call->answer_ns != 0 || options_.record_unanswered))
            start_recording(*call, event.time_ns, false);
        for (const auto& recording : call->recordings)
            if (!recording->partial && !recording->stopped)
                recording->fields.start_ns = std::min(recording->fields.start_ns, event.time_ns);
        // It ends no earlier than it begins; and the clock of a damaged capture may have been years ahead then.
        call->start_ns = std::min(call->start_ns, event.time_ns);
        write_documents(*call);
    }
}

void CallControl::stream_left(Session& session, const WorkerEvent& event) {
    for (Session::Stream& stream : session.streams) {
        if (stream.stream_id != event.stream) continue;
        stream.counters = event.counters;
        stream.quality = event.quality;
        stream.encryption = event.encryption;
        stream.extent_units = event.extent_units;
        stream.last_ns = event.time_ns;
        session.last_media_ns = std::max(session.last_media_ns, event.time_ns);
    }
}

// What the payload numbers of each stream mean: as the receiver's description says; what it lacks, as the sender's.
void CallControl::assign_payloads(Session& session) {
    for (Session::Stream& stream : session.streams) {
        const auto take = [&](bool receiver, bool exact) {
            for (const Session::Offer& offer : session.offers) {
                if ((offer.party != stream.sender) != receiver) continue;
                if (exact && offer.endpoint != (receiver ? stream.flow.destination : stream.flow.source)) continue;
                for (const PayloadMapping& mapping : offer.payloads) {
                    const bool known =
                        std::any_of(stream.payloads.begin(), stream.payloads.end(),
                                    [&](const auto& old) { return old.payload_type == mapping.payload_type; });
                    if (!known) stream.payloads.push_back(mapping);
                }
            }
        };
        take(true, true);
        take(false, true);
        take(true, false);
        take(false, false);
        // The type that the stream began with comes first: it names the stream's codec.
        auto first = std::find_if(stream.payloads.begin(), stream.payloads.end(), [&](const PayloadMapping& mapping) {
            return mapping.payload_type == stream.first_payload_type;
        });
        if (first != stream.payloads.end())
            std::rotate(stream.payloads.begin(), first, first + 1);
        else if (const auto fixed = static_payload(stream.first_payload_type))
            stream.payloads.insert(stream.payloads.begin(), *fixed);
    }
}

void CallControl::end_session(const std::shared_ptr<Session>& session) {
    if (session->ending) return;
    session->ending = true;
    session->answers_missing = options_.workers;
    for (const Session::Stream& stream : session->streams) explained_media_.refuse(stream.flow, now_ns_);
    forget_by_media(*session);
    outputs_.decide({.kind = Decision::Kind::end_session, .session = session->id});
}

// All of the session's media is on the rings, ended: what was recorded from it can be completed.
void CallControl::session_ended(const std::shared_ptr<Session>& session) {
    sessions_.erase(session->id);
    if (!session->blackouts.empty() || options_.mask_dtmf || session->silence_watched)
        outputs_.command_writer(SessionOver{session->id});
    const auto calls = std::move(session->calls);
    session->calls.clear();
    for (const CallPtr& call : calls)
        for (const auto& recording : call->recordings)
            if (recording->stopped && recording->session == session &&
                recording->fields.state == RecordingState::recording) {
                // Media behind the BYE is part of the recording; its last frame lasts a while yet.
                if (!recording->partial && recording->fields.ended_by != "api" &&
                    recording->fields.ended_by != "max_record_time" &&
                    recording->fields.ended_by != "max_record_silence" && recording->fields.ended_by != "pre_empted")
                    recording->fields.stop_ns = std::max(recording->fields.stop_ns, session->last_media_ns + kFrameNs);
                complete(*call, *recording, true);
            }
    for (const CallPtr& call : calls) {
        std::erase_if(call->recordings, [&](const auto& recording) {
            return recording->stopped && recording->fields.state == RecordingState::stored;
        });
        if (!call->active() && call->recordings.empty()) open_calls_.erase(call->number);
    }
}

Recording CallControl::document(const Call& call, const ActiveRecording& recording) {
    Recording document = recording.fields;
    document.streams.clear();
    if (!recording.session) return document;
    std::vector<BlackoutWindow> windows;
    for (const auto& [id, window] : recording.session->blackouts)
        windows.push_back({std::max(window.from_ns, document.start_ns),
                           document.stop_ns == 0 ? window.to_ns : std::min(window.to_ns, document.stop_ns)});
    document.blackouts = merged(std::move(windows));
    document.redacted = recording.session->redacted;
    for (const Session::Stream& stream : recording.session->streams) {
        if (document.stop_ns != 0 && stream.start_ns >= document.stop_ns) continue;
        if (stream.extent_units != 0 && stream.last_ns + kFrameNs < document.start_ns)
            continue;  // over before it began
        RecordedStream recorded{.stream_id = stream.stream_id,
                                .flow = stream.flow,
                                .side = stream.sender == call.device_party ? Side::device : Side::far,
                                .relay_copy = stream.relay_copy,
                                .encryption = stream.encryption,
                                .payloads = stream.payloads,
                                .start_ns = stream.start_ns,
                                .counters = stream.counters,
                                .quality = stream.quality};
        recorded.duration_ns = static_cast<TimeNs>(static_cast<double>(stream.extent_units) / clock_rate_of(stream) *
                                                   static_cast<double>(kNsPerSecond));
        document.streams.push_back(std::move(recorded));
    }
    return document;
}

}  // namespace spantape
