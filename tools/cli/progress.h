// SPDX-License-Identifier: AGPL-3.0-or-later
// One line at the bottom of a terminal that says how far a command is; nothing at all when there is no terminal.
// Any thread may use it.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "tools/cli/console.h"

namespace spantape::cli {

class Progress {
public:
    explicit Progress(const Console& console) : console_(console) {}
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void say(std::string_view line);
    // "label [#####.....]  50 %"; nothing for a total of 0.
    void bar(std::string_view label, std::uint64_t done, std::uint64_t total);
    void clear();
    // A warning above the progress line.
    void warn(std::string_view line);

private:
    void erase();

    const Console& console_;
    std::mutex mutex_;
    bool shown_ = false;  // under mutex_, as is the last time of showing
    std::int64_t last_shown_ns_ = 0;
};

}  // namespace spantape::cli
