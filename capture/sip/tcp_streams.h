// SPDX-License-Identifier: AGPL-3.0-or-later
// TCP segments -> SIP messages: all the connections that carry SIP, each direction by itself, for a mirror may show
// only one. Memory is bounded: the stream that was silent for longest gives way, and may join again in its middle. One
// instance, on the signalling thread; time comes with the segments and with expire().
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <span>
#include <unordered_map>

#include "capture/sip/stream_framer.h"
#include "capture/sip/tcp_stream.h"

namespace spantape {

struct SipTcpLimits {
    std::size_t max_streams = 65'536;               // directions of connections
    std::size_t max_stream_bytes = 512 << 10;       // out of order, of one; more: the first gap is skipped
    std::size_t max_bytes = std::size_t{64} << 20;  // held by all: out of order, and parts of messages
    TimeNs idle_ns = 600 * kNsPerSecond;            // then a stream is forgotten
};

struct SipTcpCounters {
    std::uint64_t connections = 0;  // begun to be followed
    std::uint64_t gaps = 0;         // segments that never came
    std::uint64_t resyncs = 0;      // what was no SIP was skipped up to the next start line
    std::uint64_t evicted = 0;      // streams that gave way to others
};

class SipTcpStreams {
public:
    // One whole message, as from a datagram; called within on_segment(), expire() and flush(), and must not call back.
    using Take = std::function<void(TimeNs time_ns, const Endpoint& source, const Endpoint& destination,
                                    std::span<const std::uint8_t> message)>;
    SipTcpStreams(SipTcpLimits limits, Take take);

    void on_segment(const TcpSegment& segment);
    // Gives up gaps that were waited for long enough, and forgets idle streams. Called by on_segment() too, ten times a
    // second of capture time.
    void expire(TimeNs now_ns);
    // Nothing more will come: gaps are given up at once.
    void flush(TimeNs now_ns);

    [[nodiscard]] const SipTcpCounters& counters() const { return counters_; }
    [[nodiscard]] std::size_t streams() const { return known_.size(); }
    [[nodiscard]] std::size_t held_bytes() const { return held_bytes_; }
    // Something waits for a missing segment: time must go on even when no segment comes.
    [[nodiscard]] bool waiting() const { return !holding_.empty(); }

private:
    struct Flow {
        Endpoint source;
        Endpoint destination;
        bool operator==(const Flow&) const = default;
    };
    struct FlowHash {
        std::size_t operator()(const Flow& flow) const { return hash_of(flow.source) * 31 + hash_of(flow.destination); }
    };
    struct Stream {
        Flow flow;
        TcpStream tcp;
        SipStreamFramer framer;
        TimeNs last_ns = 0;
        std::size_t held_bytes = 0;  // as counted in held_bytes_
        bool holding = false;        // the list that it is in
    };
    using Streams = std::list<Stream>;
    class Delivery;

    Streams::iterator find_or_add(const TcpSegment& segment);
    Streams::iterator add(const Flow& flow);
    void settle(Streams::iterator stream);
    void evict(Streams& from);
    void forget(Streams& from, Streams::iterator stream);
    void skip_gaps(TimeNs now_ns, TimeNs due_ns);
    void forget_idle(Streams& from, TimeNs now_ns);

    SipTcpLimits limits_;
    Take take_;
    SipTcpCounters counters_;
    Streams idle_;     // hold nothing; last heard of first
    Streams holding_;  // hold bytes; last heard of first
    std::unordered_map<Flow, Streams::iterator, FlowHash> known_;
    std::size_t held_bytes_ = 0;
    TimeNs last_expire_ns_ = 0;
};

}  // namespace spantape
