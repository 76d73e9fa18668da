// SPDX-License-Identifier: AGPL-3.0-or-later
// Keeps the bounds of the current run and the sum of those before.
#include "storage/audio/stream_extent.h"

#include <algorithm>

#include "storage/audio/ticks.h"

namespace spantape {
namespace {

// Timestamps that go further back, or ahead by so much more than the capture clock, begin a new run.
constexpr TimeNs kBackNs = kNsPerSecond;
constexpr TimeNs kAheadNs = 10 * kNsPerSecond;
// Where the sequence numbers go on, the sender means one stream: only a clock set at random begins a new run.
constexpr TimeNs kLeapNs = 600 * kNsPerSecond;
constexpr std::uint16_t kMaxLost = 64;  // frames missing between two that still follow one another
constexpr std::uint32_t kMaxFrameMs = 200;

bool follows(std::uint16_t before, std::uint16_t sequence) {
    const auto ahead = static_cast<std::uint16_t>(sequence - before);
    return ahead > 0 && ahead <= kMaxLost;
}

}  // namespace

void StreamExtent::begin(std::uint32_t timestamp, TimeNs arrival_ns) { run_ = {timestamp, 0, 0, 0, arrival_ns}; }

bool StreamExtent::leaves(std::int64_t position, std::uint16_t sequence, TimeNs arrival_ns) const {
    if (position >= run_.first && position <= run_.end) return false;
    const TimeNs moved_ns = ns_of(position - run_.newest, rate_hz_);
    const TimeNs waited_ns = std::max<TimeNs>(arrival_ns - run_.newest_ns, 0);
    const bool one_stream = !suspect_ && follows(last_sequence_, sequence);
    return moved_ns < -(one_stream ? kLeapNs : kBackNs) || moved_ns - waited_ns > (one_stream ? kLeapNs : kAheadNs);
}

// G.711 by its payload; others by the distance of frames that follow one another.
std::uint32_t StreamExtent::frame_ticks(std::uint8_t payload_type, std::uint32_t payload_bytes, std::uint16_t sequence,
                                        std::uint32_t timestamp) {
    const std::uint32_t step = timestamp - last_timestamp_;
    if ((payload_type == 0 || payload_type == 8) && payload_bytes > 1) {
        usual_ticks_ = payload_bytes;
    } else if (static_cast<std::uint16_t>(sequence - last_sequence_) == 1 && step > 0 &&
               step <= rate_hz_ / 1000 * kMaxFrameMs && (usual_ticks_ == 0 || step < usual_ticks_)) {
        usual_ticks_ = step;
    }
    last_sequence_ = sequence;
    last_timestamp_ = timestamp;
    return usual_ticks_;
}

void StreamExtent::add(std::uint16_t sequence, std::uint32_t timestamp, std::uint8_t payload_type,
                       std::uint32_t payload_bytes, std::uint32_t clock_rate_hz, TimeNs arrival_ns) {
    if (clock_rate_hz == 0) clock_rate_hz = 8000;
    if (rate_hz_ != clock_rate_hz) {  // the first frame, or another clock
        earlier_ns_ = duration_ns();
        rate_hz_ = clock_rate_hz;
        usual_ticks_ = 0;
        last_sequence_ = sequence;
        last_timestamp_ = timestamp;
        suspect_ = false;
        begin(timestamp, arrival_ns);
    }
    // Relative to the newest frame, so that any number of wraps is followed.
    const auto newest_timestamp = run_.base + static_cast<std::uint32_t>(run_.newest);
    std::int64_t position = run_.newest + static_cast<std::int32_t>(timestamp - newest_timestamp);
    const bool left = leaves(position, sequence, arrival_ns);
    const std::uint32_t ticks = frame_ticks(payload_type, payload_bytes, sequence, timestamp);
    if (left) {
        if (!suspect_ || !follows(suspect_sequence_, sequence)) {
            suspect_ = true;
            suspect_timestamp_ = timestamp;
            suspect_sequence_ = sequence;
            suspect_ticks_ = ticks;
            suspect_ns_ = arrival_ns;
            return;
        }
        earlier_ns_ = duration_ns();
        begin(suspect_timestamp_, suspect_ns_);
        run_.end = suspect_ticks_;
        position = static_cast<std::int32_t>(timestamp - suspect_timestamp_);
    }
    suspect_ = false;
    run_.first = std::min(run_.first, position);
    run_.end = std::max(run_.end, position + ticks);
    run_.newest = position;
    run_.newest_ns = arrival_ns;
}

TimeNs StreamExtent::duration_ns() const {
    return earlier_ns_ + (rate_hz_ == 0 ? 0 : ns_of(run_.end - run_.first, rate_hz_));
}

}  // namespace spantape
