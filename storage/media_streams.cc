// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/media_streams.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>

namespace spantape {

namespace {

constexpr std::size_t kSliceStreams = 4096;     // looked at in one call, so that commands do not wait for all streams
constexpr TimeNs kSweepBaseNs = kNsPerMs;       // a sweep over n streams is worth this much pause …
constexpr TimeNs kSweepStreamNs = 200;          // … and this a stream: 20 ms for 100,000
constexpr std::size_t kPrefetchBytes = 1024;    // on a ring, ahead of what is taken
constexpr std::size_t kClosedSeals = 262'144;   // likewise, their seals; some 100 bytes each
constexpr std::size_t kClosedLeftOut = 16'384;  // ended streams whose documents are still corrected

std::uint64_t random_u64() {
    std::random_device source;
    return std::uint64_t{source()} << 32 | source();
}

void check_record_fits(const RingRecord& record, std::size_t bytes) {
    if (sizeof record + record.payload_bytes <= bytes) return;
    fmt::print(stderr, "media writer: a ring record of {} bytes claims {} of payload\n", bytes, record.payload_bytes);
    std::abort();
}

}  // namespace

MediaStreams::MediaStreams(const MediaWriterOptions& options, SegmentWriter& segments, Keyring* keyring,
                           std::vector<WorkerToWriter*> workers, MediaWriterCounters& counters,
                           std::function<void(const ChunkEntry&)> on_chunk)
    : options_(options),
      drain_ns_(options.flush_ns * 2 / 5),
      segments_(segments),
      keyring_(keyring),
      nonce_salt_(random_u64()),
      workers_(std::move(workers)),
      returning_(workers_.size()),
      counters_(counters),
      on_chunk_(std::move(on_chunk)),
      silence_square_(std::pow(32768 * std::pow(10, options.silence_dbov / 20), 2)) {}

bool MediaStreams::take_opened(TimeNs now) {
    now_ = now;
    bool any = false;
    for (std::uint32_t worker = 0; worker < workers_.size(); ++worker) {
        while (auto handle = workers_[worker]->opened.pop()) {
            add_stream(**handle, worker);
            any = true;
        }
    }
    return any;
}

void MediaStreams::add_stream(StreamHandle& handle, std::uint32_t worker) {
    std::uint32_t slot = static_cast<std::uint32_t>(streams_.size());
    if (!free_slots_.empty()) {
        slot = free_slots_.back();
        free_slots_.pop_back();
    } else {
        streams_.emplace_back();
    }
    Stream& stream = streams_[slot];
    stream = Stream{};
    stream.handle = &handle;
    if (options_.mask_dtmf) stream.dtmf = std::make_unique<Dtmf>();
    stream.worker = worker;
    stream.drained_ns = now_;
    stream.key_durable = keyring_ == nullptr;
    const auto [first, added] = sessions_.try_emplace(handle.session_id, slot);
    if (!added) {
        stream.next_in_session = first->second;
        streams_[first->second].previous_in_session = slot;
        first->second = slot;
    }
    ++open_streams_;
}

void MediaStreams::close_stream(std::uint32_t slot) {
    Stream& stream = streams_[slot];
    if (stream.tapped) forget_tapped(slot);
    if (stream.next_in_session != kNone) {
        streams_[stream.next_in_session].previous_in_session = stream.previous_in_session;
    }
    if (stream.previous_in_session != kNone) {
        streams_[stream.previous_in_session].next_in_session = stream.next_in_session;
    } else if (stream.next_in_session != kNone) {
        sessions_[stream.handle->session_id] = stream.next_in_session;
    } else {
        sessions_.erase(stream.handle->session_id);
    }
    if (stream.counters.blacked_out != 0) {
        closed_left_out_.push_back(stream.handle->stream_id);
        if (closed_left_out_.size() > kClosedLeftOut) {
            left_out_.erase(closed_left_out_.front());
            closed_left_out_.pop_front();
        }
    }
    closed_seals_[stream.handle->stream_id] = stream.seal;
    closed_order_.push_back(stream.handle->stream_id);
    if (closed_order_.size() > kClosedSeals) {
        closed_seals_.erase(closed_order_.front());
        closed_order_.pop_front();
    }
    returning_[stream.worker].push_back(stream.handle);
    stream.handle = nullptr;
    if (!rules_.empty()) forget_windows(std::exchange(stream.sessions, {}));
    free_slots_.push_back(slot);
    --open_streams_;
    hand_back();
}

bool MediaStreams::hand_back() {
    bool any = false;
    for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
        auto& waiting = returning_[worker];
        while (!waiting.empty()) {
            StreamHandle* handle = waiting.front();
            if (!workers_[worker]->returned.push(std::move(handle))) break;
            waiting.pop_front();
            any = true;
        }
    }
    return any;
}

bool MediaStreams::waits_to_hand_back() const {
    return std::ranges::any_of(returning_, [](const auto& handles) { return !handles.empty(); });
}

bool MediaStreams::has_opened() const {
    return std::ranges::any_of(workers_, [](const WorkerToWriter* worker) { return !worker->opened.empty(); });
}

bool MediaStreams::anything_on_rings() const {
    return std::ranges::any_of(streams_, [](const Stream& stream) {
        return stream.handle != nullptr && stream.handle->ring.used_bytes() > 0;
    });
}

void MediaStreams::Walk::note(std::size_t used, std::size_t capacity) {
    ++rings;
    used_bytes += used;
    capacity_bytes += capacity;
    fullest_permille = std::max<std::uint64_t>(fullest_permille, used * 1000 / capacity);
    // Full to the brim belongs to the last step, exactly an eighth to the first.
    ++by_fill[used == 0 ? 0 : std::min((used * RingFill::kSteps - 1) / capacity, RingFill::kSteps - 1)];
}

void MediaStreams::publish_walk() {
    RingFill& fill = counters_.ring_fill;
    fill.rings.set(walk_.rings);
    fill.used_bytes.set(walk_.used_bytes);
    fill.capacity_bytes.set(walk_.capacity_bytes);
    fill.fullest_permille.set(walk_.fullest_permille);
    fill.worst_permille.set(std::max(fill.worst_permille.get(), walk_.fullest_permille));
    for (std::size_t step = 0; step < RingFill::kSteps; ++step) fill.by_fill[step].set(walk_.by_fill[step]);
    walk_ = {};
}

Result<bool> MediaStreams::sweep(TimeNs now, bool all) {
    now_ = now;
    read_clock();
    if (cursor_ == 0) {
        const TimeNs pause = kSweepBaseNs + kSweepStreamNs * static_cast<TimeNs>(open_streams_);
        if (open_streams_ == 0 && counters_.ring_fill.rings.get() != 0) publish_walk();
        if (open_streams_ == 0 || (!hot_ && !all && now_ - swept_ns_ < pause)) return false;
        swept_ns_ = now_;
        hot_ = false;
        waits_for_keys_ = false;
    }
    const std::size_t end = std::min(cursor_ + kSliceStreams, streams_.size());
    bool worked = false;
    for (; cursor_ < end; ++cursor_) {
        Stream& stream = streams_[cursor_];
        if (stream.handle == nullptr) continue;
        const RecordRing& ring = stream.handle->ring;
        const std::size_t used = ring.used_bytes();
        walk_.note(used, ring.capacity_bytes());
        if (!taps_.empty()) note_tapped(static_cast<std::uint32_t>(cursor_));
        const bool full = used > full_bytes(ring);
        if (!full && !all && now_ - stream.drained_ns < drain_ns_) continue;
        std::uint64_t awaited = 0;
        if (auto wanted = want_key(stream, awaited); !wanted) return std::unexpected(wanted.error());
        waits_for_keys_ |= awaited != 0;
        hot_ |= full && awaited == 0;
        const auto drained = drain(static_cast<std::uint32_t>(cursor_), all);
        if (!drained) return drained;
        worked |= *drained;
    }
    if (cursor_ >= streams_.size()) {
        cursor_ = 0;
        publish_walk();
        if (!rules_.empty()) note_silences();
    }
    return worked || cursor_ != 0;
}

Result<> MediaStreams::drain_session(std::uint64_t session, TimeNs now) {
    now_ = now;
    const auto first = sessions_.find(session);
    std::uint32_t slot = first == sessions_.end() ? kNone : first->second;
    std::uint64_t newest = 0;
    for (std::uint32_t each = slot; each != kNone; each = streams_[each].next_in_session)
        if (auto wanted = want_key(streams_[each], newest); !wanted) return wanted;
    if (auto waited = wait_for_key(newest); !waited) return waited;
    while (slot != kNone) {
        const std::uint32_t next = streams_[slot].next_in_session;
        if (auto drained = drain(slot, true); !drained) return std::unexpected(drained.error());
        slot = next;
    }
    return {};
}

Result<> MediaStreams::drain_all(TimeNs now) {
    now_ = now;
    read_clock();
    std::uint64_t newest = 0;
    for (Stream& stream : streams_)
        if (auto wanted = stream.handle != nullptr ? want_key(stream, newest) : Result<>{}; !wanted) return wanted;
    if (auto waited = wait_for_key(newest); !waited) return waited;
    for (std::uint32_t slot = 0; slot < streams_.size(); ++slot) {
        if (streams_[slot].handle == nullptr) continue;
        if (auto drained = drain(slot, false); !drained) return std::unexpected(drained.error());
    }
    return {};
}

// Makes the key of a stream that has something on its ring; `newest` is raised to the key's number while it is not
// durable.
Result<> MediaStreams::want_key(Stream& stream, std::uint64_t& newest) {
    if (has_key(stream) || stream.handle->ring.used_bytes() == 0) return {};
    if (stream.key.id == 0) {
        auto key = keyring_->create(stream.handle->stream_id);
        if (!key) return std::unexpected(key.error());
        stream.key = *key;
    }
    if (!has_key(stream)) newest = std::max(newest, stream.key.id);
    return {};
}

bool MediaStreams::has_key(Stream& stream) const {
    if (!stream.key_durable && stream.key.id != 0) stream.key_durable = keyring_->is_durable(stream.key.id);
    return stream.key_durable;
}

Result<> MediaStreams::wait_for_key(std::uint64_t id) { return id == 0 ? Result<>{} : keyring_->wait_durable(id); }

// Above it a ring's oldest frames are taken, however young. With nothing held back a ring is drained when half of it is
// full, to leave the other half for what comes meanwhile.
std::size_t MediaStreams::full_bytes(const RecordRing& ring) const {
    const std::size_t capacity = ring.capacity_bytes();
    return options_.hold_back_ns == 0 && !options_.mask_dtmf ? capacity / 2 : capacity - capacity / 4;
}

void MediaStreams::read_clock() {
    if (options_.hold_back_ns == 0 && !options_.mask_dtmf) return;
    capture_now_ns_ = options_.capture_now();
    if (options_.hold_back_ns > 0) take_until_ns_ = capture_now_ns_ - options_.hold_back_ns;
}

bool MediaStreams::may_take(const Stream& stream, const RingRecord& record, bool all) const {
    const RecordRing& ring = stream.handle->ring;
    if (all || ring.used_bytes() > full_bytes(ring)) return true;
    if (record.arrival_ns > take_until_ns_) return false;
    if (!stream.dtmf || record.kind != RingRecordKind::frame || stream.dtmf->mask.settled()) return true;
    return record.arrival_ns <= capture_now_ns_ - kDtmfPatienceNs;
}

// How much of the ring drain() will take.
std::size_t MediaStreams::due_bytes(RecordRing& ring, bool all) const {
    const std::size_t used = ring.used_bytes();
    if (all || options_.hold_back_ns == 0 || used > full_bytes(ring)) return used;
    std::size_t due = 0;
    std::size_t position = 0;
    RingRecord record;
    for (auto bytes = ring.peek(position); !bytes.empty(); bytes = ring.peek(position)) {
        std::memcpy(&record, bytes.data(), sizeof record);
        if (record.arrival_ns > take_until_ns_) break;
        due += bytes.size() + sizeof(std::uint64_t);
    }
    return due;
}

// Moves what is on the ring at this moment and not held back into chunks; true when there was something. Nothing while
// the stream's key is not durable. After an error
// the record that did not fit, and all behind it, are still on the ring.
Result<bool> MediaStreams::drain(std::uint32_t slot, bool all) {
    Stream& stream = streams_[slot];
    if (!has_key(stream)) return false;
    RecordRing& ring = stream.handle->ring;
    std::size_t left = due_bytes(ring, all);
    if (left == 0) {
        stream.drained_ns = now_;
        return false;
    }
    find_windows(stream);
    if (stream.dtmf) look_for_tones(stream);
    if (stream.tapped && !stream.dtmf) feed(slot);
    bool ended = false;
    Result<> taken;
    while (!ended && left > 0) {
        const auto bytes = ring.front();
        if (bytes.empty()) break;
        ring.prefetch_ahead(kPrefetchBytes);
        RingRecord record;
        std::memcpy(&record, bytes.data(), sizeof record);
        check_record_fits(record, bytes.size());
        if (stream.dtmf && stream.dtmf->mask.empty()) look_for_tones(stream);  // came meanwhile
        if (!may_take(stream, record, all)) break;
        taken = take(stream, record, bytes.data() + sizeof record, left);
        if (!taken) break;
        ended = record.kind == RingRecordKind::end;
        left -= std::min(left, bytes.size() + sizeof(std::uint64_t));
        ring.pop();
        if (stream.dtmf && record.kind == RingRecordKind::frame) stream.dtmf->mask.pop();
    }
    close_chunk(stream);
    note_left_out(stream);
    if (!taken) return std::unexpected(taken.error());
    stream.drained_ns = now_;
    if (ended) close_stream(slot);
    return true;
}

Result<> MediaStreams::take(Stream& stream, const RingRecord& record, const std::byte* payload,
                            std::size_t ring_bytes) {
    switch (record.kind) {
        case RingRecordKind::frame:
            return take_frame(stream, record, payload, ring_bytes);
        case RingRecordKind::gap:
            stream.counters.dropped_us += record.lost_us;
            stream.lost += record.lost_us;
            return {};
        case RingRecordKind::end:
            return mark_loss(stream, stream.last_ns, 0, ring_bytes);
    }
    return {};
}

Result<> MediaStreams::take_frame(Stream& stream, const RingRecord& record, const std::byte* payload,
                                  std::size_t ring_bytes) {
    if (!silences_.empty()) listen(record, payload);
    if (const BlackoutWindow* window = window_at(record.arrival_ns))
        return leave_out(stream, record, *window, ring_bytes);
    if (stream.dtmf && is_event(*stream.dtmf, record, payload)) {  // no mark: audio goes on beside it
        ++stream.counters.blacked_out;
        stream.left_out_bytes += record.payload_bytes;
        return {};
    }
    if (stream.dtmf && stream.dtmf->mask.masked())
        return leave_out(stream, record, {record.arrival_ns, record.arrival_ns + 1}, ring_bytes);
    if (stream.paused)
        if (auto marked = mark_resume(stream, record, ring_bytes); !marked) return marked;
    if (auto marked = mark_loss(stream, record.arrival_ns, record.payload_bytes, ring_bytes); !marked) return marked;
    if (auto room = make_room(stream, record.payload_bytes, record.arrival_ns, ring_bytes); !room) return room;
    chunk_.add_frame(record, payload);
    if (stream.tapped && stream.dtmf) tap_taken(stream, record, payload);
    if (stream.counters.stored == 0) {
        stream.first_ns = record.arrival_ns;
        stream.first_timestamp = record.timestamp;
    }
    stream.last_ns = record.arrival_ns;
    stream.newest_ns = std::max(stream.newest_ns, record.arrival_ns);
    stream.last_timestamp = record.timestamp;
    ++stream.counters.stored;
    stream.counters.payload_bytes += record.payload_bytes;
    return {};
}

// The gap mark stands before the next stored frame: only then is there a time for it.
Result<> MediaStreams::mark_loss(Stream& stream, TimeNs arrival_ns, std::size_t payload_bytes, std::size_t ring_bytes) {
    if (stream.lost == 0) return {};
    auto room = make_room(stream, payload_bytes + ChunkBuilder::entry_bytes(0), arrival_ns, ring_bytes);
    if (!room) return room;
    chunk_.add_mark(FrameKind::gap, arrival_ns, stream.lost);
    stream.lost = 0;
    return {};
}

// A chunk that takes the entry: the open one, or a new one with room for all that is on the ring.
Result<> MediaStreams::make_room(Stream& stream, std::size_t payload_bytes, TimeNs arrival_ns, std::size_t ring_bytes) {
    if (chunk_.is_open() && chunk_.fits(payload_bytes, arrival_ns)) return {};
    close_chunk(stream);
    const std::size_t wanted = sizeof(ChunkHeader) + ChunkBuilder::entry_bytes(payload_bytes) + ring_bytes;
    const auto bytes = std::min<std::size_t>(wanted, SegmentWriter::kMaxRecordBytes);
    auto room = segments_.reserve(static_cast<std::uint32_t>(bytes));
    if (!room) return std::unexpected(room.error());
    chunk_.open(*room, header_of(stream));
    return {};
}

void MediaStreams::put_seals(Recording& recording) const {
    const auto first = sessions_.find(recording.session_id);
    for (RecordedStream& recorded : recording.streams) {
        const StreamSeal* seal = nullptr;
        if (const auto closed = closed_seals_.find(recorded.stream_id); closed != closed_seals_.end())
            seal = &closed->second;
        for (std::uint32_t slot = first == sessions_.end() ? kNone : first->second; slot != kNone && seal == nullptr;
             slot = streams_[slot].next_in_session)
            if (streams_[slot].handle->stream_id == recorded.stream_id) seal = &streams_[slot].seal;
        if (seal == nullptr) continue;
        recorded.chunks = seal->chunks;
        recorded.seal = seal->hex();
    }
}

ChunkHeader MediaStreams::header_of(const Stream& stream) const {
    const StreamHandle& handle = *stream.handle;
    ChunkHeader header;
    header.record.session_id = handle.session_id;
    // Never twice under the stream's key: the number does not come again in this run, nor the stream in another.
    std::memcpy(header.record.nonce.data(), &stream.chunk_number, sizeof stream.chunk_number);
    std::memcpy(header.record.nonce.data() + sizeof stream.chunk_number, &nonce_salt_, sizeof nonce_salt_);
    header.stream_id = handle.stream_id;
    header.chunk_number = stream.chunk_number;
    header.ssrc = handle.flow.ssrc;
    header.source_ip = handle.flow.source.ip.bytes;
    header.destination_ip = handle.flow.destination.ip.bytes;
    header.source_port = handle.flow.source.port;
    header.destination_port = handle.flow.destination.port;
    header.worker = handle.worker;
    header.last_timestamp = stream.last_timestamp;
    return header;
}

void MediaStreams::close_chunk(Stream& stream) {
    if (!chunk_.is_open()) return;
    ChunkHeader& header = chunk_.header();
    header.paused = stream.paused ? 1 : 0;
    header.stream_first_ns = stream.first_ns;
    header.stream_first_timestamp = stream.first_timestamp;
    header.counters = chunk_counters(stream.counters);
    header.counters.lost_before = stream.handle->lost_before.load(std::memory_order_relaxed);
    header.counters.duplicates = stream.handle->duplicates.load(std::memory_order_relaxed);
    chunk_.close();
    const RecordPosition position = segments_.commit(keyring_ != nullptr ? &stream.key : nullptr);
    stream.seal.extend(stream.chunk_number, segments_.committed());
    on_chunk_({header.stream_id, header.chunk_number, position.segment, position.offset, position.bytes, header.frames,
               header.first_ns, header.last_ns});
    ++stream.chunk_number;
    counters_.chunks.fetch_add(1, std::memory_order_relaxed);
    counters_.frames.fetch_add(header.frames, std::memory_order_relaxed);
}

}  // namespace spantape
