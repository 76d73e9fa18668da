// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/parameters.h"

#include <array>

#include <fmt/format.h>

namespace spantape::api {

std::string_view user_parameter(std::size_t index) {
    constexpr std::array<std::string_view, 15> kNames{"USER1",  "USER2",  "USER3",  "USER4",  "USER5",
                                                      "USER6",  "USER7",  "USER8",  "USER9",  "USER10",
                                                      "USER11", "USER12", "USER13", "USER14", "USER15"};
    return kNames.at(index);
}

DeviceAddress device_address(const Parameters& parameters) {
    // As long as the directory's.
    const auto name = [&](std::string_view parameter) {
        constexpr std::size_t kMostCharacters = 255;
        return std::string(first_characters(parameters.whole(parameter), kMostCharacters));
    };
    DeviceAddress who{.device_id = parameters.text_or_empty("DEVICEID"),
                      .device_alias = name("DEVICEALIAS"),
                      .sys_user = name("SYS_USER"),
                      .crm_user = name("CRM_USER"),
                      .station = name("STATIONNAME"),
                      .instance = std::nullopt};
    if (parameters.has("CALLINSTANCE")) who.instance = parameters.text("CALLINSTANCE");
    return who;
}

CallParameters call_parameters(const Parameters& parameters) {
    CallParameters read;
    read.who = device_address(parameters);
    FieldUpdate& fields = read.fields;
    fields.device_alias = parameters.text("DEVICEALIAS");
    fields.sys_user = parameters.text("SYS_USER");
    fields.crm_user = parameters.text("CRM_USER");
    fields.station = parameters.text("STATIONNAME");
    fields.group = parameters.text("GROUP");
    fields.gate = parameters.text("GATE");
    fields.ani = parameters.text("ANI");
    fields.dnis = parameters.text("DNIS");
    fields.call_id = parameters.text("CALLID");
    for (std::size_t number = 1; number <= fields.user.size(); ++number)
        fields.user[number - 1] = parameters.text(user_parameter(number - 1));
    fields.direction = parameters.text("CALLDIRECTION");
    fields.priority = parameters.integer32("PRIORITY");
    fields.keep_days = parameters.integer32("KEEPDAYS");
    fields.archive_action = parameters.integer("ARCHIVEACTION");
    fields.agent_initiated = parameters.flag("AGENTINITIATED");
    fields.cti_initiated = parameters.flag("CTIINITIATED");
    fields.max_record_time_s = parameters.integer32("MAXRECORDTIME");
    fields.max_record_silence_s = parameters.integer32("MAXRECORDSILENCE");
    read.notes = parameters.notes();
    return read;
}

Reply sent_to_cores(const Request& request, const CallControl& control, const std::string& notes) {
    Reply reply;
    reply.message =
        fmt::format("{} sent to all of the following cores: {}{}", request.type, control.options().core_id, notes);
    return reply;
}

}  // namespace spantape::api
