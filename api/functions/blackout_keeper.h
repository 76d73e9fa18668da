// SPDX-License-Identifier: AGPL-3.0-or-later
// Keeps STORE/blackouts.json as control says. Lives on the control thread; the file is written on the pool, one state
// at a time, the newest.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/control/call_control.h"
#include "storage/running_blackouts.h"

namespace spantape::api {

class BlackoutKeeper {
public:
    struct Tools {
        CallControl& control;
        std::string path;  // "": nothing is kept
        boost::asio::io_context& control_thread;
        boost::asio::thread_pool& pool;
        std::function<void(const std::string& line)> log;  // what could not be written
    };
    explicit BlackoutKeeper(Tools tools) : tools_(std::move(tools)) {}

    // Takes up those that ran when the last daemon ended. An error: what ran is not known.
    Result<> resume(TimeNs now_ns);
    // `done` when the file tells of those that run now, or could not be written; at once when nothing has changed.
    void keep(std::function<void()> done);
    // Now and then: for those that ended by themselves.
    void tick() {
        keep([] {});
    }
    // Calls end with the daemon, and with them their blackouts; the file goes on telling of those that ran.
    void freeze() { frozen_ = true; }

private:
    void write();

    Tools tools_;
    std::optional<std::vector<RunningBlackout>> written_;  // or under way; nothing when the file's state is unknown
    bool writing_ = false, frozen_ = false;
    std::vector<std::function<void()>> under_way_, waiting_;  // for the write under way, for the next
};

}  // namespace spantape::api
