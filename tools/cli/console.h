// SPDX-License-Identifier: AGPL-3.0-or-later
// Where a command writes, and what is known about it. Made once, in main; tests give string streams.
#pragma once

#include <cstddef>
#include <ostream>
#include <string_view>

namespace spantape::cli {

// Exit status of every command.
inline constexpr int kFine = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;

struct Console {
    std::ostream& out;      // tables, JSON, events, answers
    std::ostream& err;      // errors, warnings, progress
    std::size_t width = 0;  // columns of the terminal that `out` is; 0 when it is none
    bool progress = false;  // `err` is a terminal

    void warn(std::string_view line) const { err << "spantape: " << line << '\n'; }
    // For `return console.failed(…)`.
    [[nodiscard]] int failed(std::string_view line) const {
        warn(line);
        return kFailed;
    }
};

}  // namespace spantape::cli
