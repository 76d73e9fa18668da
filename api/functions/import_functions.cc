// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: Import Functions, STATIONS.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/control/event_document.h"
#include "api/functions/directory_functions.h"
#include "api/functions/functions.h"
#include "api/functions/manual_time.h"
#include "api/functions/sliced.h"
#include "api/protocol/xml_codec.h"

namespace spantape::api {

DirectoryAnswer refused_by(const DirectoryError& error, ResultCode not_found) {
    const auto code = [&] {
        switch (error.fault) {
            case DirectoryFault::user_exists:
                return ResultCode::API_USER_ALREADY_EXIST;
            case DirectoryFault::user_not_found:
            case DirectoryFault::not_found:
                return not_found;
            case DirectoryFault::not_unique:
                return ResultCode::API_ERROR_KEYS_NOT_UNIQUE;
            case DirectoryFault::no_group:
                return ResultCode::API_NO_GROUP;
            case DirectoryFault::role_exists:
                return ResultCode::API_ROLE_ALREADY_EXISTS;
            case DirectoryFault::role_not_found:
                return ResultCode::API_ROLE_NOT_FOUND;
            case DirectoryFault::no_site:
                return ResultCode::API_SITEID_NOT_VALID;
            case DirectoryFault::blank:
                return ResultCode::API_INVALID_MESSAGE_FORMAT;
            case DirectoryFault::no_location:
            case DirectoryFault::full:
                break;
        }
        return ResultCode::API_DATABASE_QUERY_ERROR;
    }();
    return {refused(code, error.message)};
}

namespace {

// The fields of IMPORTUSER, or which one is wrong.
Result<UserFields> user_fields(const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    UserFields fields;
    fields.employee_id = from.text("EMPLOYEEID");
    fields.first_name = from.text("FIRSTNAME");
    fields.last_name = from.text("LASTNAME");
    if (const auto status = from.text("STATUS")) fields.status = static_cast<UserStatus>(status->front());
    fields.sys_user = from.text("SYS_USER");
    fields.domain = from.text("DOMAIN");
    fields.email = from.text("EMAIL");
    fields.crm_user = from.text("CRM_USER");
    fields.username = from.text("USERNAME");
    fields.site_id = from.integer32("SITEID");
    fields.allow_self_record = from.flag("ALLOWSELFRECORD");
    fields.allow_self_download = from.flag("ALLOWSELFDOWNLOAD");
    fields.allow_duplicate = from.flag("ALLOWDUPLICATE").value_or(false);
    if (!request.password_hash.empty()) fields.password = request.password_hash;
    for (const auto& [name, field] :
         {std::pair("ADD_TIME", &fields.added_ns), std::pair("MOD_TIME", &fields.modified_ns)}) {
        if (!from.has(name)) continue;
        *field = parse_manual_time(*from.text(name));
        if (!*field) return fail("{} must be a time such as 10/30/2006 4:05:38 PM, is '{}'", name, *from.text(name));
    }
    return fields;
}

void append_agent(std::string& out, const User& user) {
    const auto add = [&](std::string_view name, std::string_view text) { append_element(out, name, text); };
    out += "<AGENT>";
    add("AGENT_ID", fmt::to_string(user.id));
    add("EMPLOYEEID", user.employee_id);
    add("FIRSTNAME", user.first_name);
    add("LASTNAME", user.last_name);
    add("STATUS", std::string(1, static_cast<char>(user.status)));
    add("ADD_TIME", manual_time(user.added_ns));
    add("MOD_TIME", manual_time(user.modified_ns));
    add("SYS_USER", user.sys_user);
    add("DOMAIN", user.domain);
    add("EMAIL", user.email);
    add("CRM_USER", user.crm_user);
    add("PHONES", fmt::format("{}", fmt::join(user.phones, ",")));
    out += "</AGENT>";
}

// As a 5.x server was seen to answer.
void append_user(std::string& out, const User& user) {
    const auto add = [&](std::string_view name, std::string_view text) { append_element(out, name, text); };
    out += "<USER>";
    add("USER_ID", fmt::to_string(user.id));
    add("EMPLOYEEID", user.employee_id);
    add("FIRSTNAME", user.first_name);
    add("LASTNAME", user.last_name);
    add("STATUS", std::string(1, static_cast<char>(user.status)));
    add("ADD_TIME", manual_time_with_offset(user.added_ns));
    add("MOD_TIME", manual_time_with_offset(user.modified_ns));
    add("USERNAME", user.username);
    add("SYS_USER", user.sys_user);
    add("SYS_DOMAIN", user.domain);
    add("EMAIL", user.email);
    add("CRM_USER", user.crm_user);
    add("SITE_ID", user.site_id != 0 ? fmt::to_string(user.site_id) : "");
    add("PHONES", fmt::format("{}", fmt::join(user.phones, ",")));
    out += "</USER>";
}

DirectoryAnswer list_users(const Directory& directory, bool users_dialect) {
    const std::string_view tag = users_dialect ? "USERS" : "AGENTS";
    const auto append = users_dialect ? append_user : append_agent;
    DirectoryAnswer answer;
    answer.slices = sliced(tag, directory.users(), [append](std::string& out, const auto& entry) {
        append(out, entry.second);
        return true;
    });
    return answer;
}

// The standard result and AGENTID.
DirectoryAnswer about_agent(DirectoryDone done) {
    DirectoryAnswer answer{.changes = std::move(done.changes)};
    answer.reply.body.push_back(leaf("AGENTID", fmt::to_string(done.id)));
    return answer;
}

DirectoryAnswer format_error(std::string message) {
    return {refused(ResultCode::API_INVALID_MESSAGE_FORMAT, std::move(message))};
}

}  // namespace

std::string password_to_hash(const Directory* directory, const Parameters& parameters) {
    if (!parameters.has("PASSWORD") || deletes(parameters) || parameters.text("ACTION") == "LIST") return "";
    if (directory != nullptr) {
        const auto fields = user_fields({.parameters = parameters});
        if (!fields || (adds(parameters) && !directory->may_add(*fields))) return "";
    }
    return *parameters.text("PASSWORD");
}

DirectoryAnswer import_user(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    if (from.text("ACTION") == "LIST") return list_users(directory, request.users_dialect);
    const std::int32_t id = from.integer32("AGENTID").value_or(0);
    if (!adds(from) && !from.has("AGENTID")) return format_error("AGENTID is required");
    if (deletes(from)) {
        auto done = directory.delete_user(id, request.now_ns);
        return done ? about_agent(std::move(*done)) : refused_by(done.error());
    }
    // manual: "this command now requires the password"
    if (adds(from) && !from.has("PASSWORD")) return format_error("PASSWORD is required");
    const auto fields = user_fields(request);
    if (!fields) return format_error(fields.error().message);
    auto done =
        adds(from) ? directory.add_user(*fields, request.now_ns) : directory.modify_user(id, *fields, request.now_ns);
    return done ? about_agent(std::move(*done)) : refused_by(done.error());
}

DirectoryAnswer import_agent_phone(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const std::string phone = from.text_or_empty("PHONEID");
    const UserName name{.id = from.integer32("AGENTID").value_or(0),
                        .first_name = from.text_or_empty("FIRSTNAME"),
                        .last_name = from.text_or_empty("LASTNAME")};
    const bool named = name.id > 0 || (!name.first_name.empty() && !name.last_name.empty());
    // A phone that is taken away names its agent itself.
    if (!named && (adds(from) || from.has("FIRSTNAME") || from.has("LASTNAME")))
        return {refused(ResultCode::API_AGENT_NOT_FOUND, "AGENTID, or FIRSTNAME and LASTNAME, are required")};
    std::int32_t agent = 0;
    if (named) {
        const auto found = directory.find_user(name);
        if (!found) return refused_by(found.error(), ResultCode::API_AGENT_NOT_FOUND);
        agent = *found;
    }
    auto done = adds(from) ? directory.add_phone(agent, phone) : directory.remove_phone(agent, phone);
    return done ? about_agent(std::move(*done)) : refused_by(done.error(), ResultCode::API_AGENT_NOT_FOUND);
}

DirectoryAnswer import_workstation(Directory& directory, const DirectoryRequest& request) {
    const Parameters& from = request.parameters;
    const Station wanted{.name = from.text_or_empty("STATIONNAME"),
                         .device_id = from.text_or_empty("DEVICEID"),
                         .location_id = from.integer32("LOCATIONID").value_or(0)};
    auto done = directory.set_station(wanted);
    DirectoryAnswer answer = done ? DirectoryAnswer{.changes = std::move(done->changes)} : refused_by(done.error());
    // manual: "the DEVICEID that is returned is the value that is actually stored", also when that is an old one.
    const Station* stored = directory.station(wanted.name);
    answer.reply.body = {leaf("DEVICEID", stored != nullptr ? stored->device_id : ""),
                         leaf("STATIONNAME", wanted.name)};
    return answer;
}

DirectoryAnswer stations(Directory& directory, const DirectoryRequest& /*request*/) {
    DirectoryAnswer answer;
    answer.reply.body.push_back(leaf("COUNT", fmt::to_string(directory.stations().size())));
    Element& list = answer.reply.body.emplace_back(Element{"STATIONS", {}, {}});
    for (const auto& [name, station] : directory.stations())
        list.children.push_back({"STATION", {}, {leaf("STATIONNAME", name), leaf("DEVICEID", station.device_id)}});
    return answer;
}

}  // namespace spantape::api
