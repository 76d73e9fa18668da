// SPDX-License-Identifier: AGPL-3.0-or-later
// The table of functions, and their door.
#include "api/functions/functions.h"

#include <fmt/format.h>

namespace spantape::api {

Reply refused(ResultCode code, std::string message) {
    Reply reply;
    reply.code = code;
    reply.message = std::move(message);
    return reply;
}

Functions::Functions(FunctionContext context) : context_(std::move(context)) {}

const std::map<std::string, Functions::Entry>& Functions::entries() {
    static const std::map<std::string, Entry> table{
        {"TEST", {&Functions::test, {}}},
        // manual: Call Handling Functions
        {"CALLSTART", {&Functions::call_start, {}}},
        {"CALLSTOP", {&Functions::call_stop, {}}},
        {"CALLUPDATE", {&Functions::call_update, {}}},
        {"RECORDSTART", {&Functions::record_start, {}}},
        {"RECORDSTOP", {&Functions::record_stop, {}}},
        // manual: Status Functions
        {"DEVICELIST", {&Functions::device_list, {}}},
        {"DEVICESTATUS", {&Functions::device_status, {}}},
        {"DEVICERECORDINGSTATUS", {&Functions::device_recording_status, {}}},
        {"SYSTEMSTATUS", {}},
        {"CHANNELS", {&Functions::channels, {}}},
        {"STATIONS", {}},
        {"FETCHTERMINOLOGY", {}},
        {"CALLLIST", {&Functions::call_list, {}}},
        // manual: Recording Control Functions
        {"CHATSTART", {}},
        {"CHATSTOP", {}},
        {"CHATUPDATE", {}},
        {"BLACKOUTSTART", {}},
        {"BLACKOUTSTOP", {}},
        {"AGENTBLACKOUTSTART", {}},
        {"AGENTBLACKOUTSTOP", {}},
        // manual: Playback Functions (deprecated)
        {"EXTENSIONPLAYBACKSTART", {nullptr, "EXPORT"}},
        {"EXTENSIONPLAYBACKSTOP", {nullptr, "EXPORT"}},
        // manual: Import Functions
        {"IMPORTAGENT", {nullptr, "IMPORTUSER"}},
        {"IMPORTSTATION", {nullptr, "IMPORTWORKSTATION"}},
        {"IMPORTUSER", {}},
        {"IMPORTAGENTPHONE", {}},
        {"IMPORTWORKSTATION", {}},
        // manual: User, Group, and Role Functions
        {"ADDGROUP", {}},
        {"MODIFYGROUPPERMISSION", {}},
        {"MODIFYUSERGROUPPERMISSION", {}},
        {"MODIFYROLE", {}},
        {"MODIFYROLEGROUPPERMISSION", {}},
        {"MODIFYUSERROLE", {}},
        {"EMAIL", {}},
        {"COMBINEDEMAIL", {}},
        {"AGENTWINDOW", {}},
        // manual: Uptivity WebAPI Service
        {"EXPORT", {&Functions::export_audio, {}}},
        {"COMBINEDEXPORT", {}},
        {"MULTIEXPORT", {}},
        // manual: Event Interface
        {"EVENTS", {&Functions::events, {}}},
        // Ours: what `spantape status` shows.
        {"APPLIANCESTATUS", {&Functions::appliance_status, {}}},
    };
    return table;
}

std::map<std::string, bool> Functions::table() {
    std::map<std::string, bool> names;
    for (const auto& [name, entry] : entries()) names[name] = entry.function != nullptr;
    return names;
}

void Functions::handle(const Request& request, const Client& client, std::function<void(Reply&&)> done) {
    const auto at = entries().find(request.type);
    if (at == entries().end())
        return done(refused(ResultCode::API_UNKNOWN_MESSAGE_TYPE, fmt::format("unknown TYPE '{}'", request.type)));
    if (at->second.function == nullptr) {
        const std::string& instead = at->second.instead;
        return done(refused(ResultCode::API_COMMAND_NOT_SUPPORTED,
                            instead.empty() ? fmt::format("{} is not supported by this version", request.type)
                                            : fmt::format("{} is deprecated, use {}", request.type, instead)));
    }
    (this->*at->second.function)(request, client, std::move(done));
}

}  // namespace spantape::api
