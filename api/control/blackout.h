// SPDX-License-Identifier: AGPL-3.0-or-later
// The blackout windows of one call (manual: BLACKOUTSTART, BLACKOUTSTOP). A value: knows no device, no session, no
// clock.
//
// At most one window waits for its stop. A start while one does makes it begin at the earlier of both edges; a stop
// ends it, or, where none waits, moves the end of one that has not come yet. A stop before the start gives an empty
// window (manual: BLACKOUTSTOP, Notes).
#pragma once

#include <cstdint>
#include <vector>

#include "storage/blackout_windows.h"

namespace spantape {

class CallBlackouts {
public:
    struct Window {
        std::uint64_t id = 0;
        BlackoutWindow window;
        bool open = false;  // its stop has not come; window.to_ns is where the limit ends it then
    };

    // edge_ns: when it is to begin. new_id: for a window that is not there yet. limit_ns: how long after the start, or
    // the edge if that is later, the window ends without a stop; 0: never. Gives the window that is new or changed.
    Window start(std::uint64_t new_id, TimeNs edge_ns, TimeNs now_ns, TimeNs limit_ns);
    // The window as it is now, or nullptr: there is none to end.
    const Window* stop(TimeNs edge_ns, TimeNs now_ns);
    // Windows whose stop did not come within the limit; they are not open any more.
    std::vector<Window> expire(TimeNs now_ns);
    // Windows that go on at `stop_ns` end then; gives those.
    std::vector<Window> end_all(TimeNs stop_ns);

    [[nodiscard]] const std::vector<Window>& all() const { return windows_; }
    // Some window has its beginning or its end yet to come.
    [[nodiscard]] bool pending(TimeNs now_ns) const;

private:
    std::vector<Window> windows_;  // in order of their first start command
};

}  // namespace spantape
