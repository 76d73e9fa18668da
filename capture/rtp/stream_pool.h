// SPDX-License-Identifier: AGPL-3.0-or-later
// All streams of one worker: a fixed number of slots, each with its ring in one arena that is mapped at start; the
// flow table that finds them; and the indexes by which a decision finds streams that were there before it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "capture/rtp/flow_table.h"
#include "capture/rtp/sequence_tracker.h"
#include "capture/rtp/slot_index.h"
#include "capture/rtp/stream_handle.h"
#include "capture/sip/events.h"

namespace spantape {

enum class StreamState : std::uint8_t {
    free,
    look_back,  // of no session (yet): its ring keeps the newest frames, the worker is at both ends of it
    bound,      // of a session: the writer drains its ring
    closing,    // `end` is on its ring or waits to be; the writer gives the slot back
};

inline constexpr std::size_t kSessionsPerStream = 4;

struct alignas(64) Stream {
    FlowKey key;
    std::uint64_t hash = 0;
    StreamState state = StreamState::free;
    std::uint8_t sessions = 0;  // how many of session[] are in use
    bool relay_copy = false;
    CallParty sender = CallParty::caller;
    std::uint8_t first_payload_type = 0;
    std::uint32_t pending_gap = 0;  // frames dropped for a full ring, not yet told to the writer
    TimeNs first_arrival_ns = 0;    // of the oldest frame kept
    TimeNs last_arrival_ns = 0;
    SequenceTracker tracker;
    StreamCounters counters;
    std::array<std::uint64_t, kSessionsPerStream> session{};
    StreamHandle handle;
};

class StreamPool {
public:
    static constexpr std::uint32_t kNone = FlowTable::kNone;

    // ring_bytes: a power of two. Maps slots * ring_bytes of memory (touched only as streams use it); throws
    // std::bad_alloc when the system refuses.
    StreamPool(std::uint16_t worker, std::uint32_t slots, std::size_t ring_bytes);
    ~StreamPool();
    StreamPool(const StreamPool&) = delete;
    StreamPool& operator=(const StreamPool&) = delete;

    [[nodiscard]] Stream& at(std::uint32_t slot) { return streams_[slot]; }
    [[nodiscard]] std::uint32_t slots() const { return static_cast<std::uint32_t>(streams_.size()); }
    [[nodiscard]] std::uint32_t used() const { return slots() - static_cast<std::uint32_t>(free_.size()); }

    void prefetch(std::uint64_t hash) const { table_.prefetch(hash); }
    void prefetch_stream(std::uint64_t hash) const;
    [[nodiscard]] std::uint32_t find(const FlowKey& key, std::uint64_t hash) const;

    // A new look-back stream, its ring empty; kNone when no slot is free.
    std::uint32_t open(const FlowKey& key, std::uint64_t hash, std::uint64_t stream_id);
    // Not found by its flow any more; the slot stays taken until release().
    void detach(std::uint32_t slot);
    // The slot may be used again; detach() came before.
    void release(std::uint32_t slot);

    // Streams in the table that send to `endpoint`, come from it, or carry `ssrc` (others may be among them: check).
    template <class Visit>
    void for_each_to(const Endpoint& endpoint, Visit visit) const {
        by_destination_.for_each(hash_of(endpoint), visit);
    }
    template <class Visit>
    void for_each_from(const Endpoint& endpoint, Visit visit) const {
        by_source_.for_each(hash_of(endpoint), visit);
    }
    template <class Visit>
    void for_each_ssrc(std::uint32_t ssrc, Visit visit) const {
        by_ssrc_.for_each(mix_bits(ssrc), visit);
    }

private:
    std::span<std::byte> arena_;
    std::vector<Stream> streams_;
    std::vector<std::uint32_t> free_;
    FlowTable table_;
    SlotIndex by_destination_;
    SlotIndex by_source_;
    SlotIndex by_ssrc_;
};

}  // namespace spantape
