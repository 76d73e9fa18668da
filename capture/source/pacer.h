// SPDX-License-Identifier: AGPL-3.0-or-later
// When the packets of a capture are due: each as long after the first one as it was captured after it. Pure
// arithmetic on a clock that the caller reads; one owner.
#pragma once

#include "capture/base/clock.h"

namespace spantape {

class Pacer {
public:
    // captured_ns: the next packet's time; now_ns: the monotonic clock. Once a packet is due it stays so.
    bool is_due(TimeNs captured_ns, TimeNs now_ns) {
        const bool jumps =
            started_ && (captured_ns - last_ns_ > kLongestPause || last_ns_ - captured_ns > kLongestStepBack);
        if (!started_ || jumps) offset_ns_ = now_ns - captured_ns;
        started_ = true;
        last_ns_ = captured_ns;
        return captured_ns + offset_ns_ <= now_ns;
    }

private:
    // A clock that was set, not a silence: nobody waits for the years between. Backward, small steps are packets of
    // several interfaces that were written out of order.
    static constexpr TimeNs kLongestPause = TimeNs{24} * 3600 * kNsPerSecond;
    static constexpr TimeNs kLongestStepBack = 10 * kNsPerSecond;

    bool started_ = false;
    TimeNs last_ns_ = 0;
    TimeNs offset_ns_ = 0;
};

}  // namespace spantape
