// SPDX-License-Identifier: AGPL-3.0-or-later
// How much audio a stream holds, in RTP time: the sum over its runs of (end of its last frame - first timestamp) /
// clock rate; a run ends where sequence numbers and timestamps leave for elsewhere. Timestamps that jump while the
// sequence numbers go on stay one run, as whoever places audio by RTP timestamp alone would have it. Fed frame by frame
// on the data path: constant work, no allocation. One thread.
#pragma once

#include <cstdint>

#include "capture/base/clock.h"

namespace spantape {

class StreamExtent {
public:
    // The next stored frame, in order of arrival. clock_rate_hz: of the stream's audio, for its
    // events and comfort noise too; 0 is taken as 8000.
    void add(std::uint16_t sequence, std::uint32_t timestamp, std::uint8_t payload_type, std::uint32_t payload_bytes,
             std::uint32_t clock_rate_hz, TimeNs arrival_ns);
    // Of all that was fed so far.
    [[nodiscard]] TimeNs duration_ns() const;

private:
    // One run: all frames whose timestamps belong together, wherever in [first, end) they fall.
    struct Run {
        std::uint32_t base = 0;  // timestamp that the others are relative to
        std::int64_t first = 0, end = 0;
        std::int64_t newest = 0;  // start of the frame last seen
        TimeNs newest_ns = 0;
    };

    void begin(std::uint32_t timestamp, TimeNs arrival_ns);
    [[nodiscard]] bool leaves(std::int64_t position, std::uint16_t sequence, TimeNs arrival_ns) const;
    std::uint32_t frame_ticks(std::uint8_t payload_type, std::uint32_t payload_bytes, std::uint16_t sequence,
                              std::uint32_t timestamp);

    Run run_;
    TimeNs earlier_ns_ = 0;          // runs before this one
    std::uint32_t rate_hz_ = 0;      // 0: no frame yet
    std::uint32_t usual_ticks_ = 0;  // length of a frame, by payload or by spacing
    std::uint32_t last_timestamp_ = 0;
    std::uint16_t last_sequence_ = 0;
    // A frame outside of the run, that the next one makes the first of a new run or a stray.
    bool suspect_ = false;
    std::uint32_t suspect_timestamp_ = 0;
    std::uint32_t suspect_ticks_ = 0;
    std::uint16_t suspect_sequence_ = 0;
    TimeNs suspect_ns_ = 0;
};

}  // namespace spantape
