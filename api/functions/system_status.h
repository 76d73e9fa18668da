// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: SYSTEMSTATUS. What the machine says of its disk, processors and memory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/protocol/message.h"

namespace spantape::api {

// The result's elements, in the manual's order; MHz, MiB and per cent. For the pool: it reads files.
[[nodiscard]] std::vector<Element> system_status(const std::string& recording_path);

// What /proc/cpuinfo says (proc(5)): one PROCESSOR# each.
[[nodiscard]] std::vector<Element> processor_elements(std::string_view cpuinfo);
// "0 days, 18 hours, 24 minutes, 37 seconds."
[[nodiscard]] std::string uptime_text(long seconds);

}  // namespace spantape::api
