// SPDX-License-Identifier: AGPL-3.0-or-later
// Any requests, a query string a line, as the functions' table reads them; those of the directory are carried out, and
// what they change is written and read again.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "api/control/field_update.h"
#include "api/functions/directory_functions.h"
#include "api/functions/function_table.h"
#include "api/protocol/web_request.h"
#include "storage/export/mail.h"

namespace {

using namespace spantape;
using namespace spantape::api;

const std::map<std::string_view, DirectoryFunction> kOfDirectory{
    {"IMPORTUSER", import_user},
    {"IMPORTAGENTPHONE", import_agent_phone},
    {"IMPORTWORKSTATION", import_workstation},
    {"STATIONS", stations},
    {"ADDGROUP", add_group},
    {"MODIFYGROUPPERMISSION", modify_group_permission},
    {"MODIFYUSERGROUPPERMISSION", modify_user_group_permission},
    {"MODIFYROLE", modify_role},
    {"MODIFYROLEGROUPPERMISSION", modify_role_group_permission},
    {"MODIFYUSERROLE", modify_user_role},
    {"ROLECLASSES", role_classes},
    {"FETCHTERMINOLOGY", fetch_terminology},
    {"TERMINOLOGYSET", terminology_set},
    {"LOCATIONSET", location_set},
    {"SITESET", site_set},
    {"SCHEDULESET", schedule_set},
};

void check(const FunctionDescription& function, const Parameters& parameters) {
    for (const Parameter& parameter : function.parameters) {
        if (parameter.required && !parameters.has(parameter.name)) std::abort();
        if (parameter.type == ParameterType::integer) {
            const auto number = parameters.integer(parameter.name);
            if (number && (*number < parameter.least || *number > parameter.most)) std::abort();
        } else if (parameter.size != 0) {
            const std::string text = parameters.text_or_empty(parameter.name);
            if (first_characters(text, parameter.size) != text) std::abort();
        }
    }
    static_cast<void>(is_mail_address(parameters.whole("TOADDRESS")));
}

void carry_out(Directory& directory, DirectoryFunction run, const Parameters& parameters) {
    const DirectoryAnswer answer = run(directory, {.parameters = parameters, .now_ns = kNsPerSecond});
    if (answer.reply.code != ResultCode::API_OK && !answer.changes.empty()) std::abort();
    for (const DirectoryChange& change : answer.changes) {
        if (!change.after) continue;
        const auto read = decode(change.key, encode(*change.after));
        if (!read || *read != *change.after) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    Directory directory({.terms = {{"agent", "Agent"}}, .locations = {{1, "Main"}}, .sites = {{1, "Main"}}}, 100);
    while (!bytes.empty()) {
        const std::string_view line = bytes.substr(0, bytes.find('\n'));
        bytes.remove_prefix(std::min(line.size() + 1, bytes.size()));
        const auto request = parse_web_request({.method = "GET", .target = "/webAPI.aspx?" + std::string(line)});
        if (!request || !*request) continue;
        const auto function = function_table().find((*request)->type);
        if (function == function_table().end()) continue;
        const auto parameters = Parameters::read(function->second, **request);
        if (!parameters) continue;
        check(function->second, *parameters);
        if (const auto run = kOfDirectory.find(function->first); run != kOfDirectory.end())
            carry_out(directory, run->second, *parameters);
    }
    return 0;
}
