// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/blackout_windows.h"

#include <algorithm>

namespace spantape {

std::vector<BlackoutWindow> merged(std::vector<BlackoutWindow> windows) {
    std::erase_if(windows, [](const BlackoutWindow& window) { return window.empty(); });
    std::ranges::sort(windows, {}, &BlackoutWindow::from_ns);
    std::vector<BlackoutWindow> all;
    for (const BlackoutWindow& window : windows) {
        if (all.empty() || window.from_ns > all.back().to_ns)
            all.push_back(window);
        else
            all.back().to_ns = std::max(all.back().to_ns, window.to_ns);
    }
    return all;
}

void BlackoutWindows::merge() {
    std::vector<BlackoutWindow> all;
    for (const Numbered& each : windows_) all.push_back(each.window);
    merged_ = merged(std::move(all));
}

void BlackoutWindows::set(std::uint64_t id, BlackoutWindow window) {
    const auto known = std::ranges::find(windows_, id, &Numbered::id);
    if (known != windows_.end())
        known->window = window;
    else
        windows_.push_back({id, window});
    merge();
}

void BlackoutWindows::end(std::uint64_t id, TimeNs to_ns) {
    const auto known = std::ranges::find(windows_, id, &Numbered::id);
    if (known == windows_.end()) return;
    known->window.to_ns = std::max(to_ns, known->window.from_ns);
    merge();
}

const BlackoutWindow* BlackoutWindows::find(std::uint64_t id) const {
    const auto known = std::ranges::find(windows_, id, &Numbered::id);
    return known == windows_.end() ? nullptr : &known->window;
}

const BlackoutWindow* BlackoutWindows::at(TimeNs at_ns) const {
    const auto behind = std::ranges::upper_bound(merged_, at_ns, {}, &BlackoutWindow::from_ns);
    if (behind == merged_.begin()) return nullptr;
    const BlackoutWindow& window = *(behind - 1);
    return window.holds(at_ns) ? &window : nullptr;
}

}  // namespace spantape
