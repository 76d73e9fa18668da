// SPDX-License-Identifier: AGPL-3.0-or-later
// The fields that a call function may set: present or not; present and empty clears.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/recording.h"

namespace spantape {

// Characters that the fields of a device and a call hold (manual: Data Type Values).
inline constexpr std::size_t kDeviceCharacters = 64;
inline constexpr std::size_t kAliasCharacters = 15, kUserCharacters = 30, kStationCharacters = 50;

// First `limit` characters of UTF-8.
[[nodiscard]] constexpr std::string_view first_characters(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return text;  // no character is less than a byte
    std::size_t characters = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;  // goes on
        if (characters++ == limit) return text.substr(0, at);
    }
    return text;
}

struct FieldUpdate {
    std::optional<std::string> device_alias, sys_user, crm_user, station;
    std::optional<std::string> group, gate, ani, dnis, call_id, direction;
    std::array<std::optional<std::string>, 15> user;
    std::optional<std::int32_t> priority, keep_days;
    std::optional<std::int64_t> archive_action;
    std::optional<bool> agent_initiated, cti_initiated;
    std::optional<std::int32_t> max_record_time_s, max_record_silence_s;
    std::optional<bool> locked;
    std::optional<std::string> lock_reason;
};

void apply(const FieldUpdate& update, Recording& recording);

}  // namespace spantape
