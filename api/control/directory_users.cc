// SPDX-License-Identifier: AGPL-3.0-or-later
// The directory's rules for users and their phones (manual: IMPORTUSER, IMPORTAGENTPHONE).
#include <algorithm>

#include "api/control/directory.h"

namespace spantape {

namespace {

constexpr std::size_t kMostPhones = 1000;  // of one user
constexpr std::size_t kMostTokens = 16;

void set_fields(const UserFields& fields, User& user) {
    const auto set = [](const auto& from, auto& to) {
        if (from) to = *from;
    };
    set(fields.employee_id, user.employee_id);
    set(fields.first_name, user.first_name);
    set(fields.last_name, user.last_name);
    set(fields.status, user.status);
    set(fields.sys_user, user.sys_user);
    set(fields.domain, user.domain);
    set(fields.email, user.email);
    set(fields.crm_user, user.crm_user);
    set(fields.username, user.username);
    set(fields.site_id, user.site_id);
    set(fields.allow_self_record, user.allow_self_record);
    set(fields.allow_self_download, user.allow_self_download);
    set(fields.password, user.password);
    set(fields.added_ns, user.added_ns);
    set(fields.modified_ns, user.modified_ns);
}

}  // namespace

DirectoryResult<User> Directory::living(std::int32_t id) const {
    const User* found = user(id);
    if (found == nullptr) return refuse(DirectoryFault::user_not_found, fmt::format("there is no agent {}", id));
    if (found->status == UserStatus::deleted)
        return refuse(DirectoryFault::user_not_found, fmt::format("agent {} is deleted", id));
    return *found;
}

// What must hold of a user beside all others.
DirectoryResult<> Directory::check_user(const User& user, bool allow_duplicate) const {
    if (user.first_name.empty()) return refuse(DirectoryFault::blank, "FIRSTNAME must not be blank");
    if (user.last_name.empty()) return refuse(DirectoryFault::blank, "LASTNAME must not be blank");
    if (const User* other = by_username(user.username); other != nullptr && other->id != user.id)
        return refuse(DirectoryFault::user_exists,
                      fmt::format("USERNAME {} is that of agent {}", user.username, other->id));
    if (!allow_duplicate)
        for (const std::int32_t other : named(user.first_name, user.last_name))
            if (other != user.id)
                return refuse(DirectoryFault::user_exists,
                              fmt::format("{} {} is agent {}", user.first_name, user.last_name, other));
    if (user.site_id != 0 && !has_place(Place::Kind::site, user.site_id))
        return refuse(DirectoryFault::no_site, fmt::format("there is no site {}", user.site_id));
    return DirectoryDone{};
}

bool Directory::may_add(const UserFields& fields) const {
    User user;
    set_fields(fields, user);
    return check_user(user, fields.allow_duplicate).has_value() && !full(2);
}

std::shared_ptr<const Directory::Names> Directory::names() const {
    if (!names_) {
        Names names;
        names.reserve(users_.size());
        for (const auto& [id, user] : users_) names.emplace(id, std::pair(user.first_name, user.last_name));
        names_ = std::make_shared<const Names>(std::move(names));
    }
    return names_;
}

DirectoryResult<> Directory::add_user(const UserFields& fields, TimeNs now_ns) {
    User user;
    user.added_ns = user.modified_ns = now_ns;
    set_fields(fields, user);
    if (auto good = check_user(user, fields.allow_duplicate); !good) return good;
    if (full(2)) return refuse_full();
    DirectoryDone done;
    done.id = user.id = next_id(done.changes, "user");
    change(done.changes, std::nullopt, user);
    return done;
}

DirectoryResult<> Directory::modify_user(std::int32_t id, const UserFields& fields, TimeNs now_ns) {
    const auto before = living(id);
    if (!before) return std::unexpected(before.error());
    User user = *before;
    user.modified_ns = now_ns;
    set_fields(fields, user);
    // A name that stays is not looked at again: it may have been let in as a duplicate.
    const bool renamed = user.first_name != before->first_name || user.last_name != before->last_name;
    if (auto good = check_user(user, fields.allow_duplicate || !renamed); !good) return good;
    DirectoryDone done{.id = id};
    change(done.changes, *before, user);
    return done;
}

DirectoryResult<> Directory::delete_user(std::int32_t id, TimeNs now_ns) {
    const auto before = living(id);
    if (!before) return std::unexpected(before.error());
    User user = *before;
    user.status = UserStatus::deleted;
    user.modified_ns = now_ns;
    user.phones.clear();
    user.tokens.clear();
    user.password.clear();
    DirectoryDone done{.id = id};
    change(done.changes, *before, user);
    drop_links(done.changes, links_.to(Link::Kind::viewer, id));
    drop_links(done.changes, links_.to(Link::Kind::role_user, id));
    return done;
}

DirectoryResult<> Directory::add_token(std::int32_t id, AccessToken token) {
    const auto before = living(id);
    if (!before) return std::unexpected(before.error());
    if (before->tokens.size() >= kMostTokens || full(1)) return refuse_full();
    if (std::ranges::any_of(before->tokens, [&](const AccessToken& has) { return has.name == token.name; }) ||
        tokens_.contains(token.sha256))
        return refuse(DirectoryFault::not_unique, fmt::format("agent {} has a token '{}'", id, token.name));
    User user = *before;
    user.tokens.push_back(std::move(token));
    DirectoryDone done{.id = id};
    change(done.changes, *before, user);
    return done;
}

DirectoryResult<> Directory::remove_token(std::int32_t id, std::string_view name) {
    const auto before = living(id);
    if (!before) return std::unexpected(before.error());
    User user = *before;
    if (std::erase_if(user.tokens, [&](const AccessToken& token) { return token.name == name; }) == 0)
        return refuse(DirectoryFault::not_found, fmt::format("agent {} has no token '{}'", id, name));
    DirectoryDone done{.id = id};
    change(done.changes, *before, user);
    return done;
}

DirectoryResult<> Directory::add_phone(std::int32_t id, const std::string& phone) {
    const auto before = living(id);
    if (!before) return std::unexpected(before.error());
    if (phone.empty()) return refuse(DirectoryFault::blank, "PHONEID must not be blank");
    DirectoryDone done{.id = id};
    if (const User* has = by_phone(phone); has != nullptr) {
        if (has->id == id) return done;
        return refuse(DirectoryFault::not_unique, fmt::format("PHONEID {} is assigned to agent {}", phone, has->id));
    }
    if (before->phones.size() >= kMostPhones || full(1)) return refuse_full();
    User user = *before;
    user.phones.push_back(phone);
    change(done.changes, *before, user);
    note_phones(id);
    return done;
}

DirectoryResult<> Directory::remove_phone(std::int32_t id, const std::string& phone) {
    const User* has = by_phone(phone);
    if (has == nullptr)
        return refuse(DirectoryFault::not_found, fmt::format("PHONEID {} is assigned to no agent", phone));
    if (id > 0 && has->id != id)
        return refuse(DirectoryFault::not_found,
                      fmt::format("PHONEID {} is assigned to agent {}, not to {}", phone, has->id, id));
    User user = *has;
    std::erase(user.phones, phone);
    note_phones(user.id);
    DirectoryDone done{.id = user.id};
    change(done.changes, *has, user);
    return done;
}

DirectoryResult<std::int32_t> Directory::find_user(const UserName& name) const {
    if (name.id > 0) {
        const auto found = living(name.id);
        if (!found) return std::unexpected(found.error());
        return found->id;
    }
    const auto fits = [&](const User& user) {
        const auto same = [](const std::string& wanted, const std::string& is) {
            return wanted.empty() || wanted == is;
        };
        return same(name.first_name, user.first_name) && same(name.last_name, user.last_name) &&
               same(name.username, user.username) && same(name.sys_user, user.sys_user);
    };
    // The index that leads to the fewest; the rest is compared.
    std::vector<std::int32_t> candidates;
    if (!name.username.empty()) {
        if (const User* only = by_username(name.username); only != nullptr) candidates.push_back(only->id);
    } else if (!name.sys_user.empty()) {
        for (auto at = user_index_.sys_users.lower_bound({name.sys_user, 0});
             at != user_index_.sys_users.end() && at->first == name.sys_user; ++at)
            candidates.push_back(at->second);
    } else {
        candidates = named(name.first_name, name.last_name);
    }
    std::erase_if(candidates, [&](std::int32_t id) { return !fits(users_.at(id)); });
    if (candidates.empty()) return refuse(DirectoryFault::user_not_found, "there is no such user");
    if (candidates.size() > 1)
        return refuse(DirectoryFault::not_unique, fmt::format("{} users fit, agents {} and {} among them",
                                                              candidates.size(), candidates[0], candidates[1]));
    return candidates.front();
}

}  // namespace spantape
