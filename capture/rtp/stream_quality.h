// SPDX-License-Identifier: AGPL-3.0-or-later
// What the network did to one stream, as we and its receiver saw it. Beside StreamCounters, which lie in segments too.
#pragma once

#include <cstdint>

namespace spantape {

struct StreamQuality {
    // At our tap: the interarrival jitter (RFC 3550 §6.4.1) after each frame, its mean and its highest.
    bool jitter_known = false;
    std::uint32_t jitter_us = 0;
    std::uint32_t max_jitter_us = 0;

    // StreamCounters::lost_before lies in so many gaps, ...
    std::uint64_t loss_bursts = 0;
    // ... and of it so much went when the kernel, the card or the spread among workers dropped packets that
    // were on their way to this worker; never more than they dropped.
    std::uint64_t lost_capture = 0;

    // As its receiver last reported by RTCP (RFC 3550 §6.4.1).
    std::uint32_t far_reports = 0;       // report blocks about it; 0: the others are unknown
    std::int32_t far_lost = 0;           // packets, cumulative; duplicates make it negative
    std::uint8_t far_fraction = 0;       // lost since the report before, 1/256
    std::uint32_t far_jitter_units = 0;  // RTP clock units
    std::uint32_t round_trip_us = 0;     // from our tap to the receiver and back; 0: unknown

    bool operator==(const StreamQuality&) const = default;
};

}  // namespace spantape
