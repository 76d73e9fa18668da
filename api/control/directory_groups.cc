// SPDX-License-Identifier: AGPL-3.0-or-later
// The directory's rules for groups and roles (manual: User, Group, and Role Functions).
#include "api/control/directory.h"

namespace spantape {

DirectoryResult<> Directory::set_link(const Link& link, bool there) {
    DirectoryDone done;
    if (links_.contains(link) == there) return done;
    if (there && full(1)) return refuse_full();
    if (there)
        change(done.changes, std::nullopt, link);
    else
        change(done.changes, link, std::nullopt);
    return done;
}

void Directory::drop_links(DirectoryChanges& to, const std::vector<Link>& links) {
    for (const Link& link : links) change(to, link, std::nullopt);
}

// --- groups

DirectoryResult<> Directory::add_group(const std::string& name) {
    if (name.empty()) return refuse(DirectoryFault::blank, "GROUPNAME must not be blank");
    if (const auto at = group_ids_.find(name); at != group_ids_.end()) return DirectoryDone{.id = at->second};
    if (full(2)) return refuse_full();
    DirectoryDone done;
    done.id = next_id(done.changes, "group");
    change(done.changes, std::nullopt, Group{done.id, name});
    return done;
}

DirectoryResult<std::int32_t> Directory::find_group(std::int32_t id, std::string_view name) const {
    if (id > 0) {
        if (group(id) != nullptr) return id;
        return refuse(DirectoryFault::no_group, fmt::format("there is no group {}", id));
    }
    if (const auto at = group_ids_.find(std::string(name)); at != group_ids_.end()) return at->second;
    return refuse(DirectoryFault::no_group, fmt::format("there is no group '{}'", name));
}

DirectoryResult<> Directory::add_member(std::int32_t group, std::int32_t agent, const std::string& device) {
    return set_link({Link::Kind::member, group, agent, device}, true);
}

DirectoryResult<> Directory::remove_member(std::int32_t group, std::int32_t agent, const std::string& device) {
    if (!device.empty()) return set_link({Link::Kind::member, group, agent, device}, false);
    DirectoryDone done;
    drop_links(done.changes, links_.between(Link::Kind::member, group, agent));
    return done;
}

DirectoryResult<> Directory::set_viewer(std::int32_t group, std::int32_t user, bool may) {
    return set_link({Link::Kind::viewer, group, user, {}}, may);
}

std::set<std::int32_t> Directory::groups_of(std::int32_t agent, const std::string& device) const {
    if (agent <= 0) return links_.groups_of_device(device);
    std::set<std::int32_t> groups;
    for (const Link& link : links_.to(Link::Kind::member, agent))
        if (link.device.empty() || link.device == device) groups.insert(link.left);
    return groups;
}

std::set<std::int32_t> Directory::visible_groups(std::int32_t user) const {
    std::set<std::int32_t> groups;
    for (const Link& link : links_.to(Link::Kind::viewer, user)) groups.insert(link.left);
    for (const Link& role : links_.to(Link::Kind::role_user, user))
        for (const Link& link : links_.from(Link::Kind::role_group, role.left)) groups.insert(link.right);
    return groups;
}

// --- roles

DirectoryResult<> Directory::add_role(const std::string& name, const std::string& description) {
    if (name.empty()) return refuse(DirectoryFault::blank, "ROLENAMES must not be blank");
    if (role_ids_.contains(name)) return refuse(DirectoryFault::role_exists, fmt::format("role {} exists", name));
    if (full(2)) return refuse_full();
    DirectoryDone done;
    done.id = next_id(done.changes, "role");
    change(done.changes, std::nullopt, Role{done.id, name, description, {}});
    return done;
}

DirectoryResult<std::int32_t> Directory::find_role(std::int32_t id, std::string_view name) const {
    if (id > 0) {
        if (role(id) != nullptr) return id;
        return refuse(DirectoryFault::role_not_found, fmt::format("there is no role {}", id));
    }
    if (const auto at = role_ids_.find(std::string(name)); at != role_ids_.end()) return at->second;
    return refuse(DirectoryFault::role_not_found, fmt::format("there is no role '{}'", name));
}

DirectoryResult<> Directory::describe_role(std::int32_t role, const std::string& description) {
    const Role before = roles_.at(role);
    DirectoryDone done{.id = role};
    if (before.description == description) return done;
    Role after = before;
    after.description = description;
    change(done.changes, before, after);
    return done;
}

DirectoryResult<> Directory::set_role_classes(std::int32_t role, std::set<std::string> classes) {
    const Role before = roles_.at(role);
    DirectoryDone done{.id = role};
    if (before.classes == classes) return done;
    Role after = before;
    after.classes = std::move(classes);
    change(done.changes, before, after);
    return done;
}

DirectoryResult<> Directory::delete_role(std::int32_t role) {
    const Role before = roles_.at(role);
    DirectoryDone done{.id = role};
    drop_links(done.changes, links_.from(Link::Kind::role_group, role));
    drop_links(done.changes, links_.from(Link::Kind::role_user, role));
    change(done.changes, before, std::nullopt);
    return done;
}

DirectoryResult<> Directory::set_role_group(std::int32_t role, std::int32_t group, bool may) {
    return set_link({Link::Kind::role_group, role, group, {}}, may);
}

DirectoryResult<> Directory::set_role_user(std::int32_t role, std::int32_t user, bool has) {
    return set_link({Link::Kind::role_user, role, user, {}}, has);
}

std::set<std::string> Directory::classes_of(std::int32_t user) const {
    std::set<std::string> classes;
    for (const Link& link : links_.to(Link::Kind::role_user, user))
        if (const Role* has = role(link.left); has != nullptr) classes.insert(has->classes.begin(), has->classes.end());
    return classes;
}

}  // namespace spantape
