// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/audit.h"

#include <algorithm>
#include <array>

namespace spantape::api {

namespace {

constexpr std::array<std::string_view, 17> kNaming{
    "CLASSES", "ACTION",    "AGENTID", "FIRSTNAME", "LASTNAME", "USERNAME", "USERID",      "SYSTEMUSERNAME", "PHONEID",
    "ROLEID",  "GROUPNAME", "GROUPID", "ROLENAMES", "NAME",     "ID",       "STATIONNAME", "LOCATIONID"};
constexpr std::size_t kMostNamingBytes = 300;

bool is_of_directory(std::string_view type) {
    return type.starts_with("IMPORT") || type.starts_with("MODIFY") || type == "ADDGROUP" || type.ends_with("SET") ||
           type == "ROLECLASSES" || type == "USERTOKEN";
}

void add_about(AuditEntry& entry, const std::string& name, std::string_view value) {
    if (std::ranges::find(kNaming, name) == kNaming.end() || value.empty()) return;
    if (std::ranges::find(entry.about, name, &std::pair<std::string, std::string>::first) != entry.about.end()) return;
    entry.about.emplace_back(name, value.substr(0, kMostNamingBytes));
}

}  // namespace

bool is_audited(const FunctionDescription& function) {
    return function.function_class != FunctionClass::none && function.function_class != FunctionClass::status;
}

AuditEntry audit_entry(const Request& request, const Client& client) {
    AuditEntry entry;
    entry.what = request.type;
    entry.listener = client.listener;
    entry.from = client.address;
    entry.device = request.text("DEVICEID");
    if (request.type.starts_with("RECORDING")) entry.reason = request.text("REASON").substr(0, 200);
    for (const auto& [name, value] : request.parameters) {
        constexpr std::size_t kMostNames = 40, kMostNameBytes = 40;
        if (entry.parameters.size() == kMostNames) break;
        entry.parameters.push_back(name.substr(0, kMostNameBytes));
    }
    if (is_of_directory(request.type))
        for (const auto& [name, value] : request.parameters) add_about(entry, name, value);
    if (const auto ident = parse_integer(request.text("RECORDID")); ident && *ident > 0)
        entry.recordings.push_back(static_cast<std::uint64_t>(*ident));
    return entry;
}

AuditEntry audit_result(AuditEntry entry, const Reply& reply) {
    entry.result = reply.code;
    if (is_of_directory(entry.what))
        for (const Element& element : reply.body) add_about(entry, element.name, element.text);
    for (const std::uint64_t ident : reply.recordings)
        if (std::ranges::find(entry.recordings, ident) == entry.recordings.end()) entry.recordings.push_back(ident);
    entry.found = reply.found;
    return entry;
}

}  // namespace spantape::api
