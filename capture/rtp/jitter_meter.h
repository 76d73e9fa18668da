// SPDX-License-Identifier: AGPL-3.0-or-later
// Interarrival jitter of one stream (RFC 3550 §6.4.1, appendix A.8) in integers: on the hot path, a few instructions a
// frame, in 16 bytes that share a cache line with the stream's counters. One worker owns it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "capture/base/clock.h"

namespace spantape {

class JitterMeter {
public:
    // Whether clock_is() was last said of this payload type; else say it before on_frame().
    [[nodiscard]] bool knows(std::uint8_t payload_type) const { return payload_type_ == payload_type; }
    // rate_hz: the RTP clock of frames of this type; 0: unknown, or none to measure by (tones, comfort noise).
    void clock_is(std::uint8_t payload_type, std::uint32_t rate_hz) {
        const std::uint32_t unit_ns_q8 =
            rate_hz < kLeastRateHz ? 0 : static_cast<std::uint32_t>((kNsPerSecond * 256 + rate_hz / 2) / rate_hz);
        if (unit_ns_q8 != unit_ns_q8_) interrupt();
        unit_ns_q8_ = unit_ns_q8;
        payload_type_ = payload_type;
    }
    void forget_clock() { payload_type_ = kNoPayloadType; }

    // One frame that came in order: by how much its RTP time stamp and its arrival follow those of the frame before. A
    // marker begins a talk spurt: how long the silence before it took says nothing. True once in 16 frames that were
    // measured: time for JitterMean.
    bool on_frame(std::uint32_t units, TimeNs arrival_from_ns, TimeNs arrival_ns, bool marker) {
        if (unit_ns_q8_ == 0) return false;
        const bool follows = follows_ && !marker;
        follows_ = true;
        if (!follows) return false;
        const std::int64_t sent_ns = static_cast<std::int64_t>(static_cast<std::int32_t>(units)) * unit_ns_q8_ >> 8;
        // Unsigned: a file's capture times may be anything.
        return take(static_cast<std::uint64_t>(arrival_ns) - static_cast<std::uint64_t>(arrival_from_ns) -
                    static_cast<std::uint64_t>(sent_ns));
    }
    // The next frame has nothing to be compared with: the stream started again, or another frame stands between.
    void interrupt() { follows_ = false; }

    [[nodiscard]] bool measured() const { return measured_; }  // else the others say nothing
    [[nodiscard]] std::uint32_t now_16_us() const { return jitter_16_us_; }
    [[nodiscard]] std::uint32_t max_us() const { return max_16_us_ >> 4; }

private:
    static constexpr std::uint8_t kNoPayloadType = 0xff;
    static constexpr std::uint32_t kLeastRateHz = 1000;
    // No network holds a frame back for so long: the time stamps stood still over a silence, or jumped.
    static constexpr std::uint64_t kImplausibleNs = kNsPerSecond;

    bool take(std::uint64_t difference_ns) {
        const std::uint64_t apart_ns = std::min(difference_ns, -difference_ns);
        if (apart_ns >= kImplausibleNs) return false;
        jitter_16_us_ += static_cast<std::uint32_t>(apart_ns) / 1000 - ((jitter_16_us_ + 8) >> 4);
        max_16_us_ = std::max(max_16_us_, jitter_16_us_);
        measured_ = true;
        return (++turn_ & 15) == 0;
    }

    std::uint32_t unit_ns_q8_ = 0;    // one RTP clock unit, 1/256 ns; 0: not to be measured by
    std::uint32_t jitter_16_us_ = 0;  // 1/16 us
    std::uint32_t max_16_us_ = 0;
    std::uint8_t payload_type_ = kNoPayloadType;
    bool follows_ = false;
    bool measured_ = false;
    std::uint8_t turn_ = 0;
};
static_assert(sizeof(JitterMeter) == 16);

// The mean of the estimate over a stream's life, of every 16th value: the estimate forgets no faster.
class JitterMean {
public:
    void add(const JitterMeter& meter) {
        sum_16_us_ += meter.now_16_us();
        ++count_;
    }
    // With the meter's last value, so that short streams have one too.
    [[nodiscard]] std::uint32_t us(const JitterMeter& meter) const {
        return static_cast<std::uint32_t>((sum_16_us_ + meter.now_16_us()) / (count_ + 1) >> 4);
    }

private:
    std::uint64_t sum_16_us_ = 0;
    std::uint64_t count_ = 0;
};

}  // namespace spantape
