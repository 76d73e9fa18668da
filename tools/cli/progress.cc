// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/progress.h"

#include <algorithm>

#include <fmt/format.h>

#include "capture/base/clock.h"
#include "tools/cli/terminal_text.h"

namespace spantape::cli {
namespace {

constexpr std::int64_t kBetweenShownNs = 100 * kNsPerMs;
constexpr std::uint64_t kBarColumns = 30;
constexpr std::size_t kMostColumns = 79;

}  // namespace

void Progress::say(std::string_view line) {
    if (!console_.progress) return;
    const std::lock_guard lock(mutex_);
    const std::int64_t now_ns = monotonic_ns();
    if (shown_ && now_ns - last_shown_ns_ < kBetweenShownNs) return;
    erase();
    console_.err << cut_to(line, kMostColumns) << std::flush;
    shown_ = true;
    last_shown_ns_ = now_ns;
}

void Progress::bar(std::string_view label, std::uint64_t done, std::uint64_t total) {
    if (!console_.progress || total == 0) return;
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const auto filled = static_cast<std::size_t>(part * kBarColumns);
    say(fmt::format("{} [{}{}] {:3.0f} %", label, std::string(filled, '#'), std::string(kBarColumns - filled, '.'),
                    part * 100));
}

void Progress::clear() {
    const std::lock_guard lock(mutex_);
    erase();
    console_.err << std::flush;
}

void Progress::warn(std::string_view line) {
    const std::lock_guard lock(mutex_);
    erase();
    console_.warn(line);
}

// Carriage return and "erase to the end of the line" (ECMA-48 EL).
void Progress::erase() {
    if (shown_) console_.err << "\r\x1b[K";
    shown_ = false;
}

}  // namespace spantape::cli
