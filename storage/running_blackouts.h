// SPDX-License-Identifier: AGPL-3.0-or-later
// The blackouts that run, in STORE/blackouts.json, so that a daemon that is started anew in the middle of one goes on
// leaving out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/blackout_windows.h"

namespace spantape {

struct RunningBlackout {
    bool of_agent = false;    // of all calls of an agent; else of one call, on device_id
    bool stop_known = false;  // its stop has come, and lies in the future
    std::int32_t agent = 0;   // AGENTID of an agent of the directory
    std::string device_id, device_alias, sys_user, crm_user;  // how it was addressed
    BlackoutWindow window;                                    // until its stop, or the limit
    bool operator==(const RunningBlackout&) const = default;
};

// No file: none. Errors name the file and what is wrong in it.
Result<std::vector<RunningBlackout>> load_running_blackouts(const std::string& path);
// Takes the file's place in one step; durable when this returns.
Result<> save_running_blackouts(const std::string& path, const std::vector<RunningBlackout>& blackouts);

}  // namespace spantape
