// SPDX-License-Identifier: AGPL-3.0-or-later
// Who is on a device, and which device somebody is on, by the directory.
#include <algorithm>

#include "api/control/call_control.h"
#include "api/control/directory.h"

namespace spantape {

namespace {

// An agent's own names, as the fields of a call hold them.
std::string sys_user_of(const User& user) { return std::string(first_characters(user.sys_user, kUserCharacters)); }
std::string crm_user_of(const User& user) { return std::string(first_characters(user.crm_user, kUserCharacters)); }

}  // namespace

void CallControl::set_fields(const FieldUpdate& update, Recording& fields) const {
    apply(update, fields);
    name_agent(update, fields);
}

// The agent that an update names by alias or user; else the one who was there, else the one whose phone it is. His own
// SYS_USER and CRM_USER stand where the API gave none.
void CallControl::name_agent(const FieldUpdate& update, Recording& fields) const {
    if (directory_ == nullptr) return;
    const User* before = fields.agent_id > 0 ? directory_->user(static_cast<std::int32_t>(fields.agent_id)) : nullptr;
    const User* now = nullptr;
    const auto consider = [&](const std::optional<std::string>& named, const User* user) {
        if (now == nullptr && named && !named->empty()) now = user;
    };
    if (update.device_alias) consider(update.device_alias, directory_->by_phone(*update.device_alias));
    if (update.sys_user) consider(update.sys_user, directory_->by_sys_user(*update.sys_user));
    if (update.crm_user) consider(update.crm_user, directory_->by_crm_user(*update.crm_user));
    if (now == nullptr) now = before != nullptr ? before : directory_->by_phone(fields.device_id);
    if (now == nullptr) return;
    // What was put there for the agent before goes with him.
    const auto own = [&](const std::optional<std::string>& given, std::string& field, auto of) {
        if (given) return;
        if (field.empty() || (before != nullptr && before != now && field == of(*before))) field = of(*now);
    };
    own(update.sys_user, fields.sys_user, sys_user_of);
    own(update.crm_user, fields.crm_user, crm_user_of);
    fields.agent_id = now->id;
}

// What a device is known by names its agent before its own number does.
void CallControl::name_agent(const Device& on, Recording& fields) const {
    FieldUpdate known;
    const auto set = [](const std::string& from, std::optional<std::string>& to) {
        if (!from.empty()) to = from;
    };
    set(on.alias, known.device_alias);
    set(on.sys_user, known.sys_user);
    set(on.crm_user, known.crm_user);
    name_agent(known, fields);
    if (directory_ == nullptr || !fields.station.empty()) return;
    if (const Station* station = directory_->station_of(on.id); station != nullptr)
        fields.station = first_characters(station->name, kStationCharacters);
}

// The device that the directory knows by the first of these that it knows; "" when by none. Of an agent's phones the
// one that is in a call, else one that was seen, else his first.
std::string CallControl::directory_device(const DeviceAddress& who) const {
    if (directory_ == nullptr) return "";
    if (const Station* station = directory_->station(who.station); station != nullptr) return station->device_id;
    if (directory_->by_phone(who.device_alias) != nullptr) return who.device_alias;
    const User* user = directory_->by_sys_user(who.sys_user);
    if (user == nullptr) user = directory_->by_crm_user(who.crm_user);
    if (user == nullptr || user->phones.empty()) return "";
    const auto rank = [&](const std::string& phone) {
        const auto at = devices_.find(phone);
        return at == devices_.end() ? 2 : at->second.active_call() == nullptr ? 1 : 0;
    };
    return *std::ranges::min_element(user->phones, {}, rank);
}

std::string CallControl::device_id_of(const DeviceAddress& who) const {
    if (!who.device_id.empty()) return who.device_id;
    const Device* known = find_device(who);
    return known != nullptr ? known->id : directory_device(who);
}

}  // namespace spantape
