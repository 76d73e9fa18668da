// SPDX-License-Identifier: AGPL-3.0-or-later
// What an operator should read in the log about losses and floods: at most one line of each kind a second, with how
// many there were since the last. Control thread.
#pragma once

#include <string>
#include <vector>

#include "appliance/statistics.h"

namespace spantape {

class LossReport {
public:
    // Compares with what it was given before; call it once a second. The first call only remembers.
    std::vector<std::string> lines(const Statistics& now);

private:
    struct Seen {
        Drops drops{};
        SourceCounters sources;
        std::uint64_t streams_opened = 0, calls_evicted = 0;
    };
    static Seen seen_of(const Statistics& statistics);

    bool begun_ = false;
    Seen before_;
};

}  // namespace spantape
