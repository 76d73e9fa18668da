// SPDX-License-Identifier: AGPL-3.0-or-later
// What happened, by SIP and the API, against what is stored: every call that ended is either whole, or not recorded by
// decision, or named here with what it lacks. Owned by the control thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "storage/assurance.h"

namespace spantape {

struct ShortCall {
    TimeNs at_ns = 0;         // its beginning
    std::uint64_t ident = 0;  // its recording; 0: none
    std::string global_call_id, device_id;
    std::vector<Shortfall> lacks;
};

class Assurance {
public:
    struct Counts {
        std::uint64_t whole = 0;        // recordings
        std::uint64_t by_decision = 0;  // calls that the schedule did not want
        std::uint64_t unanswered = 0;   // calls
        std::uint64_t short_of = 0;     // recordings and calls that lack something
        std::array<std::uint64_t, kShortfalls> by_reason{};
    };

    void stored(const Recording& recording) {
        note({recording.start_ns, recording.ident, recording.global_call_id, recording.device_id,
              shortfalls_of(recording)});
    }
    void not_wanted() { ++counts_.by_decision; }
    void not_answered() { ++counts_.unanswered; }
    // lacks nothing: it is whole.
    void note(ShortCall call) {
        if (call.lacks.empty()) {
            ++counts_.whole;
            return;
        }
        ++counts_.short_of;
        for (const Shortfall reason : call.lacks) ++counts_.by_reason[static_cast<std::size_t>(reason)];
        latest_.push_back(std::move(call));
        if (latest_.size() > kLatest) latest_.pop_front();
    }

    [[nodiscard]] const Counts& counts() const { return counts_; }
    [[nodiscard]] const std::deque<ShortCall>& latest() const { return latest_; }  // oldest first

private:
    static constexpr std::size_t kLatest = 1000;
    Counts counts_;
    std::deque<ShortCall> latest_;
};

}  // namespace spantape
