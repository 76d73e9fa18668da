// SPDX-License-Identifier: AGPL-3.0-or-later
// Devices as DEVICELIST, DEVICESTATUS and DEVICERECORDINGSTATUS show them: written at once, since there can be ten
// thousand of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "api/control/state.h"

namespace spantape::api {

// A DEVICE of DEVICELIST and DEVICESTATUS: the call that is active or was last.
void append_device(std::string& out, const Device& device, std::uint32_t core_id);
// A DEVICE of DEVICERECORDINGSTATUS: a RECORDING for each active call that is `visible`.
void append_device_calls(std::string& out, const Device& device, std::uint32_t core_id,
                         const std::function<bool(const Call&)>& visible);

}  // namespace spantape::api
