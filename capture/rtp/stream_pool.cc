// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/stream_pool.h"

#include <algorithm>
#include <memory>
#include <new>

namespace spantape {

StreamPool::StreamPool(std::uint16_t worker, std::uint32_t slots, std::size_t ring_bytes)
    : worker_(worker),
      slots_(slots),
      ring_bytes_(ring_bytes),
      stream_memory_(std::size_t{slots} * sizeof(Stream)),
      ring_memory_(std::size_t{slots} * ring_bytes),
      streams_(reinterpret_cast<Stream*>(stream_memory_.bytes().data())),
      table_(slots),
      by_destination_(slots),
      by_source_(slots),
      unclaimed_by_ssrc_(slots),
      claimed_by_ssrc_(slots) {
    free_.reserve(slots);
}

StreamPool::~StreamPool() { std::destroy_n(streams_, touched()); }

// What every frame touches of a stream, but for what look_up() in the worker asks for when it knows the stream.
void StreamPool::prefetch_stream(std::uint64_t hash) const {
    const std::uint32_t slot = table_.candidate(hash);
    if (slot == kNone) return;
    const Stream& stream = streams_[slot];
    __builtin_prefetch(&stream, 1);
    __builtin_prefetch(&stream.tracker, 1);
    __builtin_prefetch(&stream.jitter, 1);
    __builtin_prefetch(&stream.handle.ring, 1);
}

// The slot used last is used next, while it is warm; else the lowest that never was.
std::uint32_t StreamPool::take_slot() {
    if (!free_.empty()) {
        const std::uint32_t slot = free_.back();
        free_.pop_back();
        return slot;
    }
    const std::uint32_t slot = touched();
    if (slot == slots_) return kNone;
    touched_.store(slot + 1, std::memory_order_relaxed);
    Stream& stream = *new (&streams_[slot]) Stream;
    stream.handle.slot = slot;
    stream.handle.worker = worker_;
    stream.handle.ring.attach(ring_memory_.bytes().subspan(std::size_t{slot} * ring_bytes_, ring_bytes_));
    return slot;
}

bool StreamPool::populate_ahead(bool all) {
    const std::uint32_t wanted = std::max(touched() + kAhead, all ? populated_ + kStep : 0);
    const std::uint32_t end = std::min(slots_, wanted);
    if (end <= populated_) return populated_ < slots_;
    const auto populate = [&](const HugeMemory& memory, std::size_t each) {
        memory.populate(populated_ * each, (end - populated_) * each);
    };
    populate(stream_memory_, sizeof(Stream));
    populate(ring_memory_, ring_bytes_);
    populated_ = end;
    return true;
}

std::uint32_t StreamPool::find(const FlowKey& key, std::uint64_t hash) const {
    return table_.find(key, hash, [this](std::uint32_t slot) -> const FlowKey& { return streams_[slot].key; });
}

std::uint32_t StreamPool::open(const FlowKey& key, std::uint64_t hash, std::uint64_t stream_id) {
    const std::uint32_t slot = take_slot();
    if (slot == kNone) return kNone;
    Stream& stream = streams_[slot];
    stream.key = key;
    stream.hash = hash;
    stream.state = StreamState::look_back;
    stream.sessions = 0;
    stream.relay_copy = false;
    stream.forget_srtp();
    stream.pending_gap = 0;
    stream.first_arrival_ns = stream.last_arrival_ns = 0;
    stream.tracker = {};
    stream.counters = {};
    stream.jitter = {};
    stream.jitter_mean = {};
    stream.quality = {};
    stream.sender_report = 0;
    stream.sender_report_ns = 0;
    stream.handle.ring.reset();
    stream.handle.stream_id = stream_id;
    stream.handle.session_id = 0;
    stream.handle.flow = key;
    stream.handle.lost_before.store(0, std::memory_order_relaxed);
    stream.handle.duplicates.store(0, std::memory_order_relaxed);
    stream.handle.forget_sessions();
    ++version_;
    table_.insert(hash, slot);
    by_destination_.insert(hash_of(key.destination), slot);
    by_source_.insert(hash_of(key.source), slot);
    unclaimed_by_ssrc_.insert(mix_bits(key.ssrc), slot);
    return slot;
}

void StreamPool::claim(std::uint32_t slot) {
    Stream& stream = streams_[slot];
    unclaimed_by_ssrc_.erase(mix_bits(stream.key.ssrc), slot);
    claimed_by_ssrc_.insert(mix_bits(stream.key.ssrc), slot);
    stream.state = StreamState::bound;
}

void StreamPool::detach(std::uint32_t slot) {
    const Stream& stream = streams_[slot];
    ++version_;
    table_.erase(stream.hash, slot, [this](std::uint32_t other) { return streams_[other].hash; });
    by_destination_.erase(hash_of(stream.key.destination), slot);
    by_source_.erase(hash_of(stream.key.source), slot);
    (stream.state == StreamState::look_back ? unclaimed_by_ssrc_ : claimed_by_ssrc_)
        .erase(mix_bits(stream.key.ssrc), slot);
}

void StreamPool::release(std::uint32_t slot) {
    streams_[slot].state = StreamState::free;
    streams_[slot].forget_srtp();
    free_.push_back(slot);
}

}  // namespace spantape
