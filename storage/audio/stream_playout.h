// SPDX-License-Identifier: AGPL-3.0-or-later
// Frames of one stream -> places on the recording's clock.
//
// Within a talk spurt audio is placed by RTP timestamp, relative to an anchor that ties the RTP clock to the capture
// clock; when the two part by more than a jitter buffer can explain, the anchor moves (senders whose clocks run
// wrong, timestamps that stand still over a silence, jumps, restarts). A sender's clock that drifts from ours is
// followed without a step: while the two are apart by more than kDriftNs, frames are made longer or shorter by one
// sample in 160, which nobody hears, or the next pause is. What is misplaced otherwise, by less than jitter, is put
// right where nothing is heard. What is not audible takes no part. Frames are decoded in this order, each once. What a
// codec knows to conceal of a loss, its comfort noise and that of RFC 3389 fill gaps; the others are silence. One
// thread; memory is bounded by the look-ahead.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "storage/audio/decoder.h"
#include "storage/audio/frame_order.h"

namespace spantape {

// Samples, or comfort noise, and where they go.
struct PlacedFrame {
    std::uint32_t rate_hz = 8000;
    std::int64_t position = 0;  // of the first sample, from the start of the recording
    std::vector<std::int16_t> samples;
    std::int64_t noise_samples = 0;  // where there are no samples: white noise, however long
    std::int32_t noise_peak = 0;

    [[nodiscard]] std::int64_t end() const {
        return position + noise_samples + static_cast<std::int64_t>(samples.size());
    }
};

class StreamPlayout {
public:
    // Clocks that part by no more than this are jitter.
    static constexpr TimeNs kAnchorToleranceNs = 60 * kNsPerMs;
    // What is for long further than this from where the clock wants it is moved, to within kDriftDoneNs.
    static constexpr TimeNs kDriftNs = 8 * kNsPerMs;
    static constexpr TimeNs kDriftDoneNs = kNsPerMs;
    static constexpr TimeNs kDriftMemoryNs = 10 * kNsPerSecond;
    // Where audio is so long after the anchor moved is where it belongs, more or less; drift goes away from there.
    static constexpr TimeNs kSettledNs = 20 * kNsPerSecond;
    // A step back by no more than this is absorbed: frames follow one another until a gap, or frames in which nothing
    // is heard, let them catch up.
    static constexpr TimeNs kAbsorbNs = 200 * kNsPerMs;
    // Audio looked at before and after a frame to tell a late burst from a step of the clock.
    static constexpr TimeNs kLookNs = kNsPerSecond;
    static constexpr std::size_t kLookFrames = 128;
    // A step between two frames beyond which nothing of the old anchor is kept.
    static constexpr TimeNs kRestartNs = 10 * kNsPerSecond;

    // start_ns, stop_ns: of the recording; frames that arrived more than a few seconds outside of it are ignored.
    StreamPlayout(TimeNs start_ns, TimeNs stop_ns) : start_ns_(start_ns), stop_ns_(stop_ns) {}

    // In order of arrival. False: this frame and all later ones lie behind the end of the recording.
    bool push(const StoredFrame& frame, const PayloadFormat& format);
    void finish();

    // In order; positions never go back and never overlap.
    std::deque<PlacedFrame>& placed() { return placed_; }

private:
    // How late a frame arrived by its own clock, beside where in the stream's audio it lies.
    struct Transit {
        TimeNs media_ns = 0;
        TimeNs transit_ns = 0;
    };
    struct Waiting {
        OrderedFrame frame;
        Transit transit;
        std::int64_t ticks = 0;  // timestamp, unwrapped since the last restart, in samples
        std::uint32_t samples = 0;
        bool lost = false;               // frames before this one did not arrive
        std::int64_t noise_samples = 0;  // comfort noise was announced for so long before it
        std::int32_t noise_peak = 0;
        bool restart = false;
    };

    // Comfort noise as last announced, since the last loss and the last audible frame.
    struct Noise {
        std::uint32_t timestamp = 0;  // where it begins
        std::int32_t peak = 0;
    };

    void take_ordered();
    void hear_noise(const OrderedFrame& frame);
    void enqueue(OrderedFrame frame, std::uint32_t samples);
    void place_ready();
    void place(Waiting& frame);
    [[nodiscard]] TimeNs earliest_ahead() const;
    TimeNs baseline(const Waiting& frame);
    void anchor_to(TimeNs transit_ns, const Waiting& frame);
    void look_for_drift(TimeNs base_ns, std::int64_t behind, const Waiting& frame);
    void shift_anchor(std::int64_t samples, std::uint32_t rate_hz);
    void move_anchor(std::int64_t samples, std::uint32_t rate_hz);
    void correct_drift(std::vector<std::int16_t>& samples, std::int64_t behind, std::uint32_t rate_hz);
    void put(const Waiting& frame, std::int64_t position);
    [[nodiscard]] bool starts_decoder(const Waiting& frame) const;
    void fill(const Waiting& frame, std::int64_t position);
    std::vector<std::int16_t> decode(const Waiting& frame);

    TimeNs start_ns_;
    TimeNs stop_ns_;
    FrameOrder order_;
    std::deque<Waiting> waiting_;
    std::deque<Transit> past_;
    std::deque<PlacedFrame> placed_;

    // Of the run and the codec that is being placed; none before the first frame.
    std::unique_ptr<Decoder> decoder_;
    PayloadFormat decoder_format_;

    // The frame last given out in order.
    std::uint16_t last_sequence_ = 0;
    bool lost_ = false;  // frames since the last audible one
    std::optional<Noise> noise_;

    // The frame last enqueued.
    std::uint32_t last_timestamp_ = 0;
    std::uint32_t last_rate_hz_ = 0;  // 0: none yet
    std::int64_t last_ticks_ = 0;
    TimeNs last_transit_ns_ = 0;
    TimeNs media_ns_ = 0;  // audio enqueued so far

    TimeNs anchor_ns_ = 0;              // transit that the anchor stands for
    std::int64_t anchor_ticks_ = 0;     // these ticks
    std::int64_t anchor_position_ = 0;  // lie at this sample
    TimeNs drift_ns_ = 0;               // mean over kDriftMemoryNs: how far the clock left the anchor,
    TimeNs late_ns_ = 0;                // and how far behind their places absorbed frames were put
    TimeNs settled_ns_ = 0;             // the first when the clock was new
    TimeNs anchored_ns_ = 0;            // audio since then
    bool drifting_ = false;             // the first is put right
    bool catching_up_ = false;          // the second is
    std::int64_t cursor_ = 0;           // end of what was placed, in samples of cursor_rate_hz_
    std::uint32_t cursor_rate_hz_ = 0;  // 0: nothing was placed
    bool cutting_ = false;              // heads are cut until the clock has caught up
    bool finished_ = false;
};

}  // namespace spantape
