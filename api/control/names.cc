// SPDX-License-Identifier: AGPL-3.0-or-later
// Whom a function means: by alias, user or station the device in whose call they stand, else the one that was called so
// last, else the one that the directory knows. Names are compared whole, though fields hold only their beginning.
#include <algorithm>
#include <ranges>

#include "api/control/call_control.h"
#include "api/control/directory.h"

namespace spantape {

namespace {

struct NameKind {
    std::string DeviceAddress::* asked;
    std::string Names::* whole;
    std::string Device::* of_device;
    std::string Recording::* field;
    std::optional<std::string> FieldUpdate::* update;
    std::size_t characters;
    std::string User::* of_user;  // nullptr: users have none
};

constexpr std::array<NameKind, 4> kKinds{{
    {&DeviceAddress::device_alias, &Names::device_alias, &Device::alias, &Recording::device_alias,
     &FieldUpdate::device_alias, kAliasCharacters, nullptr},
    {&DeviceAddress::sys_user, &Names::sys_user, &Device::sys_user, &Recording::sys_user, &FieldUpdate::sys_user,
     kUserCharacters, &User::sys_user},
    {&DeviceAddress::crm_user, &Names::crm_user, &Device::crm_user, &Recording::crm_user, &FieldUpdate::crm_user,
     kUserCharacters, &User::crm_user},
    {&DeviceAddress::station, &Names::station, &Device::station, &Recording::station, &FieldUpdate::station,
     kStationCharacters, nullptr},
}};

// The API's name, unless another was put in the field since.
const std::string* name_by_api(const Call& call, const NameKind& kind) {
    const std::string& whole = call.named.*kind.whole;
    const bool holds = !whole.empty() && first_characters(whole, kind.characters) == call.fields.*kind.field;
    return holds ? &whole : nullptr;
}

}  // namespace

DeviceAddress DeviceAddress::as_stored() const {
    DeviceAddress cut = *this;
    for (const NameKind& kind : kKinds) cut.*kind.asked = first_characters(this->*kind.asked, kind.characters);
    return cut;
}

// Whether the call carries a name that the directory gave it: its field holds the beginning.
bool CallControl::is_labelled(const Call& call, const std::string& field, const std::string& wanted,
                              const std::string User::* of_user) const {
    if (field == wanted) return true;
    if (of_user == nullptr || directory_ == nullptr || call.fields.agent_id <= 0) return false;
    const User* agent = directory_->user(static_cast<std::int32_t>(call.fields.agent_id));
    return agent != nullptr && agent->*of_user == wanted && !field.empty() && wanted.starts_with(field);
}

// The device is meant by all names that are given: by those of `call` where it has some, which say who is on it now;
// else by its own. by_label: also by what the directory says of the call.
bool CallControl::is_named(const Device& device, const Call* call, const DeviceAddress& who, bool by_label) const {
    if (!who.device_id.empty() && who.device_id != device.id) return false;
    return std::ranges::all_of(kKinds, [&](const NameKind& kind) {
        const std::string& wanted = who.*kind.asked;
        if (wanted.empty()) return true;
        if (const std::string* of_call = call != nullptr ? name_by_api(*call, kind) : nullptr; of_call != nullptr)
            return *of_call == wanted;
        if (call != nullptr && by_label && is_labelled(*call, call->fields.*kind.field, wanted, kind.of_user))
            return true;
        return device.named.*kind.whole == wanted && !is_overruled(device, wanted, kind.of_user);
    });
}

// The directory has got to know where the user of that name is since the device was called so.
bool CallControl::is_overruled(const Device& device, const std::string& name, const std::string User::* of_user) const {
    if (of_user == nullptr || directory_ == nullptr || name.empty()) return false;
    const User* user = of_user == &User::sys_user ? directory_->by_sys_user(name) : directory_->by_crm_user(name);
    return user != nullptr && !user->phones.empty() && directory_->phones_version(user->id) > device.named_at;
}

void CallControl::forget_overruled(Device& device) const {
    for (const NameKind& kind : kKinds) {
        if (!is_overruled(device, device.named.*kind.whole, kind.of_user)) continue;
        (device.named.*kind.whole).clear();
        (device.*kind.of_device).clear();
    }
}

// The API says of the call that somebody else is in it.
bool CallControl::is_of_another(const Call& call, const DeviceAddress& who) {
    return std::ranges::any_of(kKinds, [&](const NameKind& kind) {
        const std::string* name = name_by_api(call, kind);
        return name != nullptr && !(who.*kind.asked).empty() && *name != who.*kind.asked;
    });
}

std::vector<const Device*> CallControl::matching_devices(const DeviceAddress& who) const {
    std::vector<const Device*> found;
    if (who.empty()) return found;
    const auto look_at = [&](const Device& device) {
        bool in_call = false;
        const bool meant = std::ranges::any_of(device.calls, [&](const CallPtr& call) {
            in_call = in_call || call->active();
            return call->active() && is_named(device, call.get(), who, false);
        });
        if (meant || (!in_call && is_named(device, nullptr, who, false))) found.push_back(&device);
    };
    if (who.device_id.empty()) {
        for (const auto& [id, device] : devices_) look_at(device);
    } else if (const auto at = devices_.find(who.device_id); at != devices_.end()) {
        look_at(at->second);
    }
    if (!found.empty() || !who.device_id.empty()) return found;
    if (const auto at = devices_.find(directory_device(who)); at != devices_.end()) {
        const Call* call = at->second.active_call();
        if (call == nullptr || !is_of_another(*call, who)) found.push_back(&at->second);
    }
    return found;
}

const Device* CallControl::find_device(const DeviceAddress& who) const {
    if (!who.device_id.empty()) {
        const auto at = devices_.find(who.device_id);
        return at == devices_.end() ? nullptr : &at->second;
    }
    const auto found = matching_devices(who);
    // The one that is in a call; of several the one whose call is the newest.
    const auto newest = [](const Device* device) {
        const Call* call = device->active_call();
        return call == nullptr ? 0 : call->number;
    };
    const auto best = std::ranges::max_element(found, {}, newest);
    return best == found.end() ? nullptr : *best;
}

// api-decisions, Order of call functions: the last call on the device; without DEVICEID, of those that are named so.
Call* CallControl::call_on(const Device& on, const DeviceAddress& who) const {
    const std::string* instance = who.instance ? &*who.instance : nullptr;
    for (const CallPtr& call : on.calls | std::views::reverse)
        if (who.device_id.empty() && call->active() &&
            (instance == nullptr || call->fields.call_instance == *instance) && is_named(on, call.get(), who, false))
            return call.get();
    return on.active_call(instance);
}

// A name that is given to a device is no other's any more: in a free seating environment its owner has moved.
void CallControl::name_device(Device& named, const DeviceAddress& who) {
    for (std::size_t i = 0; i < kKinds.size(); ++i) {
        const NameKind& kind = kKinds[i];
        const std::string& name = who.*kind.asked;
        if (name.empty()) continue;
        auto& holders = named_[i];
        if (named.named.*kind.whole != name) holders.erase(named.named.*kind.whole);
        std::string& holder = holders[name];
        if (const auto before = holder == named.id ? devices_.end() : devices_.find(holder); before != devices_.end()) {
            (before->second.named.*kind.whole).clear();
            (before->second.*kind.of_device).clear();
        }
        holder = named.id;
        named.named.*kind.whole = name;
        named.*kind.of_device = first_characters(name, kind.characters);
    }
    // Of the names that the directory knows, too.
    if (directory_ != nullptr && !(who.sys_user.empty() && who.crm_user.empty()))
        named.named_at = directory_->phones_version();
}

// What a function that sets fields of a call calls it.
void CallControl::name_call(Call& call, const DeviceAddress& who, const FieldUpdate& fields) {
    for (const NameKind& kind : kKinds)
        if (fields.*kind.update) call.named.*kind.whole = who.*kind.asked;
}

// The device that a function means. With a DEVICEID it comes to be known by the alias, users and station given along.
Device* CallControl::resolve(const DeviceAddress& who, bool create) {
    if (who.device_id.empty()) {
        if (const Device* known = find_device(who); known != nullptr) return const_cast<Device*>(known);
        const std::string id = create ? directory_device(who) : "";
        if (id.empty()) return nullptr;
        // It learns nothing: what the directory says may change.
        Device& found = device(id);
        found.kept = true;
        return &found;
    }
    if (!create && !devices_.contains(who.device_id)) return nullptr;
    Device& found = device(who.device_id);
    if (create) {
        found.kept = true;
        name_device(found, who);
    }
    return &found;
}

std::optional<std::uint64_t> CallControl::recording_over(const DeviceAddress& who) const {
    const Device* on = find_device(who);
    const Call* call = on == nullptr ? nullptr : call_on(*on, who);
    if (call == nullptr || call->recording_now() != nullptr || call->fields.ident == 0) return std::nullopt;
    return call->fields.ident;
}

}  // namespace spantape
