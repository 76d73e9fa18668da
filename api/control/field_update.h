// SPDX-License-Identifier: AGPL-3.0-or-later
// The fields that a call function may set: present or not; present and empty clears.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "storage/recording.h"

namespace spantape {

struct FieldUpdate {
    std::optional<std::string> device_alias, sys_user, crm_user, station;
    std::optional<std::string> group, gate, ani, dnis, call_id, direction;
    std::array<std::optional<std::string>, 15> user;
    std::optional<std::int32_t> priority, keep_days;
    std::optional<std::int64_t> archive_action;
    std::optional<bool> agent_initiated, cti_initiated;
    std::optional<std::int32_t> max_record_time_s;
};

void apply(const FieldUpdate& update, Recording& recording);

}  // namespace spantape
