// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: User, Group, and Role Functions. "Parameters Sent" are answered with what was looked up for them.
#include <fmt/format.h>

#include "api/functions/directory_functions.h"
#include "api/functions/functions.h"
#include "storage/password.h"

namespace spantape::api {

namespace {

// The part of a request that names a group or a role; a name goes before an id.
struct Named {
    std::int32_t id = 0;
    std::string name;
};
Named named(const Parameters& from, const char* id, const char* name) {
    Named both{.name = from.text_or_empty(name)};
    if (both.name.empty()) both.id = from.integer32(id).value_or(0);
    return both;
}

// One parameter sent, if it was.
void echo(const Parameters& from, const char* name, Reply& reply) {
    if (from.has(name)) reply.body.push_back(leaf(name, from.whole(name)));
}

}  // namespace

DirectoryAnswer add_group(Directory& directory, const DirectoryRequest& request) {
    const std::string name = request.parameters.text_or_empty("GROUPNAME");
    auto done = directory.add_group(name);
    if (!done) return refused_by(done.error());
    DirectoryAnswer answer{.changes = std::move(done->changes)};
    answer.reply.message = fmt::format("group: {} has been added", name);
    answer.reply.body = {leaf("GROUPID", fmt::to_string(done->id)), leaf("GROUPNAME", name)};
    return answer;
}

DirectoryAnswer modify_group_permission(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const Named wanted = named(from, "GROUPID", "GROUPNAME");
    const auto group = directory.find_group(wanted.id, wanted.name);
    if (!group) return refused_by(group.error());
    const std::string device = from.text_or_empty("DEVICEID");
    // manual: the textual representation is looked up first.
    UserName name{.first_name = from.text_or_empty("FIRSTNAME"), .last_name = from.text_or_empty("LASTNAME")};
    if (name.first_name.empty() || name.last_name.empty()) name = {.id = from.integer32("AGENTID").value_or(0)};
    // "either the device or the agent": a phone names its agent.
    if (const User* has = directory.by_phone(device); name.id == 0 && name.first_name.empty() && has != nullptr)
        name.id = has->id;
    const auto agent = directory.find_user(name);
    if (!agent) return refused_by(agent.error(), ResultCode::API_AGENT_NOT_FOUND);
    auto done =
        adds(from) ? directory.add_member(*group, *agent, device) : directory.remove_member(*group, *agent, device);
    if (!done) return refused_by(done.error());
    DirectoryAnswer answer{.changes = std::move(done->changes)};
    echo(from, "ACTION", answer.reply);
    answer.reply.body.push_back(leaf("GROUPNAME", directory.group(*group)->name));
    answer.reply.body.push_back(leaf("GROUPID", fmt::to_string(*group)));
    echo(from, "DEVICEID", answer.reply);
    const User& user = *directory.user(*agent);
    answer.reply.body.push_back(leaf("FIRSTNAME", user.first_name));
    answer.reply.body.push_back(leaf("LASTNAME", user.last_name));
    answer.reply.body.push_back(leaf("AGENTID", fmt::to_string(user.id)));
    return answer;
}

DirectoryAnswer modify_user_group_permission(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const Named wanted = named(from, "GROUPID", "GROUPNAME");
    const auto group = directory.find_group(wanted.id, wanted.name);
    if (!group) return refused_by(group.error());
    const User* user = directory.by_username(from.text_or_empty("USERNAME"));
    if (user == nullptr)
        return {refused(ResultCode::API_USER_NOT_FOUND,
                        fmt::format("there is no user '{}'", from.text_or_empty("USERNAME")))};
    auto done = directory.set_viewer(*group, user->id, adds(from));
    if (!done) return refused_by(done.error());
    DirectoryAnswer answer{.changes = std::move(done->changes)};
    echo(from, "ACTION", answer.reply);
    answer.reply.body.push_back(leaf("GROUPNAME", directory.group(*group)->name));
    answer.reply.body.push_back(leaf("GROUPID", fmt::to_string(*group)));
    echo(from, "DEVICEID", answer.reply);
    echo(from, "USERNAME", answer.reply);
    return answer;
}

DirectoryAnswer modify_role(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const std::string name = from.text_or_empty("ROLENAMES"), description = from.text_or_empty("DESCRIPTION");
    const auto change = [&]() -> DirectoryResult<> {
        if (adds(from)) return directory.add_role(name, description);
        const auto role = directory.find_role(0, name);
        if (!role) return std::unexpected(role.error());
        return deletes(from) ? directory.delete_role(*role) : directory.describe_role(*role, description);
    };
    auto done = change();
    if (!done) {  // manual: "The ROLENAMES and the RESULTCODE will be returned"
        DirectoryAnswer refusal = refused_by(done.error());
        echo(from, "ROLENAMES", refusal.reply);
        return refusal;
    }
    DirectoryAnswer answer{.changes = std::move(done->changes)};
    answer.reply.message = adds(from) ? "Role Added" : deletes(from) ? "Role Deleted" : "Role Modified";
    for (const char* sent : {"ACTION", "ROLENAMES", "DESCRIPTION"}) echo(from, sent, answer.reply);
    answer.reply.body.push_back(leaf("ROLEID", fmt::to_string(done->id)));
    return answer;
}

DirectoryAnswer modify_role_group_permission(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const Named wanted = named(from, "ROLEID", "ROLENAMES");
    const auto role = directory.find_role(wanted.id, wanted.name);
    if (!role) return refused_by(role.error());
    const std::string group_name = from.text_or_empty("GROUPNAME"), role_name = directory.role(*role)->name;
    const auto group = directory.find_group(0, group_name);
    DirectoryAnswer answer;
    if (group) {
        auto done = directory.set_role_group(*role, *group, adds(from));
        if (!done) return refused_by(done.error());
        answer.changes = std::move(done->changes);
        answer.reply.message = adds(from) ? fmt::format("Group {} is assigned to role {}", group_name, role_name)
                                          : fmt::format("Group {} is removed from role {}", group_name, role_name);
    } else {
        // The page's example is API_OK with this message.
        answer.reply.message = fmt::format("Group {} does not exist or it is not active", group_name);
    }
    answer.reply.body = {leaf("ROLEID", fmt::to_string(*role)), leaf("ROLENAMESPACE", role_name),
                         leaf("GROUPNAME", group_name)};
    echo(from, "ACTION", answer.reply);
    return answer;
}

DirectoryAnswer modify_user_role(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const Named wanted = named(from, "ROLEID", "ROLENAMES");
    const auto role = directory.find_role(wanted.id, wanted.name);
    if (!role) return refused_by(role.error());
    const auto user = directory.find_user({.id = from.integer32("USERID").value_or(0),
                                           .first_name = from.text_or_empty("FIRSTNAME"),
                                           .last_name = from.text_or_empty("LASTNAME"),
                                           .username = from.text_or_empty("USERNAME"),
                                           .sys_user = from.text_or_empty("SYSTEMUSERNAME")});
    if (!user) return refused_by(user.error());
    auto done = directory.set_role_user(*role, *user, adds(from));
    if (!done) return refused_by(done.error());
    DirectoryAnswer answer{.changes = std::move(done->changes)};
    const std::string& role_name = directory.role(*role)->name;
    answer.reply.message =
        fmt::format("User {} {} role {}", *user, adds(from) ? "is assigned" : "is no longer assigned", role_name);
    answer.reply.body = {leaf("ROLEID", fmt::to_string(*role)), leaf("ROLENAMES", role_name),
                         leaf("USERID", fmt::to_string(*user))};
    for (const char* sent : {"LASTNAME", "FIRSTNAME", "SYSTEMUSERNAME", "USERNAME", "ACTION"})
        echo(from, sent, answer.reply);
    return answer;
}

DirectoryAnswer role_classes(Directory& directory, const DirectoryRequest& request) {
    const Named wanted = named(request.parameters, "ROLEID", "ROLENAMES");
    const auto role = directory.find_role(wanted.id, wanted.name);
    if (!role) return refused_by(role.error());
    std::set<std::string> classes;
    std::string rest = request.parameters.text_or_empty("CLASSES");
    while (!rest.empty()) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string name = rest.substr(0, comma);
        if (!function_class_named(name))
            return {.reply = refused(ResultCode::API_PERMISSIONIDENT_NOT_FOUND,
                                     fmt::format("'{}' is no class of functions", name))};
        classes.insert(name);
        rest.erase(0, std::min(comma + 1, rest.size()));
    }
    auto done = directory.set_role_classes(*role, std::move(classes));
    if (!done) return refused_by(done.error());
    return {.changes = std::move(done->changes)};
}

DirectoryAnswer user_token(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const auto user = directory.find_user({.username = from.text_or_empty("USERNAME")});
    if (!user) return refused_by(user.error());
    const std::string name = from.text_or_empty("NAME");
    if (!adds(from)) {
        auto done = directory.remove_token(*user, name);
        if (!done) return refused_by(done.error());
        return {.changes = std::move(done->changes)};
    }
    const auto token = make_token();
    if (!token) return {.reply = refused(ResultCode::API_ERROR_PROCESSING_MESSAGE, token.error().message)};
    auto done = directory.add_token(*user, {name, token_hash(*token), request.now_ns});
    if (!done) return refused_by(done.error());
    DirectoryAnswer answer{.changes = std::move(done->changes)};
    answer.reply.body = {leaf("TOKEN", *token)};
    return answer;
}

}  // namespace spantape::api
