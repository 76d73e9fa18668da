// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/tcp_streams.h"

#include <cstdlib>
#include <iterator>
#include <limits>
#include <utility>

#include "capture/sip/start_line.h"

namespace spantape {

namespace {
constexpr TimeNs kExpireEveryNs = 100 * kNsPerMs;
constexpr std::uint8_t kSyn = 2;
}  // namespace

// Bytes of one stream to its framer, and what comes of them to the owner.
class SipTcpStreams::Delivery final : public TcpSink {
public:
    Delivery(SipTcpStreams& owner, Stream& stream, TimeNs time_ns)
        : owner_(owner),
          framer_(stream.framer),
          resyncs_(framer_.resyncs()),
          take_([&owner, &stream, time_ns](std::span<const std::uint8_t> message) {
              owner.take_(time_ns, stream.flow.source, stream.flow.destination, message);
          }) {}
    ~Delivery() { owner_.counters_.resyncs += framer_.resyncs() - resyncs_; }
    Delivery(const Delivery&) = delete;
    Delivery& operator=(const Delivery&) = delete;

    void on_bytes(std::span<const std::uint8_t> bytes) override { framer_.bytes(bytes, take_); }
    void on_gap(std::uint32_t lost_bytes) override {
        ++owner_.counters_.gaps;
        framer_.gap(lost_bytes, take_);
    }
    void on_close() override { framer_.close(take_); }

private:
    SipTcpStreams& owner_;
    SipStreamFramer& framer_;
    std::uint64_t resyncs_;
    SipStreamFramer::Take take_;
};

SipTcpStreams::SipTcpStreams(SipTcpLimits limits, Take take) : limits_(limits), take_(std::move(take)) {}

void SipTcpStreams::on_segment(const TcpSegment& segment) {
    // Times of several interfaces need not be in order.
    if (std::llabs(segment.time_ns - last_expire_ns_) >= kExpireEveryNs) expire(segment.time_ns);
    const auto stream = find_or_add(segment);
    if (stream == idle_.end()) return;
    stream->last_ns = segment.time_ns;
    {
        Delivery delivery(*this, *stream, segment.time_ns);
        const bool begins_message = begins_with_sip_start_line(segment.payload) || only_line_ends(segment.payload);
        stream->tcp.take(segment, begins_message, delivery);
        while (stream->tcp.held_bytes() > limits_.max_stream_bytes) stream->tcp.skip_gap(delivery);
    }
    settle(stream);
    while (held_bytes_ > limits_.max_bytes) evict(holding_);
}

// idle_.end(): a segment without payload that begins nothing.
SipTcpStreams::Streams::iterator SipTcpStreams::find_or_add(const TcpSegment& segment) {
    const Flow flow{segment.source, segment.destination};
    if (const auto known = known_.find(flow); known != known_.end()) return known->second;
    return segment.payload.empty() && (segment.flags & kSyn) == 0 ? idle_.end() : add(flow);
}

SipTcpStreams::Streams::iterator SipTcpStreams::add(const Flow& flow) {
    if (known_.size() >= limits_.max_streams) evict(idle_.empty() ? holding_ : idle_);
    if (!known_.contains({flow.destination, flow.source})) ++counters_.connections;
    idle_.emplace_front();
    idle_.front().flow = flow;
    known_.emplace(flow, idle_.begin());
    return idle_.begin();
}

// To the front of the list where it belongs now.
void SipTcpStreams::settle(Streams::iterator stream) {
    const std::size_t held = stream->tcp.held_bytes() + stream->framer.held_bytes();
    held_bytes_ += held - stream->held_bytes;
    stream->held_bytes = held;
    Streams& from = stream->holding ? holding_ : idle_;
    stream->holding = held != 0;
    Streams& to = stream->holding ? holding_ : idle_;
    to.splice(to.begin(), from, stream);
}

void SipTcpStreams::evict(Streams& from) {
    ++counters_.evicted;
    forget(from, std::prev(from.end()));
}

void SipTcpStreams::forget(Streams& from, Streams::iterator stream) {
    held_bytes_ -= stream->held_bytes;
    known_.erase(stream->flow);
    from.erase(stream);
}

void SipTcpStreams::expire(TimeNs now_ns) {
    last_expire_ns_ = now_ns;
    skip_gaps(now_ns, now_ns);
    forget_idle(idle_, now_ns);
    forget_idle(holding_, now_ns);
}

void SipTcpStreams::skip_gaps(TimeNs now_ns, TimeNs due_ns) {
    for (auto next = holding_.begin(); next != holding_.end();) {
        const auto stream = next++;
        if (stream->tcp.held_bytes() == 0 || due_ns < stream->tcp.gap_due_ns()) continue;
        {
            Delivery delivery(*this, *stream, now_ns);
            while (stream->tcp.held_bytes() != 0) stream->tcp.skip_gap(delivery);
        }
        settle(stream);
    }
}

void SipTcpStreams::forget_idle(Streams& from, TimeNs now_ns) {
    while (!from.empty() && now_ns - from.back().last_ns > limits_.idle_ns) forget(from, std::prev(from.end()));
}

void SipTcpStreams::flush(TimeNs now_ns) { skip_gaps(now_ns, std::numeric_limits<TimeNs>::max()); }

}  // namespace spantape
