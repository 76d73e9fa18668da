// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/event_document.h"

#include <map>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "api/control/local_time.h"

namespace spantape {

namespace {

// USER and KEEP stand for runs that all but two events share.
constexpr std::string_view kCallStart =
    "GLOBALCALLID DEVICEID DEVICEALIAS SYS_USER CRM_USER GATE ANI DNIS AGENTID USER1 USER2 USER3 USER4 USER5 USER6 "
    "USER7 "
    "USER8 USER9 USER10 USER11 USER12 USER13 USER14 USER15 GROUP CALLINSTANCE CALLDIRECTION STATION ISTRUNK KEEPDAYS "
    "ARCHIVEACTION STARTTIME COREIDENT";
constexpr std::string_view kCallStop =
    "DEVICEALIAS SYS_USER CRM_USER GATE ANI DNIS AGENTID USER1 USER2 USER3 USER4 USER5 USER6 USER7 USER8 USER9 USER10 "
    "CALLINSTANCE USER11 USER12 USER13 USER14 USER15 GROUP KEEPDAYS ARCHIVEACTION GLOBALCALLID DEVICEID COREIDENT";
constexpr std::string_view kRecordingStarted =
    "DEVICEID FILENAME CHANNEL ERRORREASON GLOBALCALLID DEVICEALIAS GATE ANI DNIS AGENTID USER1 USER2 USER3 USER4 "
    "USER5 "
    "USER6 USER7 USER8 USER9 USER10 USER11 USER12 USER13 CALLINSTANCE USER14 USER15 GROUP KEEPDAYS ARCHIVEACTION "
    "COREIDENT";
constexpr std::string_view kRecordingStopped =
    "GLOBALCALLID DEVICEID DEVICEALIAS GATE ANI DNIS AGENTID USER1 USER2 USER3 USER4 USER5 KEEPDAYS RECORDID COREIDENT";
constexpr std::string_view kRecordingUpdate = "GLOBALCALLID DEVICEID KEEPDAYS FILENAME RECORDID COREIDENT";

struct EventType {
    std::string_view event_class, module, fields;
};

const std::map<std::string_view, EventType>& event_types() {
    static const std::map<std::string_view, EventType> types{
        {"CALLSTART", {"CALL", "Api", kCallStart}},
        {"CALLSTOP", {"CALL", "Api", kCallStop}},
        {"RECORDINGSTARTED", {"RECORD", "Api", kRecordingStarted}},
        {"RECORDINGSTOPPED", {"RECORD", "", kRecordingStopped}},
        {"RECORDINGUPDATE", {"RECORD", "", kRecordingUpdate}},
        {"RECORDINGPAUSED", {"RECORD", "Api", kRecordingStarted}},
        {"RECORDINGRESUMED", {"RECORD", "Api", kRecordingStarted}},
    };
    return types;
}

std::string value_of(std::string_view name, const EventContext& context) {
    const Recording& fields = *context.fields;
    if (name == "DEVICEID") return fields.device_id;
    if (name == "DEVICEALIAS") return fields.device_alias;
    if (name == "SYS_USER") return fields.sys_user;
    if (name == "CRM_USER") return fields.crm_user;
    if (name == "GATE") return fields.gate;
    if (name == "ANI") return fields.ani;
    if (name == "DNIS") return fields.dnis;
    if (name == "GROUP") return fields.group;
    if (name == "STATION") return fields.station;
    if (name == "CALLINSTANCE") return fields.call_instance;
    if (name == "CALLDIRECTION") return fields.direction;
    if (name == "GLOBALCALLID") return fields.global_call_id;
    if (name == "FILENAME") return fields.filename;
    if (name == "AGENTID") return fields.agent_id > 0 ? fmt::to_string(fields.agent_id) : "";
    if (name == "KEEPDAYS") return fmt::to_string(fields.keep_days);
    if (name == "ARCHIVEACTION") return fmt::to_string(fields.archive_action);
    if (name == "CHANNEL") return fmt::to_string(fields.channel);
    if (name == "RECORDID") return fmt::to_string(fields.ident);
    if (name == "COREIDENT") return fmt::to_string(fields.core_id);
    if (name == "ERRORREASON") return context.error_reason;
    if (name == "STARTTIME") return manual_time(context.start_ns);
    if (name.starts_with("USER"))
        return fields.user[static_cast<std::size_t>(std::stoi(std::string(name.substr(4)))) - 1];
    return "";  // ISTRUNK: not known on a SPAN port
}

}  // namespace

api::Event event_document(const std::string& type, const EventContext& context) {
    const EventType& shape = event_types().at(type);
    api::Event event{std::string(shape.event_class), type, std::string(shape.module), context.fields->device_id, {}};
    event.agent_id = static_cast<std::int32_t>(context.fields->agent_id);
    std::string_view rest = shape.fields;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        const std::string_view name = rest.substr(0, end);
        event.data.push_back({std::string(name), value_of(name, context), {}});
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return event;
}

std::string manual_time(TimeNs time_ns) {
    if (time_ns == 0) return "";
    const std::tm local = local_time(time_ns);
    const int hour = local.tm_hour % 12 == 0 ? 12 : local.tm_hour % 12;
    return fmt::format("{}/{}/{} {}:{:02}:{:02} {}", local.tm_mon + 1, local.tm_mday, local.tm_year + 1900, hour,
                       local.tm_min, local.tm_sec, local.tm_hour < 12 ? "AM" : "PM");
}

}  // namespace spantape
