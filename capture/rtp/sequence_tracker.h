// SPDX-License-Identifier: AGPL-3.0-or-later
// What the sequence numbers and time stamps of one stream tell: duplicates, gaps, late packets, restarts, and how much
// audio there was in RTP time. Owned by one worker; no allocation; after RFC 3550 appendix A.1.
#pragma once

#include <array>
#include <cstdint>

#include "capture/rtp/frame.h"

namespace spantape {

class SequenceTracker {
public:
    enum class Verdict : std::uint8_t { store, duplicate };

    // One frame in order of arrival. `frame_units` is the frame's own length in RTP clock units where the payload
    // tells it (G.711: its bytes), else 0: the usual spacing is taken then.
    Verdict on_frame(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t frame_units) {
        Seen& seen = recent_[sequence % kWindow];
        if (!started_) {
            started_ = true;
            begin_run(sequence, timestamp, frame_units);
        } else {
            const auto ahead = static_cast<std::int16_t>(sequence - highest_);
            // The same number with another time stamp is a stream that started again, not a packet seen twice.
            if (ahead <= 0 && ahead > -kWindow && seen.valid && seen.sequence == sequence && seen.timestamp == timestamp)
                return Verdict::duplicate;
            if (ahead > 0 && ahead < kMaxDropout)
                advance(ahead, sequence, timestamp, frame_units);
            else if (ahead > -kWindow && ahead <= 0 && !(seen.valid && seen.sequence == sequence))
                late();
            else
                jump(sequence, timestamp, frame_units);
        }
        seen = {timestamp, sequence, true};
        return Verdict::store;
    }

    // Frames missing in the sequence so far.
    [[nodiscard]] std::uint64_t lost() const { return lost_; }
    [[nodiscard]] std::uint16_t highest() const { return highest_; }
    [[nodiscard]] std::uint32_t last_timestamp() const { return last_timestamp_; }
    // Extent of the audio by RTP time stamps, in clock units: first to last of each run, and the last frame itself.
    [[nodiscard]] std::uint64_t extent_units() const { return extent_ + (frame_units_ != 0 ? frame_units_ : spacing_); }

private:
    static constexpr int kWindow = 32;         // reorder window, packets
    static constexpr int kMaxDropout = 3000;   // a larger step ahead is a restart, not a loss
    struct Seen {
        std::uint32_t timestamp = 0;
        std::uint16_t sequence = 0;
        bool valid = false;
    };

    void begin_run(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t frame_units) {
        highest_ = sequence;
        last_timestamp_ = timestamp;
        frame_units_ = frame_units;
        restart_expected_ = static_cast<std::uint16_t>(sequence - 1);  // none expected
        restarting_ = false;
    }
    void advance(int ahead, std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t frame_units) {
        lost_ += static_cast<std::uint64_t>(ahead - 1);
        const auto step = static_cast<std::int32_t>(timestamp - last_timestamp_);
        if (step > 0) {
            extent_ += static_cast<std::uint32_t>(step);
            if (ahead == 1) spacing_ = static_cast<std::uint32_t>(step);
            last_timestamp_ = timestamp;
            frame_units_ = frame_units;
        } else if (step < -kBackwardsUnits) {  // the clock was set back while the numbers went on
            extent_ += frame_units_ != 0 ? frame_units_ : spacing_;
            last_timestamp_ = timestamp;
            frame_units_ = frame_units;
        }
        highest_ = sequence;
        restarting_ = false;
    }
    void late() {
        if (lost_ > 0) --lost_;
    }
    // Out of the window: a lone stray packet, or (when a second one follows it) a stream that started again.
    void jump(std::uint16_t sequence, std::uint32_t timestamp, std::uint32_t frame_units) {
        if (restarting_ && sequence == restart_expected_) {
            extent_ += frame_units_ != 0 ? frame_units_ : spacing_;       // the old run's last frame
            extent_ += static_cast<std::uint32_t>(timestamp - restart_timestamp_);  // the new run's first frame
            begin_run(sequence, timestamp, frame_units);
            return;
        }
        restarting_ = true;
        restart_expected_ = static_cast<std::uint16_t>(sequence + 1);
        restart_timestamp_ = timestamp;
    }

    static constexpr std::int32_t kBackwardsUnits = 4000;

    // Touched by every frame, within two cache lines; the window's line comes on top.
    bool started_ = false;
    bool restarting_ = false;
    std::uint16_t highest_ = 0;
    std::uint16_t restart_expected_ = 0;
    std::uint32_t restart_timestamp_ = 0;
    std::uint32_t last_timestamp_ = 0;
    std::uint32_t frame_units_ = 0;
    std::uint32_t spacing_ = 160;
    std::uint64_t lost_ = 0;
    std::uint64_t extent_ = 0;
    std::array<Seen, kWindow> recent_{};
};

}  // namespace spantape
