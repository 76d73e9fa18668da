// SPDX-License-Identifier: AGPL-3.0-or-later
// RTCP reading on hostile datagrams: refused, or reports that lie within it, as many as its bytes can hold.
#include <cstddef>
#include <cstdint>
#include <span>

#include "capture/rtp/rtcp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static spantape::RtcpReports reports;
    if (!spantape::read_rtcp(std::span(data, size), reports)) return 0;
    if (size > spantape::RtcpReports::kMaxBytes || size % 4 != 0) __builtin_trap();
    if (reports.blocks().size() * 24 + reports.senders().size() * 28 > size) __builtin_trap();
    for (const auto& block : reports.blocks())
        if (block.cumulative_lost < -0x800000 || block.cumulative_lost > 0x7fffff) __builtin_trap();
    return 0;
}
