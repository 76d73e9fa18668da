// SPDX-License-Identifier: AGPL-3.0-or-later
// At most one line a second of each kind, however often there is something to say; what was held back is told as a
// number. Owned by one thread; time comes with each call.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "capture/base/clock.h"

namespace spantape {

class RateLimitedLog {
public:
    using Write = std::function<void(const std::string& line)>;
    explicit RateLimitedLog(Write write) : write_(std::move(write)) {}

    // `kind` is one of a few words of ours, never something from outside: each is remembered.
    void say(std::string_view kind, const std::string& line, TimeNs now_ns) {
        auto at = kinds_.find(kind);
        if (at == kinds_.end()) at = kinds_.emplace(kind, Kind{now_ns - kNsPerSecond}).first;
        Kind& known = at->second;
        if (now_ns - known.said_ns < kNsPerSecond) {
            ++known.held_back;
            known.last = line;
            return;
        }
        known.said_ns = now_ns;
        if (known.held_back != 0) ++known.held_back;
        known.last = line;
        known.held_back == 0 ? write_(line) : tell_held_back(known);
    }

    // Tells what was held back for a second. To be called every now and then.
    void tick(TimeNs now_ns) {
        for (auto& [kind, known] : kinds_) {
            if (known.held_back == 0 || now_ns - known.said_ns < kNsPerSecond) continue;
            known.said_ns = now_ns;
            tell_held_back(known);
        }
    }

private:
    struct Kind {
        TimeNs said_ns = 0;
        std::uint64_t held_back = 0;
        std::string last = {};
    };

    void tell_held_back(Kind& known) {
        if (known.held_back == 1) write_(known.last);
        if (known.held_back > 1) write_(fmt::format("{} (the last of {} such lines)", known.last, known.held_back));
        known.held_back = 0;
    }

    Write write_;
    std::map<std::string, Kind, std::less<>> kinds_;
};

}  // namespace spantape
