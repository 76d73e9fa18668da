// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/aliases.h"

#include <algorithm>
#include <array>
#include <span>

#include "api/protocol/xml_text.h"

namespace spantape::api {
namespace {

struct Alias {
    std::string_view name, canonical;
    std::string_view only_in;  // a type; "" = everywhere
};

constexpr std::array kTypes = {
    Alias{"ADDDGROUP", "ADDGROUP", ""},
    Alias{"COMBINEEXPORT", "COMBINEDEXPORT", ""},
    Alias{"MULTIEEXPORT", "MULTIEXPORT", ""},
};

constexpr std::array kParameters = {
    Alias{"CALLDATESTART", "CALLDATATESTART", ""},
    Alias{"CALLDATEEND", "CALLDATATEEND", ""},
    Alias{"ROLENAME", "ROLENAMES", ""},
    Alias{"ROLENAMESPACE", "ROLENAMES", ""},
    Alias{"AGENT_ID", "AGENTID", ""},
    Alias{"EMPLOYEE_ID", "EMPLOYEEID", ""},
    Alias{"SITE_ID", "SITEID", ""},
    Alias{"SYS_DOMAIN", "DOMAIN", "IMPORTUSER"},
    Alias{"PHONEID", "DEVICEID", "MODIFYGROUPPERMISSION"},  // manual: "PHONEID OR DEVICEID"
};

constexpr std::array<std::string_view, 45> kRequestRoots = {
    "REQUEST",
    "TEST",
    "CALLSTART",
    "CALLSTOP",
    "CALLUPDATE",
    "RECORDSTART",
    "RECORDSTOP",
    "DEVICELIST",
    "DEVICESTATUS",
    "DEVICERECORDINGSTATUS",
    "SYSTEMSTATUS",
    "CHANNELS",
    "STATIONS",
    "FETCHTERMINOLOGY",
    "CALLLIST",
    "CHATSTART",
    "CHATSTOP",
    "CHATUPDATE",
    "BLACKOUTSTART",
    "BLACKOUTSTOP",
    "AGENTBLACKOUTSTART",
    "AGENTBLACKOUTSTOP",
    "EXTENSIONPLAYBACKSTART",
    "EXTENSIONPLAYBACKSTOP",
    "IMPORTAGENT",
    "IMPORTSTATION",
    "IMPORTUSER",
    "IMPORTAGENTPHONE",
    "IMPORTWORKSTATION",
    "ADDGROUP",
    "ADDDGROUP",
    "MODIFYGROUPPERMISSION",
    "MODIFYUSERGROUPPERMISSION",
    "MODIFYROLE",
    "MODIFYROLEGROUPPERMISSION",
    "MODIFYUSERROLE",
    "COMBINEDEMAIL",
    "AGENTWINDOW",
    "EVENTS",
    "EXPORT",
    "COMBINEEXPORT",
    "COMBINEDEXPORT",
    "MULTIEXPORT",
    "MULTIEEXPORT",
    "APPLIANCESTATUS",
};

std::string_view resolve(std::span<const Alias> aliases, std::string_view type, std::string_view name) {
    for (const Alias& alias : aliases) {
        if (alias.name == name && (alias.only_in.empty() || alias.only_in == type)) return alias.canonical;
    }
    return name;
}

}  // namespace

std::string_view canonical_type(std::string_view type) { return resolve(kTypes, type, type); }

std::string_view canonical_parameter(std::string_view type, std::string_view name) {
    return resolve(kParameters, type, name);
}

bool is_request_root(std::string_view name) {
    return std::ranges::any_of(kRequestRoots, [&](std::string_view root) { return equal_ignoring_case(root, name); });
}

}  // namespace spantape::api
