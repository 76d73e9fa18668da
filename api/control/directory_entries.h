// SPDX-License-Identifier: AGPL-3.0-or-later
// What the directory holds, as values: users (agents), stations, locations and sites, groups, roles, what links them,
// terminology and archive actions. Each entry has a key of its own in the store.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "capture/base/clock.h"
#include "capture/base/result.h"
#include "storage/archive_action.h"

namespace spantape {

enum class UserStatus : char { active = 'A', inactive = 'I', deleted = 'D' };

// What a client of the WebAPI shows instead of a password.
struct AccessToken {
    std::string name;    // by which it is revoked
    std::string sha256;  // of the token, hexadecimal; the token itself is nowhere
    TimeNs added_ns = 0;
    bool operator==(const AccessToken&) const = default;
};

// manual: IMPORTUSER. An agent and a user are one.
struct User {
    std::int32_t id = 0;  // AGENT_ID; rising from 1, never reused
    std::string employee_id, first_name, last_name;
    UserStatus status = UserStatus::active;
    TimeNs added_ns = 0, modified_ns = 0;  // ADD_TIME, MOD_TIME
    std::string sys_user, domain, email, crm_user, username;
    std::int32_t site_id = 0;  // 0: none
    bool allow_self_record = false, allow_self_download = false;
    std::string password;  // as hash_password() made it; "": none, no log-in by password
    std::vector<AccessToken> tokens;
    std::vector<std::string> phones;  // in the order in which they were added
    bool operator==(const User&) const = default;
};

struct Station {
    std::string name, device_id;
    std::int32_t location_id = 0;
    bool operator==(const Station&) const = default;
};

struct Place {
    enum class Kind : std::uint8_t { location, site };
    Kind kind = Kind::location;
    std::int32_t id = 0;
    std::string name;
    bool operator==(const Place&) const = default;
};

struct Group {
    std::int32_t id = 0;
    std::string name;
    bool operator==(const Group&) const = default;
};

struct Role {
    std::int32_t id = 0;
    std::string name, description;
    std::set<std::string> classes;  // of functions that its users may call
    bool operator==(const Role&) const = default;
};

struct Link {
    enum class Kind : std::uint8_t {
        member,      // left: group, right: agent, and the device if it is the agent on that one only
        viewer,      // left: group, right: user who may see it
        role_group,  // left: role, right: group that its users may see
        role_user,   // left: role, right: user
    };
    Kind kind = Kind::member;
    std::int32_t left = 0, right = 0;
    std::string device;
    auto operator<=>(const Link&) const = default;
};

struct Term {
    std::string name, value;
    bool operator==(const Term&) const = default;
};

// The rules of the schedule, all of them, in order (schedule.h: RuleText).
struct ScheduleEntry {
    std::vector<std::map<std::string, std::string>> rules;
    bool operator==(const ScheduleEntry&) const = default;
};

// The next id of a series ("user", "group", "role").
struct IdCounter {
    std::string series;
    std::int32_t next = 1;
    bool operator==(const IdCounter&) const = default;
};

using DirectoryEntry =
    std::variant<User, Station, Place, Group, Role, Link, Term, ArchiveAction, ScheduleEntry, IdCounter>;

// One entry made (no `before`), replaced, or removed (no `after`).
struct DirectoryChange {
    std::string key;
    std::optional<DirectoryEntry> before, after;
};
using DirectoryChanges = std::vector<DirectoryChange>;

// directory_codec.cc
// The entry's key in the store: "user/0000000007", "station/COMPUTER1", ...
[[nodiscard]] std::string key_of(const DirectoryEntry& entry);
// One line of JSON.
[[nodiscard]] std::string encode(const DirectoryEntry& entry);
// What encode() made. An error names the key and what is wrong.
Result<DirectoryEntry> decode(std::string_view key, std::string_view value);

}  // namespace spantape
