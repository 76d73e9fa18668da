// SPDX-License-Identifier: AGPL-3.0-or-later
// Which of the gaps in the streams' numbers our own capture made. The kernel and the card say how many packets they
// dropped, late and not which; streams show gaps, which the network may have made too. A gap within two seconds of such
// drops is put down to them, and no more packets than were dropped. One worker owns it; nothing is allocated.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "capture/base/clock.h"

namespace spantape {

class CaptureLoss {
public:
    // A stream's gap of so many packets. Of many at once only the newest are remembered.
    void on_gap(std::uint32_t slot, std::uint64_t stream_id, std::uint64_t packets, TimeNs now_ns) {
        gaps_[newest_++ % kMostGaps] = {slot, stream_id, packets, now_ns};
        oldest_ = std::max(oldest_, newest_ - std::min(newest_, kMostGaps));
    }

    // dropped: packets by this worker's sources since start. Calls credit(slot, stream_id, packets) for what is put
    // down to them now. Some ten times a second.
    template <class Credit>
    void update(std::uint64_t dropped, TimeNs now_ns, Credit credit) {
        if (dropped > dropped_) {
            unexplained_ += dropped - dropped_;
            dropped_ = dropped;
            dropped_ns_ = now_ns;
        } else if (now_ns - dropped_ns_ > kNearNs) {
            unexplained_ = 0;  // of other packets than RTP, or behind a stream's last frame
        }
        while (oldest_ != newest_) {
            Gap& gap = gaps_[oldest_ % kMostGaps];
            const std::uint64_t packets = std::min(gap.packets, unexplained_);
            if (packets != 0) credit(gap.slot, gap.stream_id, packets);
            unexplained_ -= packets;
            gap.packets -= packets;
            if (gap.packets != 0 && now_ns - gap.time_ns <= kNearNs) return;  // the drops may be told yet
            ++oldest_;
        }
    }

private:
    static constexpr std::size_t kMostGaps = 4096;
    static constexpr TimeNs kNearNs = 2 * kNsPerSecond;  // sources ask for their drops once a second
    struct Gap {
        std::uint32_t slot = 0;
        std::uint64_t stream_id = 0;
        std::uint64_t packets = 0;
        TimeNs time_ns = 0;
    };
    std::uint64_t dropped_ = 0;
    std::uint64_t unexplained_ = 0;  // dropped, and no gap found for it yet
    TimeNs dropped_ns_ = 0;
    std::size_t oldest_ = 0;  // gaps from here up to newest_ are undecided
    std::size_t newest_ = 0;
    std::array<Gap, kMostGaps> gaps_{};
};

}  // namespace spantape
