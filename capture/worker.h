// SPDX-License-Identifier: AGPL-3.0-or-later
// The capture worker: polls its sources, takes packets apart, finds each RTP frame's stream and appends it to the
// stream's ring; hands SIP to the signalling thread. One thread owns everything here; it meets the others only through
// the queues of WorkerLinks.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "capture/base/counters.h"
#include "capture/base/record_ring.h"
#include "capture/base/spsc_queue.h"
#include "capture/base/wakeup.h"
#include "capture/capture_loss.h"
#include "capture/packet/datagram.h"
#include "capture/packet/fragments.h"
#include "capture/rtp/look_back_queue.h"
#include "capture/rtp/rtcp.h"
#include "capture/rtp/stream_pool.h"
#include "capture/session_table.h"
#include "capture/sip_tcp_filter.h"
#include "capture/source/source.h"
#include "capture/worker_messages.h"

namespace spantape {

struct WorkerOptions {
    std::uint16_t number = 0;
    std::uint32_t max_streams = 8192;
    std::size_t ring_bytes = 16u << 10;  // a power of two
    std::size_t look_back_bytes = 0;     // so much of it a stream that no call has claimed may fill; 0: all
    std::uint64_t first_stream_id = 1;   // this worker's ids of this run rise from here
    TimeNs media_timeout_ns = 60 * kNsPerSecond;
    std::vector<std::uint16_t> sip_ports = {5060};  // besides what begins like SIP on any other port
};

// The queues between one worker and the other threads. Created by the wiring, which outlives them all.
struct WorkerLinks {
    WorkerLinks(std::size_t streams, Wakeup& control, Wakeup& signalling);

    SpscQueue<Decision> decisions;  // control -> worker
    SpscQueue<WorkerEvent> events;  // worker -> control
    RecordRing signalling;          // worker -> signalling: SignallingRecord and the payload
    WorkerToWriter writer;
    Wakeup worker_wakeup;
    Wakeup& control_wakeup;
    Wakeup& signalling_wakeup;

private:
    std::vector<std::byte> signalling_memory_;
};

// An unclaimed stream silent for so long is no part of a call that begins now.
inline constexpr TimeNs kStaleNs = kNsPerSecond;

// How many took how long: buckets of 1 us up to 4, then four to each doubling; the last has also those that took
// longer. Written by one thread.
class LatencyHistogram {
public:
    static constexpr std::size_t kBuckets = 92;
    void add(TimeNs latency_ns) {
        const auto us = static_cast<std::uint64_t>(std::max<TimeNs>(latency_ns - 1, 0)) / 1000;
        const auto shift = std::max<std::size_t>(std::bit_width(us), 3) - 3;
        const std::size_t bucket = us < 4 ? us : 4 * (shift + 1) + (us >> shift & 3);
        buckets_[std::min(bucket, kBuckets - 1)].add();
        sum_ns_.add(static_cast<std::uint64_t>(std::max<TimeNs>(latency_ns, 0)));
    }
    // Any thread.
    [[nodiscard]] std::uint64_t count(std::size_t bucket) const { return buckets_[bucket].get(); }
    [[nodiscard]] std::uint64_t sum_ns() const { return sum_ns_.get(); }
    [[nodiscard]] static std::uint64_t limit_us(std::size_t bucket) {
        return bucket < 4 ? bucket + 1 : std::uint64_t{5 + bucket % 4} << (bucket / 4 - 1);
    }

private:
    std::array<Counter, kBuckets> buckets_;
    Counter sum_ns_;
};

// Sources are told apart by Packet::source.
inline constexpr std::size_t kMaxSources = 256;
using DropCounters = std::array<Counter, kDropReasons>;

// Readable from any thread. Every packet that was taken is counted in exactly one of `stored`, `held`, `sip_messages`,
// `sip_segments`, `rtcp_reports`, `fragments_held` or `drops`: see accounted(). A frame begins as held, where no call
// has claimed its stream yet, and becomes stored when one does, or is dropped as unwatched when its ring needs the room
// or nobody came for it. A fragment is held until its datagram is whole or given up.
struct WorkerCounters {
    Counter packets;         // taken from the sources
    Counter frames;          // of them RTP, whatever became of it
    Counter stored;          // RTP frames put on the ring of a stream that the writer drains
    Counter held;            // RTP frames on look-back rings now
    Counter sip_messages;    // datagrams handed to the signalling thread
    Counter sip_segments;    // TCP that carries SIP, handed to it
    Counter rtcp_reports;    // RTCP datagrams that told something of a stream here
    Counter fragments_held;  // fragments that wait for the rest of their datagram now
    DropCounters drops;      // by reason
    // The same, told apart; but for fragments, which are not.
    std::vector<DropCounters> drops_by_source = std::vector<DropCounters>(kMaxSources);
    Counter streams;                    // opened so far
    Counter look_back, bound, closing;  // streams now, by StreamState
    Counter busy_ns, idle_ns;
    LatencyHistogram decisions;  // from a SIP message on a live source to its media being claimed here
};

// What became of every packet of a worker: equals `packets` whenever the worker is between two bursts.
[[nodiscard]] std::uint64_t accounted(const WorkerCounters& counters);

class Worker {
public:
    Worker(WorkerOptions options, std::vector<std::unique_ptr<Source>> sources, WorkerLinks& links);

    // One turn: decisions, one burst of every source, housekeeping. True when there was work. Blocks only for a source
    // that is lossless(): until control has seen a SIP message, and until the writer has made room in a full ring.
    bool step();
    // step() until `stop`; sleeps on the sources and the wakeup when idle.
    void run(const std::atomic<bool>& stop);

    // For tests and benchmarks: packets as if a source had given them.
    void process(std::span<const Packet> burst, bool lossless = false);

    [[nodiscard]] std::uint32_t stream_slots() const { return options_.max_streams; }
    [[nodiscard]] const WorkerCounters& counters() const { return counters_; }
    [[nodiscard]] const std::vector<std::unique_ptr<Source>>& sources() const { return sources_; }
    // Any one other thread, every few milliseconds: StreamPool::populate_ahead().
    // Of a live worker all, because its calls come when they come.
    bool populate_ahead() { return pool_.populate_ahead(live_); }
    // A source has the wall clock's time: what is not taken soon is lost.
    [[nodiscard]] bool live() const { return live_; }

private:
    struct Frame {  // an RTP frame between the two halves of a burst
        FlowKey key;
        std::uint64_t hash = 0;
        RtpHeader header;
        bool bad_padding = false;
        TimeNs time_ns = 0;
        std::uint32_t slot = 0;  // as of look_up()
        std::uint8_t source = 0;
    };
    // What the frames of a burst add to the counters, which are written once a burst.
    struct Tally {
        std::uint64_t stored = 0, held = 0;  // held may pass below zero until it is added: it wraps back
    };

    void classify(const Packet& packet, bool lossless);
    void count_fragments();
    void classify_datagram(const Datagram& datagram, bool lossless);
    void append_frames(bool lossless);
    void look_up(Frame& frame);
    void append(std::uint32_t slot, const Frame& frame, bool lossless);
    void measure(Stream& stream, const Frame& frame, SequenceTracker::Verdict verdict, std::uint32_t units);
    void note_irregular(Stream& stream, SequenceTracker::Verdict verdict);
    [[nodiscard]] std::uint32_t clock_rate_hz(const Stream& stream, std::uint8_t payload_type) const;
    bool keep_payload(Stream& stream, const RtpHeader& header, bool bad_padding,
                      std::span<const std::uint8_t>& payload);
    void keep_unclaimed(std::uint32_t slot, const Frame& frame);
    std::byte* make_room(Stream& stream, std::size_t bytes, bool lossless);
    void publish_tally();
    std::uint32_t open_stream(const Frame& frame);
    bool evict_look_back();
    void forget_frames(Stream& stream);
    void forget_frames_before(Stream& stream, TimeNs from_ns);
    void drop(DropReason reason, std::uint8_t source, std::uint64_t packets = 1) {
        counters_.drops[static_cast<std::size_t>(reason)].add(packets);
        counters_.drops_by_source[source][static_cast<std::size_t>(reason)].add(packets);
    }
    void drop_held(const Stream& stream, std::uint64_t frames);

    void take_rtcp(const Datagram& datagram);
    bool take_report(const RtcpReportBlock& block, const Datagram& datagram);
    bool take_sender(const RtcpSenderInfo& sender, const Datagram& datagram);

    void classify_segment(const Datagram& segment, bool lossless);
    void forward_sip(const Datagram& datagram, bool lossless);
    bool signal(SignallingRecord record, std::span<const std::uint8_t> payload, bool lossless);
    void signal_end();
    void emit(WorkerEvent event);
    void flush_events();
    bool take_decisions();
    void apply(const Decision& decision);
    void wait_for_sync();

    void bind_new(std::uint32_t slot);
    void bind_relay_copies(std::uint32_t slot);
    void bind(std::uint32_t slot, SessionMatch match, bool relay_copy);
    [[nodiscard]] bool is_relay_copy(const Stream& stream, const Stream& original) const;
    [[nodiscard]] CallParty refine_sender(const Stream& stream, SessionMatch match);
    void watch(const Decision& decision);

    // worker_srtp.cc
    bool settle_srtp(Stream& stream, const MediaSession& session, CallParty sender);
    void renew_srtp(const MediaSession& session);
    static void renew_srtp(Stream& stream, const SrtpTerms& terms);
    void finish_trial(std::uint32_t slot);
    void finish_trials(std::uint64_t session);
    bool decrypt(Stream& stream, const RtpHeader& header, std::span<const std::uint8_t>& payload);
    void take_look_back(Stream& stream);
    void put_back(Stream& stream);
    RtpParse parse_kept(const Stream& stream, const RingRecord& record, std::span<const std::uint8_t> payload,
                        RtpHeader& header);
    void convert_look_back(Stream& stream);
    [[nodiscard]] bool proves_srtp(Stream& stream);
    [[nodiscard]] bool looks_encrypted(const Stream& stream);

    void leave(std::uint32_t slot, std::uint64_t session);
    void finish_stream(std::uint32_t slot);
    void end_session(std::uint64_t session);
    void push_ends();
    void take_returned();

    void advance_clock(TimeNs now_ns, bool lossless);
    void sweep(std::uint32_t slots);
    void tell_unclaimed(std::uint32_t slot);
    void sweep_bound(std::uint32_t slot);
    void explain_gaps();
    bool announce_end();

    WorkerOptions options_;
    std::vector<std::unique_ptr<Source>> sources_;
    WorkerLinks& links_;
    StreamPool pool_;
    LookBackQueue look_back_;
    SessionTable sessions_;
    SipTcpFilter tcp_filter_;
    WorkerCounters counters_;
    Fragments fragments_;

    std::array<Packet, kBurstPackets> burst_;
    std::array<Frame, kBurstPackets> frames_;
    std::size_t frame_count_ = 0;
    Tally tally_;

    TimeNs now_ns_ = 0;  // capture clock
    TimeNs last_tick_ns_ = 0;
    CaptureLoss capture_loss_;
    std::uint32_t sweep_hand_ = 0;
    std::uint64_t next_stream_id_;
    std::uint64_t next_token_ = 1;
    std::uint64_t seen_token_ = 0;
    std::vector<std::uint8_t> clear_payload_;     // a frame's, decrypted
    std::vector<std::byte> kept_;                 // a look-back ring's records, one after the other
    std::vector<std::uint8_t> kept_packet_;       // one of them, put together again
    std::vector<std::uint32_t> ends_pending_;     // slots whose `end` found no room yet
    std::vector<std::uint64_t> sessions_ending_;  // answered when ends_pending_ is empty
    std::deque<WorkerEvent> events_waiting_;      // control's queue was full
    bool live_;
    bool end_announced_ = false;
    const std::atomic<bool>* stop_ = nullptr;
};

}  // namespace spantape
