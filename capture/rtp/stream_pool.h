// SPDX-License-Identifier: AGPL-3.0-or-later
// All streams of one worker: a fixed number of slots, each with its ring, in arenas that are mapped at start and
// touched only a little further than slots were ever used; the flow table that finds them; and the indexes by which a
// decision finds streams that were there before it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "capture/base/huge_memory.h"
#include "capture/rtp/flow_table.h"
#include "capture/rtp/jitter_meter.h"
#include "capture/rtp/sequence_tracker.h"
#include "capture/rtp/slot_index.h"
#include "capture/rtp/srtp.h"
#include "capture/rtp/stream_handle.h"
#include "capture/rtp/stream_quality.h"
#include "capture/sip/events.h"

namespace spantape {

enum class StreamState : std::uint8_t {
    free,
    look_back,  // of no session (yet): its ring keeps the newest frames, the worker is at both ends of it
    bound,      // of a session: the writer drains its ring
    closing,    // `end` is on its ring or waits to be; the writer gives the slot back
};

// What is done with a stream's frames.
enum class SrtpMode : std::uint8_t {
    clear,     // they are plain RTP
    unproven,  // said to be SRTP, or to become it: plain until the first one that authenticates
    required,  // decrypted; what does not authenticate is counted, not stored
    ending,    // plain again, after a re-INVITE: SRTP that is still under way is decrypted
};

// In order of use: what each frame needs of a stream lies in five cache lines (its first two, one of the tracker's
// window, the jitter with the counters, the producer's part of the ring).
struct alignas(64) Stream {
    FlowKey key;
    std::uint64_t hash = 0;
    StreamState state = StreamState::free;
    std::uint8_t sessions = 0;  // how many of session[] are in use
    std::uint8_t first_payload_type = 0;
    SrtpMode srtp_mode = SrtpMode::clear;
    std::uint32_t pending_gap = 0;  // frames dropped for a full ring, not yet told to the writer
    TimeNs last_arrival_ns = 0;
    SequenceTracker tracker;
    JitterMeter jitter;
    StreamCounters counters;
    std::uint8_t source = 0;      // Packet::source of its first frame
    TimeNs first_arrival_ns = 0;  // of its first frame; once bound, of the oldest that was kept
    CallParty sender = CallParty::caller;
    bool relay_copy = false;
    bool decrypted = false;      // some frame was
    bool whole_packets = false;  // its look-back holds RingRecord::whole_packet
    bool on_trial = false;       // in look-back, though a session claims it: is it SRTP, and with which key?
    bool trial_over = false;     // no more waiting for a frame that tells
    std::array<std::uint64_t, kSessionsPerStream> session{};
    JitterMean jitter_mean;
    StreamQuality quality;            // but for the jitter, which the meter and its mean know
    std::uint32_t sender_report = 0;  // middle 32 bits of the NTP time of its sender's last report (RFC 3550 §6.4.1)
    TimeNs sender_report_ns = 0;      // when that came by
    TimeNs tell_at_ns = 0;            // while unclaimed: when control is to be told (again) that it is there
    SrtpStream srtp;
    StreamHandle handle;

    void forget_srtp() {
        srtp_mode = SrtpMode::clear;
        decrypted = whole_packets = on_trial = trial_over = false;
        srtp = {};
    }
    [[nodiscard]] StreamEncryption encryption() const {
        if (decrypted) return StreamEncryption::srtp;
        return counters.undecryptable > 0 ? StreamEncryption::srtp_no_key : StreamEncryption::none;
    }
};
static_assert(offsetof(Stream, tracker) == 64);
static_assert(offsetof(Stream, jitter) % 64 == 0);
static_assert(offsetof(Stream, counters) + offsetof(StreamCounters, undecryptable) == offsetof(Stream, jitter) + 64);

class StreamPool {
public:
    static constexpr std::uint32_t kNone = FlowTable::kNone;

    // ring_bytes: a power of two. Maps slots * (ring_bytes + sizeof(Stream)) of memory (touched only as streams use
    // it); throws std::bad_alloc when the system refuses.
    StreamPool(std::uint16_t worker, std::uint32_t slots, std::size_t ring_bytes);
    ~StreamPool();
    StreamPool(const StreamPool&) = delete;
    StreamPool& operator=(const StreamPool&) = delete;

    // Only slots below touched().
    [[nodiscard]] Stream& at(std::uint32_t slot) { return streams_[slot]; }
    [[nodiscard]] std::uint32_t slots() const { return slots_; }
    // No slot from here on was ever used: what walks over all streams ends here.
    [[nodiscard]] std::uint32_t touched() const { return touched_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint32_t used() const { return touched() - static_cast<std::uint32_t>(free_.size()); }

    // Any one thread but the worker's, every few milliseconds: has the kernel provide the memory of the next kAhead
    // slots, so that nobody waits for zeroed pages when calls begin (a huge page takes 0.1 ms, on a virtual machine up
    // to 5). With `all`, kStep slots more each time, until all have theirs. False when there is nothing more to do.
    bool populate_ahead(bool all);
    static constexpr std::uint32_t kAhead = 2048, kStep = 128;

    void prefetch(std::uint64_t hash) const { table_.prefetch(hash); }
    void prefetch_stream(std::uint64_t hash) const;
    [[nodiscard]] std::uint32_t find(const FlowKey& key, std::uint64_t hash) const;

    // Another number whenever a flow was added or taken away since: slots found before may mean others now.
    [[nodiscard]] std::uint64_t version() const { return version_; }

    // A new look-back stream, its ring empty; kNone when no slot is free.
    std::uint32_t open(const FlowKey& key, std::uint64_t hash, std::uint64_t stream_id);
    // A session has claimed the look-back stream.
    void claim(std::uint32_t slot);
    // Not found by its flow any more; the slot stays taken until release().
    void detach(std::uint32_t slot);
    // The slot may be used again; detach() came before.
    void release(std::uint32_t slot);

    // Streams in the table that send to `endpoint`, come from it, or carry `ssrc`, claimed by a session or not (others
    // may be among them: check).
    template <class Visit>
    void for_each_to(const Endpoint& endpoint, Visit visit) const {
        by_destination_.for_each(hash_of(endpoint), visit);
    }
    template <class Visit>
    void for_each_from(const Endpoint& endpoint, Visit visit) const {
        by_source_.for_each(hash_of(endpoint), visit);
    }
    template <class Visit>
    void for_each_unclaimed(std::uint32_t ssrc, Visit visit) const {
        unclaimed_by_ssrc_.for_each(mix_bits(ssrc), visit);
    }
    // Both; of unclaimed ones the newest.
    template <class Visit>
    void for_each_ssrc(std::uint32_t ssrc, Visit visit) const {
        constexpr std::size_t kUnclaimed = 256;  // a flood may put all streams under one SSRC
        for_each_claimed(ssrc, visit);
        unclaimed_by_ssrc_.for_each(mix_bits(ssrc), visit, kUnclaimed);
    }
    template <class Visit>
    void for_each_claimed(std::uint32_t ssrc, Visit visit) const {
        claimed_by_ssrc_.for_each(mix_bits(ssrc), visit);
    }

private:
    std::uint32_t take_slot();

    std::uint16_t worker_;
    std::uint32_t slots_;
    std::size_t ring_bytes_;
    HugeMemory stream_memory_;
    HugeMemory ring_memory_;
    Stream* streams_;                        // made in stream_memory_ when first used, touched_ of them
    std::atomic<std::uint32_t> touched_{0};  // written by the worker
    std::uint32_t populated_ = 0;            // of populate_ahead()
    std::vector<std::uint32_t> free_;        // below touched_
    std::uint64_t version_ = 0;
    FlowTable table_;
    SlotIndex by_destination_;
    SlotIndex by_source_;
    SlotIndex unclaimed_by_ssrc_;
    SlotIndex claimed_by_ssrc_;
};

}  // namespace spantape
