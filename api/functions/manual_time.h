// SPDX-License-Identifier: AGPL-3.0-or-later
// Times as requests give them: manual, IMPORTUSER: ADD_TIME, MOD_TIME (Date/time offset).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "capture/base/clock.h"

namespace spantape::api {

// "10/30/2006 4:05:38 PM" or "2006-10-30 16:05:38", in the appliance's time zone unless an offset such as "-05:00"
// follows; nullopt for anything else.
[[nodiscard]] std::optional<TimeNs> parse_manual_time(const std::string& text);
// "10/30/2006 4:05:38 PM-05:00"; "" for 0.
[[nodiscard]] std::string manual_time_with_offset(TimeNs time_ns);

}  // namespace spantape::api
