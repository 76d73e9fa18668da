// SPDX-License-Identifier: AGPL-3.0-or-later
// What the sequence numbers and time stamps of one stream tell: duplicates, gaps, late packets, restarts, and how much
// audio there was in RTP time. Owned by one worker; no allocation; after RFC 3550 appendix A.1.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "capture/rtp/frame.h"

namespace spantape {

class SequenceTracker {
public:
    // All but duplicates are to be stored.
    enum class Verdict : std::uint8_t {
        store,    // the first frame, or the next one
        gap,      // numbers before it are missing (yet)
        late,     // behind frames that came before it
        restart,  // a stray one, or a stream that started again: numbers or time stamps say nothing of what was before
        duplicate,
    };

    // One frame in order of arrival. `frame_units` is the frame's own length in RTP clock units where the payload
    // tells it (G.711: its bytes), else 0: the usual spacing is taken then.
    Verdict on_frame(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t frame_units) {
        Seen& seen = recent_[sequence % kWindow];
        if (!started_) {
            started_ = true;
            begin_run(sequence, timestamp, frame_units);
        } else {
            const auto ahead = static_cast<std::int16_t>(sequence - highest_);
            const bool repeated = seen.valid && seen.sequence == sequence;
            // The same number with another time stamp is a stream that started again, not a packet seen twice.
            if (repeated && ahead <= 0 && ahead > -kWindow && seen.timestamp == timestamp) return Verdict::duplicate;
            seen = {timestamp, sequence, true};
            if (ahead > 0 && ahead < kMaxDropout) return advance(ahead, sequence, timestamp, frame_units);
            if (!repeated && ahead > -kWindow && ahead <= 0) return late(-ahead);
            return jump(sequence, timestamp, frame_units);
        }
        seen = {timestamp, sequence, true};
        return Verdict::store;
    }

    // Asks for what on_frame() will look at.
    void prefetch(std::uint16_t sequence) const { __builtin_prefetch(&recent_[sequence % kWindow], 1); }

    // Frames missing in the sequence so far.
    [[nodiscard]] std::uint64_t lost() const { return lost_; }
    [[nodiscard]] std::uint16_t highest() const { return highest_; }
    [[nodiscard]] std::uint32_t last_timestamp() const { return last_timestamp_; }
    // Extent of the audio by RTP time stamps, in clock units: lowest to highest of each run, and the frame there.
    [[nodiscard]] std::uint64_t extent_units() const { return started_ ? done_units_ + run_units() : 0; }

    // Only the last `frames` frames were kept, from this one on: what was lost before it, and the time before it, do
    // not count. Nothing changes where the stream started again meanwhile, for then the numbers do not tell.
    void keep_from(std::uint16_t sequence, std::uint32_t timestamp, std::uint64_t frames) {
        const std::uint64_t numbers = static_cast<std::uint16_t>(highest_ - sequence) + std::uint64_t{1};
        if (done_units_ != 0 || numbers > kMaxDropout || numbers < frames) return;
        lost_ = std::min(lost_, numbers - frames);
        const auto back = static_cast<std::int32_t>(last_timestamp_ - timestamp);
        if (back >= 0 && back < kMaxStepUnits) lowest_ = std::max(lowest_, position_ - back);
    }

private:
    static constexpr int kWindow = 32;        // reorder window, packets
    static constexpr int kMaxDropout = 3000;  // a larger step ahead is a restart, not a loss
    struct Seen {
        std::uint32_t timestamp = 0;
        std::uint16_t sequence = 0;
        bool valid = false;
    };

    void begin_run(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t frame_units) {
        highest_ = sequence;
        last_timestamp_ = timestamp;
        position_ = lowest_ = top_ = 0;
        top_units_ = frame_units;
        numbers_ = 0;
        restarting_ = false;
    }
    Verdict advance(int ahead, std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t frame_units) {
        const auto step = static_cast<std::int32_t>(timestamp - last_timestamp_);
        if (step > kMaxStepUnits || step < -kMaxStepUnits) {  // another clock: the numbers went on, the time did not
            done_units_ += run_units();
            begin_run(sequence, timestamp, frame_units);
            return Verdict::restart;
        }
        lost_ += static_cast<std::uint64_t>(ahead - 1);
        numbers_ = static_cast<std::uint16_t>(std::min(numbers_ + ahead, kWindow));
        if (ahead == 1 && step > 0) spacing_ = static_cast<std::uint32_t>(step);
        move_to(timestamp, frame_units);
        highest_ = sequence;
        restarting_ = false;
        return ahead == 1 ? Verdict::store : Verdict::gap;
    }
    void move_to(std::uint32_t timestamp, std::uint32_t frame_units) {
        position_ += static_cast<std::int32_t>(timestamp - last_timestamp_);
        last_timestamp_ = timestamp;
        lowest_ = std::min(lowest_, position_);
        if (position_ < top_) return;
        top_ = position_;
        top_units_ = frame_units;
    }
    Verdict late(int behind) {
        if (lost_ > 0 && behind <= numbers_) --lost_;  // one from before the run began was never missed
        return Verdict::late;
    }
    // Out of the window: a lone stray packet, or (when a second one follows it) a stream that started again.
    Verdict jump(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t frame_units) {
        if (restarting_ && sequence == restart_expected_) {
            done_units_ += run_units();
            begin_run(sequence, restart_timestamp_, frame_units);  // from its first frame on
            move_to(timestamp, frame_units);
            numbers_ = 1;
            return Verdict::restart;
        }
        restarting_ = true;
        restart_expected_ = static_cast<std::uint16_t>(sequence + 1);
        restart_timestamp_ = timestamp;
        return Verdict::restart;
    }
    // From the lowest time stamp of the run to the highest, and the frame there.
    [[nodiscard]] std::uint64_t run_units() const {
        return static_cast<std::uint64_t>(top_ - lowest_) + (top_units_ != 0 ? top_units_ : spacing_);
    }

    static constexpr std::int32_t kMaxStepUnits = 600 * 8000;  // ten minutes of an 8 kHz clock

    // Touched by every frame, within two cache lines; the window's line comes on top.
    bool started_ = false;
    bool restarting_ = false;
    std::uint16_t highest_ = 0;
    std::uint16_t restart_expected_ = 0;
    std::uint16_t numbers_ = 0;  // the run's, from its first to highest_; no more than the window
    std::uint32_t restart_timestamp_ = 0;
    std::uint32_t last_timestamp_ = 0;
    std::uint32_t top_units_ = 0;  // length of the frame at top_
    std::uint32_t spacing_ = 160;
    std::int64_t position_ = 0;  // of the last frame in its run, clock units from the run's first
    std::int64_t lowest_ = 0;
    std::int64_t top_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t done_units_ = 0;  // of the runs before
    std::array<Seen, kWindow> recent_{};
};

}  // namespace spantape
