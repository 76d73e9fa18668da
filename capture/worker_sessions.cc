// SPDX-License-Identifier: AGPL-3.0-or-later
// The worker's work per stream, per decision and per tick: binding streams to sessions, ending them, timeouts.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "capture/worker.h"

namespace spantape {

namespace {

constexpr TimeNs kTickNs = 100 * kNsPerMs;
constexpr TimeNs kLookBackIdleNs = 5 * kNsPerSecond;  // an unclaimed stream without frames is forgotten after it
constexpr TimeNs kTellUnclaimedAgainNs = 10 * kNsPerSecond;
constexpr double kFastestAudioHz = 60'000;            // Opus' 48 kHz, and bursts
constexpr std::size_t kExactStreamsPerSession = 256;  // where they were
constexpr std::size_t kStreamsPerSession = 64;        // of which not both ends were named
constexpr int kRelayReorder = 64;                     // how far apart two copies of one stream may be, packets
constexpr TimeNs kRelayDelayNs = 2 * kNsPerSecond;

bool carries(const Stream& stream, std::uint64_t session) {
    return std::find(stream.session.begin(), stream.session.begin() + stream.sessions, session) !=
           stream.session.begin() + stream.sessions;
}

// A look-back stream is claimed: what it is begins with the oldest frame that its ring kept. The worker is at both ends
// of the ring.
void begin_with_oldest(Stream& stream) {
    RingRecord oldest;
    const auto front = stream.handle.ring.front();
    stream.first_arrival_ns = stream.last_arrival_ns;
    if (front.size() < sizeof oldest) return;
    std::memcpy(&oldest, front.data(), sizeof oldest);
    stream.first_arrival_ns = oldest.arrival_ns;
    stream.tracker.keep_from(oldest.sequence, oldest.timestamp, stream.counters.stored);
    stream.handle.lost_before.store(stream.tracker.lost(), std::memory_order_relaxed);
}

}  // namespace

std::uint32_t Worker::open_stream(const Frame& frame) {
    std::uint32_t slot = pool_.open(frame.key, frame.hash, next_stream_id_);
    if (slot == StreamPool::kNone && evict_look_back()) slot = pool_.open(frame.key, frame.hash, next_stream_id_);
    if (slot == StreamPool::kNone) {
        drop(DropReason::no_stream_slot, frame.source);
        return slot;
    }
    ++next_stream_id_;
    Stream& stream = pool_.at(slot);
    stream.source = frame.source;
    look_back_.admit(slot);
    counters_.streams.add();
    counters_.look_back.add();
    return slot;
}

// Frames leave a look-back ring and nobody has them.
void Worker::drop_held(const Stream& stream, std::uint64_t frames) {
    tally_.held -= frames;
    drop(DropReason::unwatched, stream.source, frames);
}

// What an unclaimed stream kept is of an earlier call on the same ports: it begins anew.
void Worker::forget_frames(Stream& stream) {
    drop_held(stream, stream.counters.stored);
    stream.handle.ring.reset();
    stream.pending_gap = 0;
    stream.tracker = {};
    stream.counters = {};
    stream.jitter = {};
    stream.jitter_mean = {};
    stream.quality = {};
    stream.forget_srtp();
}

// Of an unclaimed stream, what arrived before. It has frames alone on its ring.
void Worker::forget_frames_before(Stream& stream, TimeNs from_ns) {
    RecordRing& ring = stream.handle.ring;
    std::uint64_t forgotten = 0;
    for (RingRecord oldest;; ++forgotten) {
        const auto front = ring.front();
        if (front.size() < sizeof oldest) break;
        std::memcpy(&oldest, front.data(), sizeof oldest);
        if (oldest.arrival_ns >= from_ns) break;
        ring.pop();
    }
    if (forgotten == 0) return;
    if (forgotten == stream.counters.stored) return forget_frames(stream);
    stream.counters.stored -= forgotten;
    drop_held(stream, forgotten);
}

// Gives up one unclaimed stream for a new one.
bool Worker::evict_look_back() {
    const std::uint32_t slot =
        look_back_.victim([this](std::uint32_t other) { return pool_.at(other).last_arrival_ns; });
    if (slot == LookBackQueue::kNone) return false;
    finish_stream(slot);
    return true;
}

// A stream's first frame: does a session know it?
void Worker::bind_new(std::uint32_t slot) {
    const Stream& stream = pool_.at(slot);
    for (const SessionMatch& match : sessions_.match(stream.key)) bind(slot, match, false);
    if (stream.state == StreamState::bound) {
        bind_relay_copies(slot);
        return;
    }
    if (stream.on_trial) return;
    std::uint32_t original = StreamPool::kNone;
    pool_.for_each_claimed(stream.key.ssrc, [&](std::uint32_t other) {
        if (pool_.at(other).state == StreamState::bound && is_relay_copy(stream, pool_.at(other))) original = other;
    });
    if (original == StreamPool::kNone) return;
    const Stream& first = pool_.at(original);
    for (std::size_t i = 0; i < first.sessions; ++i) bind(slot, {first.session[i], first.sender}, true);
}

// Unclaimed streams that turn out to be the other leg of one that was just bound.
void Worker::bind_relay_copies(std::uint32_t slot) {
    const Stream& original = pool_.at(slot);
    pool_.for_each_unclaimed(original.key.ssrc, [&](std::uint32_t other) {
        const Stream& stream = pool_.at(other);
        if (other == slot || stream.state != StreamState::look_back || !is_relay_copy(stream, original)) return;
        for (std::size_t i = 0; i < original.sessions; ++i) bind(other, {original.session[i], original.sender}, true);
    });
}

// The same media on the other leg of a relay: one host in common as receiver of the one and sender of the other, the
// same SSRC, and numbers and time stamps that run together. An echo (the exact reverse flow) is none.
bool Worker::is_relay_copy(const Stream& stream, const Stream& original) const {
    const FlowKey& a = stream.key;
    const FlowKey& b = original.key;
    if (a.ssrc != b.ssrc || a == b) return false;
    if (a.source == b.destination || a.destination == b.source) return false;
    if (a.source.ip != b.destination.ip && a.destination.ip != b.source.ip) return false;
    if (a.source.ip == a.destination.ip) return false;
    const int apart = static_cast<std::int16_t>(stream.tracker.highest() - original.tracker.highest());
    if (std::abs(apart) > kRelayReorder) return false;
    const auto units = static_cast<std::int32_t>(stream.tracker.last_timestamp() - original.tracker.last_timestamp());
    if (std::abs(static_cast<std::int64_t>(units)) > std::int64_t{kRelayReorder} * 960) return false;
    return std::abs(stream.last_arrival_ns - original.last_arrival_ns) < kRelayDelayNs;
}

// Who speaks, where the endpoints alone do not tell: opposite directions between two hosts are opposite parties.
CallParty Worker::refine_sender(const Stream& stream, SessionMatch match) {
    const MediaSession* session = sessions_.find(match.session);
    if (session == nullptr || stream.key.source.ip == stream.key.destination.ip) return match.sender;
    for (const std::uint32_t slot : session->streams) {
        const Stream& other = pool_.at(slot);
        if (other.relay_copy || other.key.source.ip != stream.key.destination.ip ||
            other.key.destination.ip != stream.key.source.ip)
            continue;
        return other.sender == CallParty::caller ? CallParty::callee : CallParty::caller;
    }
    return match.sender;
}

void Worker::bind(std::uint32_t slot, SessionMatch match, bool relay_copy) {
    Stream& stream = pool_.at(slot);
    if (stream.sessions == kSessionsPerStream || carries(stream, match.session)) return;
    MediaSession* session = sessions_.find(match.session);
    if (session == nullptr) return;
    // Anybody can send to a port that a call has named, or forge a sender: a flood must not take all slots.
    if (session->streams.size() >= (match.exact ? kExactStreamsPerSession : kStreamsPerSession)) return;
    const CallParty sender = relay_copy || match.exact ? match.sender : refine_sender(stream, match);
    if (stream.state == StreamState::look_back) {
        // On trial, some session claims its frames already.
        if (session->from_ns != 0 && !stream.on_trial) forget_frames_before(stream, session->from_ns);
        begin_with_oldest(stream);
        stream.first_arrival_ns = std::max(stream.first_arrival_ns, session->from_ns);
    }
    if (!settle_srtp(stream, *session, sender)) {
        look_back_.prove(slot, stream.last_arrival_ns);
        return;
    }
    session->streams.push_back(slot);
    stream.jitter.forget_clock();  // the session may know it
    stream.session[stream.sessions++] = match.session;
    stream.handle.joined(match.session);
    if (stream.state == StreamState::look_back) {
        pool_.claim(slot);
        look_back_.leave(slot);
        stream.sender = sender;
        stream.relay_copy = relay_copy;
        stream.handle.session_id = match.session;
        tally_.held -= stream.counters.stored;
        tally_.stored += stream.counters.stored;
        counters_.look_back.subtract();
        counters_.bound.add();
        // As many places as there are streams: never full.
        [[maybe_unused]] const bool pushed = links_.writer.opened.push(&stream.handle);
    }
    emit({.kind = WorkerEvent::Kind::stream_bound,
          .sender = sender,
          .relay_copy = relay_copy,
          .payload_type = stream.first_payload_type,
          .encryption = stream.encryption(),
          .session = match.session,
          .stream = stream.handle.stream_id,
          .time_ns = stream.first_arrival_ns,
          .flow = stream.key});
}

void Worker::watch(const Decision& decision) {
    sessions_.watch(decision.session, decision.endpoint, decision.party, decision.clocks, decision.srtp);
    if (decision.clocks != PayloadClocks{})
        for (const std::uint32_t slot : sessions_.find(decision.session)->streams) pool_.at(slot).jitter.forget_clock();
    MediaSession* session = sessions_.find(decision.session);
    session->from_ns = std::max(session->from_ns, decision.from_ns);
    if (session->secure) renew_srtp(*session);
    // Streams that were there before the decision.
    std::vector<std::uint32_t> waiting;
    const auto gather = [&](std::uint32_t slot) {
        const Stream& stream = pool_.at(slot);
        if (stream.state != StreamState::look_back && stream.state != StreamState::bound) return;
        const bool anything = stream.counters.stored + stream.counters.undecryptable != 0;
        if (anything && !carries(stream, decision.session)) waiting.push_back(slot);
    };
    if (decision.endpoint.port != 0) {
        pool_.for_each_to(decision.endpoint, gather);
        pool_.for_each_from(decision.endpoint, gather);
    } else {
        for (std::uint32_t slot = 0; slot < pool_.touched(); ++slot)
            if (pool_.at(slot).state == StreamState::look_back) gather(slot);
    }
    for (const std::uint32_t slot : waiting) {
        const Stream& stream = pool_.at(slot);
        const auto matches = sessions_.match(stream.key);
        const bool claimed = stream.state == StreamState::bound;
        if (!claimed && !stream.on_trial && !matches.empty() && now_ns_ - stream.last_arrival_ns > kStaleNs) {
            finish_stream(slot);  // rests of an earlier call on the same ports; a new frame makes a new stream
            continue;
        }
        for (const SessionMatch& match : matches) {
            if (match.session != decision.session) continue;
            // A stream of another session joins this one only when both of its ends were named.
            if (claimed && !match.exact) continue;
            bind(slot, match, false);
            if (!claimed) bind_relay_copies(slot);
        }
    }
}

// The stream is none of `session`'s any more; tells control what it was.
void Worker::leave(std::uint32_t slot, std::uint64_t session) {
    Stream& stream = pool_.at(slot);
    const auto end = stream.session.begin() + stream.sessions;
    const auto at = std::find(stream.session.begin(), end, session);
    if (at == end) return;
    std::copy(at + 1, end, at);
    --stream.sessions;
    stream.counters.lost_before = stream.tracker.lost();
    stream.quality.jitter_known = stream.jitter.measured();
    stream.quality.jitter_us = stream.jitter_mean.us(stream.jitter);
    stream.quality.max_jitter_us = stream.jitter.max_us();
    emit({.kind = WorkerEvent::Kind::stream_left,
          .encryption = stream.encryption(),
          .session = session,
          .stream = stream.handle.stream_id,
          .time_ns = stream.last_arrival_ns,
          .flow = stream.key,
          .counters = stream.counters,
          .quality = stream.quality,
          .extent_units = stream.tracker.extent_units()});
    if (stream.sessions == 0) finish_stream(slot);
}

// The rare frame that did not just follow the last one.
void Worker::note_irregular(Stream& stream, SequenceTracker::Verdict verdict) {
    const std::uint64_t lost_before = stream.handle.lost_before.load(std::memory_order_relaxed);
    const std::uint64_t lost = stream.tracker.lost();
    stream.handle.lost_before.store(lost, std::memory_order_relaxed);
    if (verdict != SequenceTracker::Verdict::gap) return;
    ++stream.quality.loss_bursts;
    capture_loss_.on_gap(stream.handle.slot, stream.handle.stream_id, lost - std::min(lost, lost_before), now_ns_);
}

// Which gaps are the kernel's or the card's doing.
void Worker::explain_gaps() {
    std::uint64_t dropped = 0;
    for (const auto& source : sources_) {
        const SourceCounters counters = source->counters();
        dropped += counters.dropped_kernel + counters.dropped_card + counters.dropped_spread;
    }
    capture_loss_.update(dropped, now_ns_, [this](std::uint32_t slot, std::uint64_t stream_id, std::uint64_t packets) {
        Stream& stream = pool_.at(slot);
        if (stream.handle.stream_id == stream_id) stream.quality.lost_capture += packets;
    });
}

// RTP clock of a payload type: as the stream's sessions say, else by RFC 3551; 0: unknown.
std::uint32_t Worker::clock_rate_hz(const Stream& stream, std::uint8_t payload_type) const {
    for (std::size_t i = 0; i < stream.sessions; ++i)
        if (const std::uint32_t rate_hz = sessions_.clock_rate_hz(stream.session[i], stream.key, payload_type))
            return rate_hz;
    return static_clock_rate_hz(payload_type);
}

void Worker::finish_stream(std::uint32_t slot) {
    Stream& stream = pool_.at(slot);
    pool_.detach(slot);
    if (stream.state == StreamState::look_back) {
        look_back_.leave(slot);
        drop_held(stream, stream.counters.stored);
        counters_.look_back.subtract();
        pool_.release(slot);
        return;
    }
    stream.state = StreamState::closing;
    counters_.bound.subtract();
    counters_.closing.add();
    ends_pending_.push_back(slot);
}

void Worker::push_ends() {
    std::erase_if(ends_pending_, [this](std::uint32_t slot) {
        Stream& stream = pool_.at(slot);
        std::byte* room = stream.handle.ring.reserve(sizeof(RingRecord));
        if (room == nullptr) return false;
        const RingRecord end{
            .kind = RingRecordKind::end, .lost_us = stream.pending_gap, .arrival_ns = stream.last_arrival_ns};
        std::memcpy(room, &end, sizeof end);
        stream.handle.ring.commit();
        return true;
    });
    if (!ends_pending_.empty()) return;
    for (const std::uint64_t session : sessions_ending_)
        emit({.kind = WorkerEvent::Kind::session_ended, .session = session});
    sessions_ending_.clear();
}

void Worker::take_returned() {
    while (const auto handle = links_.writer.returned.pop()) {
        pool_.release((*handle)->slot);
        counters_.closing.subtract();
    }
}

void Worker::end_session(std::uint64_t session) {
    finish_trials(session);
    if (MediaSession* media = sessions_.find(session)) {
        const auto streams = std::move(media->streams);
        sessions_.erase(session);
        for (const std::uint32_t slot : streams)
            if (pool_.at(slot).state == StreamState::bound) leave(slot, session);
    }
    sessions_ending_.push_back(session);
    push_ends();
}

bool Worker::take_decisions() {
    bool any = false;
    while (const auto decision = links_.decisions.pop()) {
        apply(*decision);
        any = true;
    }
    return any;
}

void Worker::apply(const Decision& decision) {
    switch (decision.kind) {
        case Decision::Kind::watch:
            watch(decision);
            if (live_ && decision.cause_ns != 0) counters_.decisions.add(wall_clock_ns() - decision.cause_ns);
            break;
        case Decision::Kind::srtp_key:
            sessions_.add_key(decision.session, decision.endpoint, decision.party, decision.key);
            break;
        case Decision::Kind::end_session:
            end_session(decision.session);
            break;
        case Decision::Kind::sync:
            seen_token_ = std::max(seen_token_, decision.token);
            break;
    }
}

void Worker::advance_clock(TimeNs now_ns, bool lossless) {
    now_ns_ = std::max(now_ns_, now_ns);
    if (now_ns_ - last_tick_ns_ < kTickNs) return;
    if (lossless) append_frames(true);
    const TimeNs passed_ns = std::min(now_ns_ - last_tick_ns_, kNsPerSecond);
    last_tick_ns_ = now_ns_;
    take_returned();
    fragments_.expire(now_ns_);
    count_fragments();
    explain_gaps();
    // All slots are looked at once a second.
    sweep(static_cast<std::uint32_t>(std::uint64_t{pool_.touched()} * static_cast<std::uint64_t>(passed_ns) /
                                     kNsPerSecond) +
          1);
    emit({.kind = WorkerEvent::Kind::tick, .token = lossless ? next_token_++ : 0, .time_ns = now_ns_});
    if (lossless) wait_for_sync();
}

void Worker::sweep(std::uint32_t slots) {
    for (std::uint32_t i = 0; i < std::min(slots, pool_.touched()); ++i) {
        sweep_hand_ = (sweep_hand_ + 1) % pool_.touched();
        const Stream& stream = pool_.at(sweep_hand_);
        if (stream.state == StreamState::look_back && now_ns_ - stream.last_arrival_ns > kLookBackIdleNs)
            stream.on_trial ? finish_trial(sweep_hand_) : finish_stream(sweep_hand_);
        else if (stream.state == StreamState::look_back && now_ns_ >= stream.tell_at_ns)
            tell_unclaimed(sweep_hand_);
        else if (stream.state == StreamState::bound && now_ns_ - stream.last_arrival_ns >= options_.media_timeout_ns)
            sweep_bound(sweep_hand_);
    }
}

// No session claims it: maybe control knows whose it is, all the same.
void Worker::tell_unclaimed(std::uint32_t slot) {
    Stream& stream = pool_.at(slot);
    stream.tell_at_ns = now_ns_ + kTellUnclaimedAgainNs;
    if (stream.on_trial || !look_back_.is_proven(slot) || now_ns_ - stream.last_arrival_ns > kStaleNs) return;
    // Video's clock (RFC 3551 section 5) is far from every audio codec's.
    const auto heard_s = static_cast<double>(stream.last_arrival_ns - stream.first_arrival_ns) / kNsPerSecond;
    if (static_cast<double>(stream.tracker.extent_units()) > kFastestAudioHz * heard_s) return;
    emit({.kind = WorkerEvent::Kind::stream_unclaimed,
          .payload_type = stream.first_payload_type,
          .stream = stream.handle.stream_id,
          .time_ns = stream.first_arrival_ns,
          .flow = stream.key});
}

// A stream of a session fell silent: the whole session may have; else this stream's slot is given back.
void Worker::sweep_bound(std::uint32_t slot) {
    const auto sessions = pool_.at(slot).session;
    const std::size_t count = pool_.at(slot).sessions;
    for (std::size_t i = 0; i < count; ++i) {
        MediaSession* session = sessions_.find(sessions[i]);
        if (session == nullptr) continue;
        TimeNs last_ns = 0;
        for (const std::uint32_t other : session->streams) last_ns = std::max(last_ns, pool_.at(other).last_arrival_ns);
        if (now_ns_ - last_ns >= options_.media_timeout_ns) {
            emit({.kind = WorkerEvent::Kind::session_quiet, .session = sessions[i], .time_ns = last_ns});
        } else {
            std::erase(session->streams, slot);
            leave(slot, sessions[i]);
        }
    }
}

// Once, when all sources are at their end and every frame is on its ring.
bool Worker::announce_end() {
    if (end_announced_ || sources_.empty()) return false;
    for (const auto& source : sources_)
        if (!source->at_end()) return false;
    end_announced_ = true;
    fragments_.give_up();
    count_fragments();
    signal_end();
    emit({.kind = WorkerEvent::Kind::source_ended, .time_ns = now_ns_});
    return true;
}

}  // namespace spantape
