// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/stream_pool.h"

#include <new>

#include <sys/mman.h>

namespace spantape {

StreamPool::StreamPool(std::uint16_t worker, std::uint32_t slots, std::size_t ring_bytes)
    : streams_(slots), table_(slots), by_destination_(slots), by_source_(slots), by_ssrc_(slots) {
    const std::size_t bytes = std::size_t{slots} * ring_bytes;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    arena_ = {static_cast<std::byte*>(memory), bytes};
    free_.reserve(slots);
    for (std::uint32_t slot = slots; slot-- > 0;) {  // lowest slots are used first
        free_.push_back(slot);
        streams_[slot].handle.slot = slot;
        streams_[slot].handle.worker = worker;
        streams_[slot].handle.ring.attach(arena_.subspan(std::size_t{slot} * ring_bytes, ring_bytes));
    }
}

StreamPool::~StreamPool() { munmap(arena_.data(), arena_.size()); }

void StreamPool::prefetch_stream(std::uint64_t hash) const {
    const std::uint32_t slot = table_.candidate(hash);
    if (slot == kNone) return;
    const auto* stream = reinterpret_cast<const char*>(&streams_[slot]);
    __builtin_prefetch(stream);
    __builtin_prefetch(stream + 64);
    __builtin_prefetch(&streams_[slot].handle.ring);
}

std::uint32_t StreamPool::find(const FlowKey& key, std::uint64_t hash) const {
    return table_.find(key, hash, [this](std::uint32_t slot) -> const FlowKey& { return streams_[slot].key; });
}

std::uint32_t StreamPool::open(const FlowKey& key, std::uint64_t hash, std::uint64_t stream_id) {
    if (free_.empty()) return kNone;
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    Stream& stream = streams_[slot];
    stream.key = key;
    stream.hash = hash;
    stream.state = StreamState::look_back;
    stream.sessions = 0;
    stream.relay_copy = false;
    stream.pending_gap = 0;
    stream.first_arrival_ns = stream.last_arrival_ns = 0;
    stream.tracker = {};
    stream.counters = {};
    stream.handle.ring.reset();
    stream.handle.stream_id = stream_id;
    stream.handle.session_id = 0;
    stream.handle.flow = key;
    table_.insert(hash, slot);
    by_destination_.insert(hash_of(key.destination), slot);
    by_source_.insert(hash_of(key.source), slot);
    by_ssrc_.insert(mix_bits(key.ssrc), slot);
    return slot;
}

void StreamPool::detach(std::uint32_t slot) {
    const Stream& stream = streams_[slot];
    table_.erase(stream.hash, slot, [this](std::uint32_t other) { return streams_[other].hash; });
    by_destination_.erase(hash_of(stream.key.destination), slot);
    by_source_.erase(hash_of(stream.key.source), slot);
    by_ssrc_.erase(mix_bits(stream.key.ssrc), slot);
}

void StreamPool::release(std::uint32_t slot) {
    streams_[slot].state = StreamState::free;
    free_.push_back(slot);
}

}  // namespace spantape
