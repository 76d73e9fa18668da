// SPDX-License-Identifier: AGPL-3.0-or-later
// The directory's tables and indexes: entries in, out, and found.
#include "api/control/directory.h"

#include <algorithm>
#include <iterator>

namespace spantape {

namespace {

constexpr std::size_t kCallUserCharacters = 30;  // manual: SYS_USER and CRM_USER of the call functions

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::size_t weight(const DirectoryEntry& entry) {
    const User* user = std::get_if<User>(&entry);
    if (std::holds_alternative<IdCounter>(entry)) return 0;
    return user == nullptr ? 1 : 1 + user->phones.size() + user->tokens.size();
}

}  // namespace

Directory::Directory(Base base, std::size_t most_entries) : base_(std::move(base)), most_entries_(most_entries) {}

// --- entries in and out

Result<> Directory::load(std::string_view key, std::string_view value) {
    auto entry = decode(key, value);
    if (!entry) return std::unexpected(entry.error());
    if (auto alone = check_alone(*entry); !alone) return fail("entry '{}': {}", key, alone.error().message);
    replace(std::nullopt, std::move(*entry));
    return {};
}

// What the operations keep from happening, a damaged store may hold.
Result<> Directory::check_alone(const DirectoryEntry& entry) const {
    if (const User* user = std::get_if<User>(&entry)) {
        for (const std::string& phone : user->phones)
            if (const auto at = phones_.find(phone); at != phones_.end())
                return fail("phone '{}' is that of user {}, too", phone, at->second);
        const bool living = user->status != UserStatus::deleted && !user->username.empty();
        if (const User* other = living ? by_username(user->username) : nullptr; other != nullptr)
            return fail("USERNAME '{}' is that of user {}, too", user->username, other->id);
    } else if (const Station* station = std::get_if<Station>(&entry)) {
        if (const Station* other = station_of(station->device_id); other != nullptr)
            return fail("device '{}' is that of station '{}', too", station->device_id, other->name);
    } else if (const Group* group = std::get_if<Group>(&entry)) {
        if (const auto at = group_ids_.find(group->name); at != group_ids_.end())
            return fail("the name '{}' is that of group {}, too", group->name, at->second);
    } else if (const Role* role = std::get_if<Role>(&entry)) {
        if (const auto at = role_ids_.find(role->name); at != role_ids_.end())
            return fail("the name '{}' is that of role {}, too", role->name, at->second);
    }
    return {};
}

void Directory::undo(const DirectoryChanges& changes) {
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) replace(change->after, change->before);
}

void Directory::change(DirectoryChanges& to, std::optional<DirectoryEntry> before,
                       std::optional<DirectoryEntry> after) {
    replace(before, after);
    std::string key = key_of(after ? *after : *before);
    to.push_back({.key = std::move(key), .before = std::move(before), .after = std::move(after)});
}

void Directory::replace(const std::optional<DirectoryEntry>& before, const std::optional<DirectoryEntry>& after) {
    if (before) {
        std::visit([this](const auto& entry) { remove(entry); }, *before);
        entries_ -= weight(*before);
    }
    if (after) {
        std::visit([this](const auto& entry) { add(entry); }, *after);
        entries_ += weight(*after);
    }
}

std::int32_t Directory::next_id(DirectoryChanges& to, const std::string& series) {
    const auto at = next_.find(series);
    const std::int32_t id = at == next_.end() ? 1 : at->second;
    change(to, at == next_.end() ? std::nullopt : std::optional<DirectoryEntry>(IdCounter{series, id}),
           IdCounter{series, id + 1});
    return id;
}

// A deleted user is found by his id alone.
template <bool kAdd>
void Directory::index_user(const User& user) {
    const auto note = [](auto& index, auto&& entry) {
        if constexpr (kAdd)
            index.insert(std::forward<decltype(entry)>(entry));
        else
            index.erase(entry);
    };
    const auto note_text = [&](TextIndex& index, const std::string& text) {
        if (!text.empty()) note(index, std::pair(text, user.id));
    };
    if (user.status != UserStatus::deleted) {
        note_text(user_index_.usernames, user.username);
        note_text(user_index_.sys_users, user.sys_user);
        note_text(user_index_.crm_users, user.crm_user);
        note_text(user_index_.employee_ids, user.employee_id);
        note(user_index_.first_last, std::tuple(user.first_name, user.last_name, user.id));
        note(user_index_.last_first, std::tuple(user.last_name, user.first_name, user.id));
    }
    const auto note_own = [&](auto& index, const std::string& text) {
        if constexpr (kAdd)
            index[text] = user.id;
        else
            index.erase(text);
    };
    for (const std::string& phone : user.phones) note_own(phones_, phone);
    for (const AccessToken& token : user.tokens) note_own(tokens_, token.sha256);
}

void Directory::add(const User& user) {
    users_[user.id] = user;
    names_.reset();
    index_user<true>(user);
    if (user.site_id != 0) ++place_uses_[{Place::Kind::site, user.site_id}];
    std::int32_t& next = next_["user"];
    next = std::max(next, user.id + 1);
}

void Directory::remove(const User& user) {
    index_user<false>(user);
    if (user.site_id != 0 && --place_uses_[{Place::Kind::site, user.site_id}] == 0)
        place_uses_.erase({Place::Kind::site, user.site_id});
    users_.erase(user.id);
    names_.reset();
}

void Directory::add(const Station& station) {
    stations_[station.name] = station;
    station_of_device_[station.device_id] = station.name;
    ++place_uses_[{Place::Kind::location, station.location_id}];
}

void Directory::remove(const Station& station) {
    stations_.erase(station.name);
    station_of_device_.erase(station.device_id);
    if (--place_uses_[{Place::Kind::location, station.location_id}] == 0)
        place_uses_.erase({Place::Kind::location, station.location_id});
}

void Directory::add(const Place& place) { places_[{place.kind, place.id}] = place.name; }
void Directory::remove(const Place& place) { places_.erase({place.kind, place.id}); }

void Directory::add(const Group& group) {
    groups_[group.id] = group;
    group_ids_[group.name] = group.id;
}
void Directory::remove(const Group& group) {
    groups_.erase(group.id);
    group_ids_.erase(group.name);
}

void Directory::add(const Role& role) {
    roles_[role.id] = role;
    role_ids_[role.name] = role.id;
}
void Directory::remove(const Role& role) {
    roles_.erase(role.id);
    role_ids_.erase(role.name);
}

void Directory::add(const Link& link) { links_.insert(link); }
void Directory::remove(const Link& link) { links_.erase(link); }
void Directory::add(const Term& term) { terms_[term.name] = term.value; }
void Directory::remove(const Term& term) { terms_.erase(term.name); }
void Directory::add(const ArchiveAction& action) {
    archive_actions_[action.number] = action;
    ++archive_version_;
}
void Directory::remove(const ArchiveAction& action) {
    archive_actions_.erase(action.number);
    ++archive_version_;
}

void Directory::add(const ScheduleEntry& schedule) {
    schedule_ = schedule;
    ++schedule_version_;
}
void Directory::remove(const ScheduleEntry& /*schedule*/) {
    schedule_.reset();
    ++schedule_version_;
}

// Never goes back: an id that was once given out, to whomever, is not given out again.
void Directory::add(const IdCounter& counter) {
    std::int32_t& next = next_[counter.series];
    next = std::max(next, counter.next);
}

// --- look-ups

namespace {

template <class Key, class Value, class Wanted>
const Value* find_in(const std::map<Key, Value>& map, const Wanted& wanted) {
    const auto at = map.find(wanted);
    return at == map.end() ? nullptr : &at->second;
}

}  // namespace

const User* Directory::user(std::int32_t id) const { return find_in(users_, id); }
const Station* Directory::station(const std::string& name) const { return find_in(stations_, name); }
const Group* Directory::group(std::int32_t id) const { return find_in(groups_, id); }
const Role* Directory::role(std::int32_t id) const { return find_in(roles_, id); }

const Station* Directory::station_of(const std::string& device) const {
    const auto at = station_of_device_.find(device);
    return at == station_of_device_.end() ? nullptr : station(at->second);
}

const User* Directory::first_of(const TextIndex& index, std::string_view text) const {
    if (text.empty()) return nullptr;
    const auto at = index.lower_bound({std::string(text), 0});
    return at != index.end() && at->first == text ? user(at->second) : nullptr;
}

// The user exactly of that name; else one whose name begins so, if the call functions may have cut it there.
const User* Directory::first_beginning(const TextIndex& index, std::string_view text) const {
    if (const User* exact = first_of(index, text); exact != nullptr || text.empty()) return exact;
    if (characters(text) != kCallUserCharacters) return nullptr;
    const auto at = index.lower_bound({std::string(text), 0});
    return at != index.end() && at->first.starts_with(text) ? user(at->second) : nullptr;
}

const User* Directory::by_username(std::string_view username) const {
    return first_of(user_index_.usernames, username);
}
const User* Directory::by_sys_user(std::string_view sys_user) const {
    return first_beginning(user_index_.sys_users, sys_user);
}
const User* Directory::by_crm_user(std::string_view crm_user) const {
    return first_beginning(user_index_.crm_users, crm_user);
}
const User* Directory::by_employee_id(std::string_view employee_id) const {
    return first_of(user_index_.employee_ids, employee_id);
}

const User* Directory::by_phone(const std::string& phone) const {
    const auto at = phones_.find(phone);
    return at == phones_.end() ? nullptr : user(at->second);
}

const User* Directory::by_token(const std::string& sha256) const {
    const auto at = tokens_.find(sha256);
    return at == tokens_.end() ? nullptr : user(at->second);
}

std::vector<std::int32_t> Directory::named(std::string_view first, std::string_view last) const {
    std::vector<std::int32_t> ids;
    if (first.empty() && last.empty()) return ids;
    const bool by_first = !first.empty();
    const auto& index = by_first ? user_index_.first_last : user_index_.last_first;
    const std::string leading(by_first ? first : last), second(by_first ? last : first);
    for (auto at = index.lower_bound({leading, second, 0}); at != index.end() && std::get<0>(*at) == leading; ++at) {
        if (!second.empty() && std::get<1>(*at) != second) break;
        ids.push_back(std::get<2>(*at));
    }
    std::ranges::sort(ids);
    return ids;
}

}  // namespace spantape
