// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/loss_report.h"

#include <utility>

#include <fmt/format.h>

namespace spantape {

namespace {

// What we lost ourselves; the other reasons are packets of no use, or a look-back ring's normal life.
constexpr DropReason kOurLosses[] = {DropReason::no_stream_slot, DropReason::ring_full, DropReason::oversized,
                                     DropReason::signalling_full};

void add_source_line(const char* where, std::uint64_t packets, std::vector<std::string>& lines) {
    if (packets != 0) lines.push_back(fmt::format("{} packets lost before us: {}", packets, where));
}

}  // namespace

LossReport::Seen LossReport::seen_of(const Statistics& statistics) {
    Seen seen{.drops = statistics.drops(),
              .sources = {},
              .streams_opened = statistics.sum(&WorkerStatistics::streams_opened),
              .calls_evicted = statistics.signalling.calls_evicted};
    for (const SourceStatistics& source : statistics.sources) {
        seen.sources.dropped_kernel += source.counters.dropped_kernel;
        seen.sources.dropped_card += source.counters.dropped_card;
        seen.sources.dropped_spread += source.counters.dropped_spread;
    }
    return seen;
}

std::vector<std::string> LossReport::lines(const Statistics& now) {
    const Seen seen = seen_of(now);
    std::vector<std::string> lines;
    if (!std::exchange(begun_, true)) {
        before_ = seen;
        return lines;
    }
    for (const DropReason reason : kOurLosses) {
        const auto index = static_cast<std::size_t>(reason);
        if (const std::uint64_t packets = seen.drops[index] - before_.drops[index]; packets != 0)
            lines.push_back(fmt::format("{}: {} packets in the last second ({})", name_of(reason), packets,
                                        description_of(reason)));
    }
    add_source_line("the kernel had no room", seen.sources.dropped_kernel - before_.sources.dropped_kernel, lines);
    add_source_line("by the card or its driver", seen.sources.dropped_card - before_.sources.dropped_card, lines);
    add_source_line("a busy worker did not take them over",
                    seen.sources.dropped_spread - before_.sources.dropped_spread, lines);
    // More new streams in a second than there are slots: no call centre does that.
    const std::uint64_t opened = seen.streams_opened - before_.streams_opened;
    if (opened > now.sum(&WorkerStatistics::slots))
        lines.push_back(fmt::format("a flood of RTP: {} new streams in the last second", opened));
    if (const std::uint64_t evicted = seen.calls_evicted - before_.calls_evicted; evicted != 0)
        lines.push_back(
            fmt::format("a flood of SIP: {} calls were given up in the last second, more are not followed "
                        "at once",
                        evicted));
    before_ = seen;
    return lines;
}

}  // namespace spantape
