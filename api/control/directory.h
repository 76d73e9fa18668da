// SPDX-License-Identifier: AGPL-3.0-or-later
// The directory: users, their phones, stations, groups, roles, terminology, archive actions; and its rules (manual:
// Import Functions; User, Group, and Role Functions). In memory, with an index for each question; knows no XML, no disk
// and no clock. Owned by the control thread.
//
// An operation either refuses and changes nothing, or applies its changes at once and gives them to the caller, who
// makes them durable as one batch, or takes them back by undo().
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/control/directory_entries.h"
#include "api/control/directory_links.h"
#include "api/control/schedule.h"

namespace spantape {

enum class DirectoryFault : std::uint8_t {
    user_exists,     // same USERNAME, or same first and last name
    user_not_found,  // or deleted
    not_unique,      // several users fit, or what must be one's own is another's
    no_group,
    role_exists,
    role_not_found,
    no_site,
    no_location,
    not_found,  // of anything else
    blank,      // a name that must be given
    full,
};

struct DirectoryError {
    DirectoryFault fault = DirectoryFault::not_found;
    std::string message;
};

struct DirectoryDone {
    DirectoryChanges changes;  // empty: it was so already
    std::int32_t id = 0;       // of the user, group or role that it is about
};

template <class T = DirectoryDone>
using DirectoryResult = std::expected<T, DirectoryError>;

// What an operation sets; present and empty clears.
struct UserFields {
    std::optional<std::string> employee_id, first_name, last_name, sys_user, domain, email, crm_user, username;
    std::optional<UserStatus> status;  // active or inactive
    std::optional<TimeNs> added_ns, modified_ns;
    std::optional<std::int32_t> site_id;  // 0: none
    std::optional<bool> allow_self_record, allow_self_download;
    std::optional<std::string> password;  // as hash_password() made it
    bool allow_duplicate = false;         // the same first and last name may be there already
};

// A user by what a request names him: the id alone when it is above 0, else by all that is not empty.
struct UserName {
    std::int32_t id = 0;
    std::string first_name, last_name, username, sys_user;
};

class Directory {
public:
    // From the configuration: there without being stored, and behind what is stored under the same name or number.
    struct Base {
        std::map<std::string, std::string> terms;
        std::map<std::int32_t, std::string> locations, sites;
        std::map<std::int64_t, ArchiveAction> archive_actions;
        std::vector<RuleText> schedule;
    };
    explicit Directory(Base base = {}, std::size_t most_entries = 1'000'000);

    // An entry as the store has it, in any order; once, before anything else. An error names the key.
    Result<> load(std::string_view key, std::string_view value);
    // Puts back what was before `changes`, of which none may be older than one that stays. Ids are not used again.
    void undo(const DirectoryChanges& changes);

    // --- directory_users.cc. `now_ns` is the wall clock.
    DirectoryResult<> add_user(const UserFields& fields, TimeNs now_ns);
    [[nodiscard]] bool may_add(const UserFields& fields) const;
    DirectoryResult<> modify_user(std::int32_t id, const UserFields& fields, TimeNs now_ns);
    // The record stays, so that recordings still name him; phones, log-ins, roles and what he may see go.
    DirectoryResult<> delete_user(std::int32_t id, TimeNs now_ns);
    DirectoryResult<> add_token(std::int32_t id, AccessToken token);
    DirectoryResult<> remove_token(std::int32_t id, std::string_view name);
    DirectoryResult<> add_phone(std::int32_t id, const std::string& phone);
    // Of user `id`; 0: of whoever has it.
    DirectoryResult<> remove_phone(std::int32_t id, const std::string& phone);
    DirectoryResult<std::int32_t> find_user(const UserName& name) const;

    // --- directory_groups.cc. Groups and roles are named by id when that is above 0, else by name.
    DirectoryResult<> add_group(const std::string& name);
    DirectoryResult<std::int32_t> find_group(std::int32_t id, std::string_view name) const;
    // device "": the agent on all of them; removing so removes him on single ones, too.
    DirectoryResult<> add_member(std::int32_t group, std::int32_t agent, const std::string& device);
    DirectoryResult<> remove_member(std::int32_t group, std::int32_t agent, const std::string& device);
    DirectoryResult<> set_viewer(std::int32_t group, std::int32_t user, bool may);
    DirectoryResult<> add_role(const std::string& name, const std::string& description);
    DirectoryResult<std::int32_t> find_role(std::int32_t id, std::string_view name) const;
    DirectoryResult<> describe_role(std::int32_t role, const std::string& description);
    DirectoryResult<> set_role_classes(std::int32_t role, std::set<std::string> classes);
    DirectoryResult<> delete_role(std::int32_t role);
    DirectoryResult<> set_role_group(std::int32_t role, std::int32_t group, bool may);
    DirectoryResult<> set_role_user(std::int32_t role, std::int32_t user, bool has);

    // --- directory_settings.cc
    // Stations that have this name or this device are removed first.
    DirectoryResult<> set_station(const Station& station);
    DirectoryResult<> set_term(const Term& term);
    // nullopt removes, back to what the configuration says.
    DirectoryResult<> reset_term(const std::string& name);
    DirectoryResult<> set_place(const Place& place);
    DirectoryResult<> remove_place(Place::Kind kind, std::int32_t id);
    DirectoryResult<> set_archive_action(const ArchiveAction& action);
    DirectoryResult<> remove_archive_action(std::int64_t number);
    // All rules anew, which Schedule::make() has taken; nullopt: back to what the configuration says.
    DirectoryResult<> set_schedule(const std::optional<ScheduleEntry>& schedule);
    // The configuration was read again.
    void set_base_archive_actions(const std::vector<ArchiveAction>& actions);
    void set_base_schedule(std::vector<RuleText> rules);

    // --- look-ups. Deleted users are found by id alone.
    [[nodiscard]] const User* user(std::int32_t id) const;
    [[nodiscard]] const std::map<std::int32_t, User>& users() const { return users_; }
    // First and last name of each user, also of deleted ones, as they are now: for other threads.
    using Names = std::unordered_map<std::int32_t, std::pair<std::string, std::string>>;
    [[nodiscard]] std::shared_ptr<const Names> names() const;
    // Of several users the one with the lowest id. A SYS_USER or CRM_USER as long as the call functions cut it also
    // finds one that goes on.
    [[nodiscard]] const User* by_username(std::string_view username) const;
    [[nodiscard]] const User* by_sys_user(std::string_view sys_user) const;
    [[nodiscard]] const User* by_crm_user(std::string_view crm_user) const;
    [[nodiscard]] const User* by_employee_id(std::string_view employee_id) const;
    [[nodiscard]] const User* by_phone(const std::string& phone) const;
    [[nodiscard]] const User* by_token(const std::string& sha256) const;
    // Rises with each change of phones; of a user: what it was after the last change of his.
    [[nodiscard]] std::uint64_t phones_version() const { return phones_version_; }
    [[nodiscard]] std::uint64_t phones_version(std::int32_t user) const {
        const auto at = phones_versions_.find(user);
        return at == phones_versions_.end() ? 0 : at->second;
    }
    // All users of that name, by id; an empty part stands for any, but one must be given.
    [[nodiscard]] std::vector<std::int32_t> named(std::string_view first, std::string_view last) const;

    [[nodiscard]] const std::map<std::string, Station>& stations() const { return stations_; }
    [[nodiscard]] const Station* station(const std::string& name) const;
    [[nodiscard]] const Station* station_of(const std::string& device) const;

    [[nodiscard]] const Group* group(std::int32_t id) const;
    [[nodiscard]] const Role* role(std::int32_t id) const;
    [[nodiscard]] const std::map<std::int32_t, Group>& groups() const { return groups_; }
    [[nodiscard]] const std::map<std::int32_t, Role>& roles() const { return roles_; }
    [[nodiscard]] const Links& links() const { return links_; }
    // The groups that a call of this agent on this device belongs to; agent 0: not known.
    [[nodiscard]] std::set<std::int32_t> groups_of(std::int32_t agent, const std::string& device) const;
    // The groups that a user may see, by himself and by his roles; those of function classes likewise.
    [[nodiscard]] std::set<std::int32_t> visible_groups(std::int32_t user) const;
    [[nodiscard]] std::set<std::string> classes_of(std::int32_t user) const;

    [[nodiscard]] std::map<std::string, std::string> terms() const;
    [[nodiscard]] std::map<std::int32_t, std::string> places(Place::Kind kind) const;
    [[nodiscard]] bool has_place(Place::Kind kind, std::int32_t id) const;
    [[nodiscard]] std::map<std::int64_t, ArchiveAction> archive_actions() const;
    [[nodiscard]] const ArchiveAction* archive_action(std::int64_t number) const;

    // Whether functions have added it, or changed the configuration's.
    [[nodiscard]] bool own_archive_action(std::int64_t number) const { return archive_actions_.contains(number); }
    // Another one after each change.
    [[nodiscard]] std::uint64_t archive_version() const { return archive_version_; }

    [[nodiscard]] const std::vector<RuleText>& schedule() const {
        return schedule_ ? schedule_->rules : base_.schedule;
    }
    // Whether functions have changed it since the configuration's.
    [[nodiscard]] bool own_schedule() const { return schedule_.has_value(); }
    // Another one after each change.
    [[nodiscard]] std::uint64_t schedule_version() const { return schedule_version_; }

    // Stored entries, each phone and token counted as one.
    [[nodiscard]] std::size_t entries() const { return entries_; }

private:
    using TextIndex = std::set<std::pair<std::string, std::int32_t>>;
    struct UserIndex {
        TextIndex usernames, sys_users, crm_users, employee_ids;
        std::set<std::tuple<std::string, std::string, std::int32_t>> first_last, last_first;
    };

    // Applies a change and adds it to `to`.
    void change(DirectoryChanges& to, std::optional<DirectoryEntry> before, std::optional<DirectoryEntry> after);
    void replace(const std::optional<DirectoryEntry>& before, const std::optional<DirectoryEntry>& after);
    template <bool kAdd>
    void index_user(const User& user);
    void add(const User& user);
    void add(const Station& station);
    void add(const Place& place);
    void add(const Group& group);
    void add(const Role& role);
    void add(const Link& link);
    void add(const Term& term);
    void add(const ArchiveAction& action);
    void add(const ScheduleEntry& schedule);
    void add(const IdCounter& counter);
    void remove(const User& user);
    void remove(const Station& station);
    void remove(const Place& place);
    void remove(const Group& group);
    void remove(const Role& role);
    void remove(const Link& link);
    void remove(const Term& term);
    void remove(const ArchiveAction& action);
    void remove(const ScheduleEntry& schedule);
    void remove(const IdCounter& /*counter*/) {}
    [[nodiscard]] Result<> check_alone(const DirectoryEntry& entry) const;

    [[nodiscard]] bool full(std::size_t more) const { return entries_ + more > most_entries_; }
    std::int32_t next_id(DirectoryChanges& to, const std::string& series);
    [[nodiscard]] DirectoryResult<User> living(std::int32_t id) const;
    [[nodiscard]] DirectoryResult<> check_user(const User& user, bool allow_duplicate) const;
    [[nodiscard]] const User* first_of(const TextIndex& index, std::string_view text) const;
    [[nodiscard]] const User* first_beginning(const TextIndex& index, std::string_view text) const;
    DirectoryResult<> set_link(const Link& link, bool there);
    void drop_links(DirectoryChanges& to, const std::vector<Link>& links);

    Base base_;
    const std::size_t most_entries_;
    std::size_t entries_ = 0;
    std::map<std::int32_t, User> users_;
    void note_phones(std::int32_t user) { phones_versions_[user] = ++phones_version_; }
    std::uint64_t phones_version_ = 0;
    std::unordered_map<std::int32_t, std::uint64_t> phones_versions_;  // of users whose phones changed since the start
    mutable std::shared_ptr<const Names> names_;  // null: asked for since the last change of a user
    UserIndex user_index_;
    std::unordered_map<std::string, std::int32_t> phones_, tokens_;
    std::map<std::string, Station> stations_;
    std::unordered_map<std::string, std::string> station_of_device_;
    std::map<std::pair<Place::Kind, std::int32_t>, std::string> places_;
    std::map<std::pair<Place::Kind, std::int32_t>, std::size_t> place_uses_;  // by users and stations
    std::map<std::int32_t, Group> groups_;
    std::unordered_map<std::string, std::int32_t> group_ids_;
    std::map<std::int32_t, Role> roles_;
    std::unordered_map<std::string, std::int32_t> role_ids_;
    Links links_;
    std::map<std::string, std::string> terms_;
    std::map<std::int64_t, ArchiveAction> archive_actions_;
    std::optional<ScheduleEntry> schedule_;
    std::uint64_t schedule_version_ = 1, archive_version_ = 1;
    std::map<std::string, std::int32_t> next_;  // of each series
};

[[nodiscard]] inline std::unexpected<DirectoryError> refuse(DirectoryFault fault, std::string message) {
    return std::unexpected(DirectoryError{fault, std::move(message)});
}
[[nodiscard]] inline std::unexpected<DirectoryError> refuse_full() {
    return refuse(DirectoryFault::full, "the directory is full");
}

}  // namespace spantape
