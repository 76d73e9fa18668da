// SPDX-License-Identifier: AGPL-3.0-or-later
// What the functions of calls and blackouts have in common: whom they mean, the fields that they set, what they answer.
#pragma once

#include <string>
#include <string_view>

#include "api/control/call_control.h"
#include "api/functions/function_table.h"

namespace spantape::api {

struct CallParameters {
    DeviceAddress who;
    FieldUpdate fields;
    std::string notes;  // "; USER1 cut to 20 characters", appended to RESULTMSG
};

// "USER1" … "USER15", by 0 … 14.
std::string_view user_parameter(std::size_t index);

CallParameters call_parameters(const Parameters& parameters);

// DEVICEID, DEVICEALIAS, SYS_USER, CRM_USER, STATIONNAME, CALLINSTANCE: those that were given, whole.
DeviceAddress device_address(const Parameters& parameters);

// API_OK as the manual's functions of calls and blackouts say it.
Reply sent_to_cores(const Request& request, const CallControl& control, const std::string& notes);

}  // namespace spantape::api
