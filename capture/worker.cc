// SPDX-License-Identifier: AGPL-3.0-or-later
// The hot loop: packets in, frames onto rings. What happens once per stream or decision is in worker_sessions.cc.
#include "capture/worker.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "capture/sip/dialogs.h"

namespace spantape {

namespace {

constexpr std::size_t kSignallingRingBytes = 4u << 20;
constexpr std::size_t kDecisionQueue = 1u << 16;
constexpr std::size_t kEventQueue = 1u << 16;
constexpr int kIdleWaitMs = 20;
// How many frames before its own turn a stream, and the place on its ring, are asked for.
constexpr std::size_t kStreamAhead = 16;
constexpr std::size_t kRingAhead = 8;
constexpr std::size_t kPacketAhead = 4;
constexpr std::uint64_t kProbationFrames = 4;  // within its first frames a stream shows that it runs in sequence
constexpr TimeNs kTellUnclaimedAfterNs = 3 * kNsPerSecond;
constexpr std::size_t kMarkRoom = sizeof(RingRecord) + 16;  // a gap mark on the ring, its header and alignment

// Headers and payload: 214 bytes of Ethernet to 20 ms of G.711, not aligned. What is longer the copy runs into in
// order, and the processor asks for it by itself.
void prefetch_packet(const Packet& packet) {
    constexpr std::size_t kBytes = 256;
    const std::size_t bytes = std::min<std::size_t>(packet.captured_bytes, kBytes);
    for (std::size_t at = 0; at < bytes; at += 64) __builtin_prefetch(packet.data + at);
}

// The length of a frame in RTP clock units where the payload tells it: G.711 has a byte a sample (RFC 3551 §4.5.14);
// a one-byte payload is a silence descriptor. L16 has two bytes a sample and channel (§4.5.11).
// `trailer_bytes` of it are SRTP's.
std::uint32_t frame_units(const RtpHeader& header, std::size_t trailer_bytes) {
    const std::size_t payload_bytes = header.payload.size();
    const auto bytes = static_cast<std::uint32_t>(payload_bytes - std::min(payload_bytes, trailer_bytes));
    switch (header.payload_type) {
        case 0:
        case 8:
            return bytes > 1 ? bytes : 0;
        case 10:
            return bytes / 4;
        case 11:
            return bytes / 2;
        case 13:
        case 19:
            return 1;  // comfort noise (RFC 3389): an instant, however long it is to last
        default:
            return 0;
    }
}

// Its header cannot be put together again from what a ring record tells: CSRCs, an extension or padding.
bool is_extraordinary(const RtpHeader& header) { return (header.packet().front() & 0x3f) != 0; }

}  // namespace

WorkerLinks::WorkerLinks(std::size_t streams, Wakeup& control, Wakeup& signalling_thread)
    : decisions(kDecisionQueue),
      events(kEventQueue),
      writer(streams),
      control_wakeup(control),
      signalling_wakeup(signalling_thread),
      signalling_memory_(kSignallingRingBytes) {
    signalling.attach(signalling_memory_);
}

std::uint64_t accounted(const WorkerCounters& counters) {
    std::uint64_t sum = counters.stored.get() + counters.held.get() + counters.sip_messages.get() +
                        counters.sip_segments.get() + counters.rtcp_reports.get() + counters.fragments_held.get();
    for (const Counter& dropped : counters.drops) sum += dropped.get();
    return sum;
}

Worker::Worker(WorkerOptions options, std::vector<std::unique_ptr<Source>> sources, WorkerLinks& links)
    : options_(std::move(options)),
      sources_(std::move(sources)),
      links_(links),
      pool_(options_.number, options_.max_streams, options_.ring_bytes),
      look_back_(options_.max_streams),
      tcp_filter_(options_.sip_ports),
      next_stream_id_(options_.first_stream_id),
      clear_payload_(options_.ring_bytes),
      kept_packet_(options_.ring_bytes),
      live_(std::ranges::any_of(sources_, [](const auto& source) { return !source->lossless(); })) {
    kept_.reserve(options_.ring_bytes);
}

bool Worker::step() {
    flush_events();
    bool worked = take_decisions();
    take_returned();
    const bool by_wall_clock = live_ || sources_.empty();
    TimeNs reached_ns = by_wall_clock ? wall_clock_ns() : 0;
    for (const auto& source : sources_) {
        const std::size_t count = source->poll(burst_);
        if (count == 0) continue;
        // A full burst may have others of its time behind it.
        if (count == burst_.size()) reached_ns = std::min(reached_ns, burst_.back().time_ns);
        process(std::span(burst_).first(count), source->lossless());
        worked = true;
    }
    if (by_wall_clock) advance_clock(reached_ns, false);
    if (!ends_pending_.empty()) push_ends();
    publish_tally();
    return announce_end() || worked;
}

void Worker::run(const std::atomic<bool>& stop) {
    stop_ = &stop;
    TimeNs turn_began_ns = monotonic_ns();
    while (!stop.load(std::memory_order_relaxed)) {
        const bool worked = step();
        const TimeNs worked_until_ns = monotonic_ns();
        if (worked) {
            counters_.busy_ns.add(static_cast<std::uint64_t>(worked_until_ns - turn_began_ns));
            turn_began_ns = worked_until_ns;
            continue;
        }
        // One source's descriptor can be waited on together with the wakeup; more are polled every few milliseconds.
        const int fd = sources_.size() == 1 ? sources_.front()->wait_fd() : -1;
        const bool quick = sources_.size() > 1 || (sources_.size() == 1 && fd < 0 && !sources_.front()->at_end());
        links_.worker_wakeup.wait(quick ? 1 : kIdleWaitMs, [this] { return links_.decisions.empty(); }, fd);
        const TimeNs woke_ns = monotonic_ns();
        counters_.idle_ns.add(static_cast<std::uint64_t>(woke_ns - turn_began_ns));
        turn_began_ns = woke_ns;
    }
    fragments_.give_up();
    count_fragments();
}

void Worker::process(std::span<const Packet> burst, bool lossless) {
    counters_.packets.add(burst.size());
    frame_count_ = 0;
    fragments_.release();
    for (std::size_t i = 0; i < burst.size(); ++i) {
        if (i + kPacketAhead < burst.size()) prefetch_packet(burst[i + kPacketAhead]);
        if (lossless) advance_clock(burst[i].time_ns, true);
        classify(burst[i], lossless);
    }
    append_frames(lossless);
    count_fragments();
}

void Worker::count_fragments() {
    const Fragments::Settled settled = fragments_.take_settled();
    counters_.drops[static_cast<std::size_t>(DropReason::fragment_joined)].add(settled.joined);
    counters_.drops[static_cast<std::size_t>(DropReason::fragment_incomplete)].add(settled.incomplete);
    counters_.fragments_held.subtract(settled.joined + settled.incomplete);
}

void Worker::classify(const Packet& packet, bool lossless) {
    Datagram datagram;
    const DropReason reason = decode_datagram(packet, datagram, &fragments_);
    if (reason != DropReason::none) {
        if (reason == DropReason::held)
            counters_.fragments_held.add();
        else
            drop(reason, packet.source);
        return;
    }
    classify_datagram(datagram, lossless);
}

void Worker::classify_datagram(const Datagram& datagram, bool lossless) {
    if (datagram.transport == Transport::tcp) [[unlikely]]
        return classify_segment(datagram, lossless);
    if (frame_count_ == frames_.size()) append_frames(lossless);
    Frame& frame = frames_[frame_count_];
    const RtpParse parsed = parse_rtp(datagram.payload, frame.header);
    switch (parsed) {
        case RtpParse::ok:
        case RtpParse::bad_padding:
            frame.bad_padding = parsed == RtpParse::bad_padding;
            frame.key = {datagram.source, datagram.destination, frame.header.ssrc};
            frame.hash = hash_of(frame.key);
            frame.time_ns = datagram.time_ns;
            frame.source = datagram.source_index;
            pool_.prefetch(frame.hash);
            ++frame_count_;
            return;
        case RtpParse::rtcp:
            take_rtcp(datagram);
            return;
        case RtpParse::malformed:
            drop(DropReason::bad_rtp, datagram.source_index);
            return;
        case RtpParse::not_rtp:
            break;
    }
    const auto is_sip_port = [this](std::uint16_t port) {
        return std::find(options_.sip_ports.begin(), options_.sip_ports.end(), port) != options_.sip_ports.end();
    };
    const bool printable =
        !datagram.payload.empty() && datagram.payload.front() >= 0x20 && datagram.payload.front() < 0x7f;
    if (looks_like_sip(datagram.payload) ||
        (printable && (is_sip_port(datagram.source.port) || is_sip_port(datagram.destination.port)))) {
        if (lossless) append_frames(true);  // in order: what came before the message is on its rings first
        forward_sip(datagram, lossless);
        return;
    }
    drop(DropReason::not_rtp, datagram.source_index);
}

void Worker::classify_segment(const Datagram& segment, bool lossless) {
    if (!tcp_filter_.wants(segment)) return drop(DropReason::tcp, segment.source_index);
    if (lossless) append_frames(true);  // in order, as with a datagram
    forward_sip(segment, lossless);
}

// A frame waits for memory three times: for its place in the table, for its stream, and for where the stream's ring
// stands. Each is asked for while the frames before are worked on.
void Worker::append_frames(bool lossless) {
    counters_.frames.add(frame_count_);
    const std::uint64_t version = pool_.version();
    for (std::size_t i = 0; i < frame_count_ + kStreamAhead; ++i) {
        if (i < frame_count_) pool_.prefetch_stream(frames_[i].hash);
        if (i >= kStreamAhead - kRingAhead && i - (kStreamAhead - kRingAhead) < frame_count_)
            look_up(frames_[i - (kStreamAhead - kRingAhead)]);
        if (i < kStreamAhead) continue;
        const Frame& frame = frames_[i - kStreamAhead];
        std::uint32_t slot = frame.slot;
        // A frame before this one opened its stream, or took its slot for another.
        if (slot == StreamPool::kNone || pool_.version() != version) slot = pool_.find(frame.key, frame.hash);
        if (slot == StreamPool::kNone && frame.bad_padding) {  // nothing speaks for its being RTP at all
            drop(DropReason::bad_rtp, frame.source);
            continue;
        }
        if (slot == StreamPool::kNone) slot = open_stream(frame);
        if (slot != StreamPool::kNone) append(slot, frame, lossless);
    }
    frame_count_ = 0;
    publish_tally();
}

void Worker::publish_tally() {
    counters_.stored.add(tally_.stored);
    counters_.held.add(tally_.held);
    tally_ = {};
}

void Worker::look_up(Frame& frame) {
    frame.slot = pool_.find(frame.key, frame.hash);
    if (frame.slot == StreamPool::kNone) return;
    Stream& stream = pool_.at(frame.slot);
    stream.tracker.prefetch(frame.header.sequence);
    stream.handle.ring.prefetch(sizeof(RingRecord) + frame.header.payload.size());
}

void Worker::append(std::uint32_t slot, const Frame& frame, bool lossless) {
    Stream& stream = pool_.at(slot);
    const bool look_back = stream.state == StreamState::look_back;
    if (look_back && !stream.on_trial && frame.time_ns - stream.last_arrival_ns > kStaleNs) forget_frames(stream);
    const RtpHeader& header = frame.header;
    if (frame.bad_padding && !look_back && stream.srtp_mode == SrtpMode::clear) [[unlikely]]
        return drop(DropReason::bad_rtp, frame.source);
    const std::size_t trailer_bytes = stream.srtp_mode == SrtpMode::clear ? 0 : stream.srtp.trailer_bytes();
    const std::uint32_t units = header.timestamp - stream.tracker.last_timestamp();
    const auto verdict = stream.tracker.on_frame(header.sequence, header.timestamp, frame_units(header, trailer_bytes));
    if (verdict == SequenceTracker::Verdict::duplicate) {
        stream.handle.duplicates.store(++stream.counters.duplicates, std::memory_order_relaxed);
        drop(DropReason::duplicate, frame.source);
        return;
    }
    measure(stream, frame, verdict, units);
    stream.last_arrival_ns = frame.time_ns;
    std::span<const std::uint8_t> payload = header.payload;
    const bool whole_packet = look_back && is_extraordinary(header);
    if (whole_packet) [[unlikely]] {
        payload = header.packet();
        stream.whole_packets = true;
    } else if (!look_back && stream.srtp_mode != SrtpMode::clear) [[unlikely]] {
        if (!keep_payload(stream, header, frame.bad_padding, payload)) return;
    }
    const std::size_t bytes = sizeof(RingRecord) + payload.size();
    if (bytes + kMarkRoom > options_.ring_bytes / 2 - sizeof(std::uint64_t)) {
        ++stream.counters.dropped_us;
        ++stream.pending_gap;
        drop(DropReason::oversized, frame.source);
        return;
    }
    std::byte* room = make_room(stream, bytes, lossless);
    if (room == nullptr) {
        ++stream.counters.dropped_us;
        ++stream.pending_gap;
        drop(DropReason::ring_full, frame.source);
        return;
    }
    const RingRecord record{.kind = RingRecordKind::frame,
                            .payload_type = header.payload_type,
                            .marker = header.marker,
                            .whole_packet = whole_packet,
                            .sequence = header.sequence,
                            .payload_bytes = static_cast<std::uint16_t>(payload.size()),
                            .timestamp = header.timestamp,
                            .arrival_ns = frame.time_ns};
    std::memcpy(room, &record, sizeof record);
    std::memcpy(room + sizeof record, payload.data(), payload.size());
    stream.handle.ring.commit();
    ++stream.counters.stored;
    stream.counters.payload_bytes += payload.size();
    if (!look_back)
        ++tally_.stored;
    else
        keep_unclaimed(slot, frame);
}

// A stream of no call took a frame: maybe a call knows it.
void Worker::keep_unclaimed(std::uint32_t slot, const Frame& frame) {
    Stream& stream = pool_.at(slot);
    const std::uint64_t frames = stream.counters.stored;
    ++tally_.held;
    if (frames == 1) {
        stream.first_payload_type = frame.header.payload_type;
        stream.first_arrival_ns = frame.time_ns;
        stream.tell_at_ns = frame.time_ns + kTellUnclaimedAfterNs;
    }
    if (frames == 1 || stream.on_trial) return bind_new(slot);
    if (frames <= kProbationFrames && stream.tracker.lost() < frames &&
        stream.tracker.highest() == frame.header.sequence)
        look_back_.prove(slot, frame.time_ns);
}

// The payload to store of a frame; false: none, and the frame is counted.
bool Worker::keep_payload(Stream& stream, const RtpHeader& header, bool bad_padding,
                          std::span<const std::uint8_t>& payload) {
    if (stream.srtp_mode != SrtpMode::clear && decrypt(stream, header, payload)) return true;
    if (stream.srtp_mode == SrtpMode::required) {
        ++stream.counters.undecryptable;
        drop(DropReason::srtp_failed, stream.source);
        return false;
    }
    payload = header.payload;
    if (bad_padding) drop(DropReason::bad_rtp, stream.source);
    return !bad_padding;
}

// Jitter, by how far the frame's time stamp (`units`) and arrival follow those of the last frame.
void Worker::measure(Stream& stream, const Frame& frame, SequenceTracker::Verdict verdict, std::uint32_t units) {
    using Verdict = SequenceTracker::Verdict;
    const std::uint8_t payload_type = frame.header.payload_type;
    if (verdict != Verdict::store) [[unlikely]] {
        note_irregular(stream, verdict);
        if (verdict != Verdict::gap) return stream.jitter.interrupt();
    }
    if (!stream.jitter.knows(payload_type)) [[unlikely]]
        stream.jitter.clock_is(payload_type, clock_rate_hz(stream, payload_type));
    if (stream.jitter.on_frame(units, stream.last_arrival_ns, frame.time_ns, frame.header.marker))
        stream.jitter_mean.add(stream.jitter);
}

// Room for a record of `bytes` on the stream's ring, after a word to the writer of frames dropped before; nullptr:
// full.
std::byte* Worker::make_room(Stream& stream, std::size_t bytes, bool lossless) {
    RecordRing& ring = stream.handle.ring;
    for (int attempt = 0;; ++attempt) {
        // The mark only together with the frame behind it: a nearly full ring is not filled up with marks.
        // A look-back ring has frames only, so that what gives way is one; the mark waits for the stream to be bound.
        const bool unclaimed = stream.state == StreamState::look_back;
        if (stream.pending_gap != 0 && !unclaimed && ring.reserve(bytes + kMarkRoom) != nullptr) {
            const RingRecord gap{
                .kind = RingRecordKind::gap, .lost_us = stream.pending_gap, .arrival_ns = stream.last_arrival_ns};
            std::memcpy(ring.reserve(sizeof gap), &gap, sizeof gap);
            ring.commit();
            stream.pending_gap = 0;
        }
        const bool full = unclaimed && options_.look_back_bytes != 0 && !ring.front().empty() &&
                          ring.used_bytes() + bytes > options_.look_back_bytes;
        if (!full && (stream.pending_gap == 0 || unclaimed))
            if (std::byte* room = ring.reserve(bytes)) return room;
        if (unclaimed) {  // nobody else reads it: the oldest frame gives way
            if (ring.front().empty()) return nullptr;
            ring.pop();
            --stream.counters.stored;
            drop_held(stream, 1);
            continue;
        }
        if (!lossless || stop_ == nullptr || stop_->load(std::memory_order_relaxed)) return nullptr;
        std::this_thread::sleep_for(std::chrono::microseconds(attempt < 10 ? 50 : 500));  // a file waits for the disk
    }
}

void Worker::forward_sip(const Datagram& datagram, bool lossless) {
    const bool segment = datagram.transport == Transport::tcp;
    const SignallingRecord record{.kind = segment ? SignallingRecord::Kind::segment : SignallingRecord::Kind::datagram,
                                  .tcp_flags = datagram.tcp_flags,
                                  .tcp_sequence = datagram.tcp_sequence,
                                  .time_ns = datagram.time_ns,
                                  .source = datagram.source,
                                  .destination = datagram.destination};
    if (!signal(record, datagram.payload, lossless)) return drop(DropReason::signalling_full, datagram.source_index);
    (segment ? counters_.sip_segments : counters_.sip_messages).add();
    if (lossless) wait_for_sync();
}

// False: the ring is full.
bool Worker::signal(SignallingRecord record, std::span<const std::uint8_t> payload, bool lossless) {
    const std::size_t bytes = sizeof record + payload.size();
    std::byte* room = links_.signalling.reserve(bytes);
    while (room == nullptr && lossless) {
        links_.signalling_wakeup.notify();
        std::this_thread::yield();
        room = links_.signalling.reserve(bytes);
    }
    if (room == nullptr) return false;
    if (lossless) record.token = next_token_++;
    std::memcpy(room, &record, sizeof record);
    if (!payload.empty()) std::memcpy(room + sizeof record, payload.data(), payload.size());
    links_.signalling.commit();
    links_.signalling_wakeup.notify();
    return true;
}

// Messages behind a segment that a file lacks have waited for it long enough.
void Worker::signal_end() {
    const bool lossless =
        std::all_of(sources_.begin(), sources_.end(), [](const auto& source) { return source->lossless(); });
    if (signal({.kind = SignallingRecord::Kind::end, .time_ns = now_ns_}, {}, lossless) && lossless) wait_for_sync();
}

// Packets of a file wait until control has seen what the last message or tick caused: recording a file gives the same
// result however fast it is read.
void Worker::wait_for_sync() {
    const std::uint64_t token = next_token_ - 1;
    while (seen_token_ < token) {
        flush_events();
        if (take_decisions()) continue;
        if (stop_ == nullptr || stop_->load(std::memory_order_relaxed)) return;
        links_.worker_wakeup.wait(kIdleWaitMs, [this] { return links_.decisions.empty(); });
    }
}

void Worker::emit(WorkerEvent event) {
    event.worker = options_.number;
    if (!events_waiting_.empty() || !links_.events.push(std::move(event))) events_waiting_.push_back(event);
    links_.control_wakeup.notify();
}

void Worker::flush_events() {
    while (!events_waiting_.empty() && links_.events.push(WorkerEvent(events_waiting_.front())))
        events_waiting_.pop_front();
}

}  // namespace spantape
