// SPDX-License-Identifier: AGPL-3.0-or-later
// What is wrong with the appliance at this moment, though it goes on: for SYSTEMSTATUS, `spantape status`, /metrics and
// the log. Control thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "capture/base/clock.h"

namespace spantape {

struct Problem {
    std::string message;
    TimeNs since_ns = 0;  // wall clock
    TimeNs until_ns = 0;  // over, unless it is said again before; 0: until it is said to be
};

class Problems {
public:
    // log: a line for each problem that comes and goes.
    explicit Problems(std::function<void(const char* level, const std::string& line)> log) : log_(std::move(log)) {}

    // `what` names the part that is concerned, the same for as long as the problem lasts: "listener xml".
    void there_is(const std::string& what, const std::string& message, TimeNs now_ns, TimeNs lasts_ns = 0);
    void is_over(const std::string& what);
    // The one or the other; an empty message: there is none.
    void set(const std::string& what, const std::string& message, TimeNs now_ns);
    void expire(TimeNs now_ns);

    [[nodiscard]] const std::map<std::string, Problem>& all() const { return all_; }

private:
    std::function<void(const char* level, const std::string& line)> log_;
    std::map<std::string, Problem> all_;
};

}  // namespace spantape
