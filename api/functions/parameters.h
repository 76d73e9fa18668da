// SPDX-License-Identifier: AGPL-3.0-or-later
// Typed parameters of the call functions, after the manual's chapter "Data Type Values" and api-decisions: a value too
// long is cut and the answer says so; a wrong type refuses the request naming the field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/control/call_control.h"
#include "api/protocol/message.h"

namespace spantape::api {

struct CallParameters {
    DeviceAddress who;
    FieldUpdate fields;
    bool update_if_not_recording = false;
    std::optional<std::uint64_t> record_id;
    std::string notes;  // "; USER1 cut to 20 characters", appended to RESULTMSG
};

// clear_empty: a tag sent empty clears its field (updates); otherwise it equals an absent one.
Result<CallParameters> call_parameters(const Request& request, bool clear_empty);

// Device parameters alone (status functions).
DeviceAddress device_parameters(const Request& request);

// A whole decimal number; nullopt for anything else.
std::optional<std::int64_t> parse_integer(std::string_view text);

}  // namespace spantape::api
