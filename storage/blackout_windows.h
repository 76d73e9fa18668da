// SPDX-License-Identifier: AGPL-3.0-or-later
// The blackout windows of one media session: half-open intervals of capture time, each known by a number, in any order,
// overlapping or within one another. What counts is their union.
#pragma once

#include <cstdint>
#include <vector>

#include "capture/base/clock.h"

namespace spantape {

struct BlackoutWindow {
    TimeNs from_ns = 0;
    TimeNs to_ns = INT64_MAX;  // the first instant that is recorded again; INT64_MAX: not known yet

    [[nodiscard]] bool holds(TimeNs at_ns) const { return at_ns >= from_ns && at_ns < to_ns; }
    [[nodiscard]] bool empty() const { return to_ns <= from_ns; }
    bool operator==(const BlackoutWindow&) const = default;
};

// The union, in order of time, without overlaps; windows that touch become one, empty ones go.
[[nodiscard]] std::vector<BlackoutWindow> merged(std::vector<BlackoutWindow> windows);

class BlackoutWindows {
public:
    // A new window, or other edges for one known by this number.
    void set(std::uint64_t id, BlackoutWindow window);
    // Another end for a window; its start when `to_ns` lies before it. One that is not known stays so.
    void end(std::uint64_t id, TimeNs to_ns);
    // nullptr when there is none of that number.
    [[nodiscard]] const BlackoutWindow* find(std::uint64_t id) const;
    // The part of the union that holds the instant, or nullptr. Valid until the next change.
    [[nodiscard]] const BlackoutWindow* at(TimeNs at_ns) const;

private:
    struct Numbered {
        std::uint64_t id = 0;
        BlackoutWindow window;
    };
    void merge();

    std::vector<Numbered> windows_;
    std::vector<BlackoutWindow> merged_;
};

}  // namespace spantape
