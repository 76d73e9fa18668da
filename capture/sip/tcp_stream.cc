// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/tcp_stream.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <tins/tcp_ip/data_tracker.h>

namespace spantape {

namespace {

using Tins::TCPIP::DataTracker;

constexpr std::uint8_t kFin = 1;
constexpr std::uint8_t kSyn = 2;
constexpr std::uint8_t kRst = 4;
constexpr std::uint32_t kHalf = 1u << 31;  // sequence numbers are compared modulo 2^32 (RFC 9293 §3.4)
constexpr std::size_t kChunkOverheadBytes = 128;

// How far `later` is behind `earlier`, modulo 2^32.
std::uint32_t distance(std::uint32_t earlier, std::uint32_t later) { return later - earlier; }

}  // namespace

TcpStream::TcpStream() = default;
TcpStream::~TcpStream() = default;
TcpStream::TcpStream(TcpStream&& other) noexcept = default;
TcpStream& TcpStream::operator=(TcpStream&& other) noexcept = default;

void TcpStream::take(const TcpSegment& segment, bool begins_message, TcpSink& sink) {
    if ((segment.flags & kRst) != 0) {
        if (begun_ && near(segment.sequence)) close(sink);
        return;
    }
    const bool syn = (segment.flags & kSyn) != 0;
    const std::uint32_t first = segment.sequence + (syn ? 1 : 0);
    if (syn) {
        on_syn(first, sink);
    } else if (!begun_ || is_of_another(first)) {
        if (begun_) close(sink);
        join(first, begins_message);
    }
    if (!segment.payload.empty()) add(first, segment, begins_message, sink);
    if ((segment.flags & kFin) != 0) end_ = first + static_cast<std::uint32_t>(segment.payload.size());
    close_at_end(sink);
}

// Too old for a retransmission, or long after the end: a connection on the same ports, whose SYN was not seen.
bool TcpStream::is_of_another(std::uint32_t first) const {
    const std::uint32_t behind = distance(first, expected_);
    return (behind > kOldestBytes && behind < kHalf) || (closed_ && !near(first));
}

void TcpStream::begin(std::uint32_t sequence) {
    *this = TcpStream();
    begun_ = true;
    expected_ = sequence;
}

void TcpStream::on_syn(std::uint32_t first, TcpSink& sink) {
    if (begun_ && start_ == first) return;  // again
    const bool late = begun_ && !start_ && !joining_ && distance(first, expected_) <= kOldestBytes;
    const bool awaited = joining_ && distance(expected_, first) <= kAttachBytes;
    if (!late && !awaited) {
        if (begun_) close(sink);
        begin(first);
    }
    start_ = first;
    if (!awaited) return;
    joining_ = false;
    expected_ = first;
    if (tracker_) resume(sink);
}

void TcpStream::join(std::uint32_t sequence, bool begins_message) {
    begin(begins_message ? sequence : sequence - kAttachBytes);
    joining_ = !begins_message;
}

void TcpStream::add(std::uint32_t first, const TcpSegment& segment, bool begins_message, TcpSink& sink) {
    if (!tracker_ && first == expected_) {
        expected_ += static_cast<std::uint32_t>(segment.payload.size());
        sink.on_bytes(segment.payload);
        return;
    }
    const std::uint32_t behind = distance(first, expected_);
    if (behind < kHalf && behind >= segment.payload.size()) return;  // seen before
    hold(first, segment, sink);
    if (joining_ && begins_message) skip_gap(sink);
}

void TcpStream::hold(std::uint32_t first, const TcpSegment& segment, TcpSink& sink) {
    if (!tracker_) {
        tracker_ = std::make_unique<DataTracker>(expected_);
        waiting_since_ns_ = segment.time_ns;
    }
    const bool progress =
        tracker_->process_payload(first, DataTracker::payload_type(segment.payload.begin(), segment.payload.end()));
    if (progress) waiting_since_ns_ = segment.time_ns;
    give_ordered(sink);
}

// What the tracker has put in order.
void TcpStream::give_ordered(TcpSink& sink) {
    expected_ = tracker_->sequence_number();
    const DataTracker::payload_type bytes = std::exchange(tracker_->payload(), {});
    if (tracker_->buffered_payload().empty()) tracker_.reset();
    if (!bytes.empty()) sink.on_bytes(bytes);
}

// Goes on at expected_, which has moved. An empty payload makes the tracker look what it has there; its
// advance_sequence() would throw that away.
void TcpStream::resume(TcpSink& sink) {
    tracker_->sequence_number(expected_);
    tracker_->process_payload(expected_, {});
    give_ordered(sink);
}

void TcpStream::skip_gap(TcpSink& sink) {
    if (!tracker_) return;
    std::uint32_t gap = std::numeric_limits<std::uint32_t>::max();
    for (const auto& [sequence, bytes] : tracker_->buffered_payload())
        gap = std::min(gap, distance(expected_, sequence));
    if (gap >= kHalf) {  // nothing that is still to come
        tracker_.reset();
        return;
    }
    if (!std::exchange(joining_, false)) sink.on_gap(gap);
    expected_ += gap;
    resume(sink);
    close_at_end(sink);
}

void TcpStream::close_at_end(TcpSink& sink) {
    if (end_ && distance(*end_, expected_) < kOldestBytes) close(sink);
}

// What waits behind gaps is given before.
void TcpStream::close(TcpSink& sink) {
    end_.reset();
    while (tracker_) skip_gap(sink);
    closed_ = true;
    sink.on_close();
}

std::size_t TcpStream::held_bytes() const {
    if (!tracker_) return 0;
    return tracker_->total_buffered_bytes() + tracker_->buffered_payload().size() * kChunkOverheadBytes;
}

bool TcpStream::near(std::uint32_t sequence) const {
    return distance(expected_, sequence) <= kOldestBytes || distance(sequence, expected_) <= kOldestBytes;
}

}  // namespace spantape
