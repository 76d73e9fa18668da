// SPDX-License-Identifier: AGPL-3.0-or-later
// The table itself, in the manual's order: its pages' parameters, with the types and sizes of "Data Type Values".
#include "api/functions/function_table.h"

#include <initializer_list>

#include <fmt/format.h>

#include "api/functions/functions.h"

namespace spantape::api {

namespace {

using List = std::vector<Parameter>;
using enum ResultCode;

Parameter text(std::string name, std::size_t size) { return {.name = std::move(name), .size = size}; }
Parameter integer(std::string name, std::int64_t least = INT32_MIN, std::int64_t most = INT32_MAX) {
    return {.name = std::move(name), .type = ParameterType::integer, .least = least, .most = most};
}
Parameter flag(std::string name) { return {.name = std::move(name), .type = ParameterType::flag}; }
Parameter direction(std::string name) { return {.name = std::move(name), .type = ParameterType::direction}; }
Parameter choice(std::string name, std::vector<std::string> choices, ResultCode wrong = API_INVALID_MESSAGE_FORMAT) {
    return {.name = std::move(name), .type = ParameterType::choice, .choices = std::move(choices), .wrong = wrong};
}
Parameter action(std::vector<std::string> choices) {
    Parameter parameter = choice("ACTION", std::move(choices), API_ERROR_INVALID_ACTION);
    parameter.required = true;
    return parameter;
}
Parameter required(Parameter parameter) {
    parameter.required = true;
    return parameter;
}

List operator+(List a, const List& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

List user_fields() {
    List fields;
    for (int number = 1; number <= 15; ++number)
        fields.push_back(text(fmt::format("USER{}", number), number <= 3 ? 20 : number <= 8 ? 255 : 50));
    return fields;
}

List user_patterns() {
    List fields;
    for (int number = 1; number <= 15; ++number) fields.push_back(text(fmt::format("USER{}", number), 1000));
    return fields;
}

const List kWhose{text("DEVICEID", 64), text("DEVICEALIAS", 15), text("SYS_USER", 30), text("CRM_USER", 30)};
const List kCallWho = kWhose + List{text("STATIONNAME", 50), text("CALLINSTANCE", 64)};
const List kCallFields = List{text("GROUP", 20), text("GATE", 20), text("ANI", 20), text("DNIS", 20)} + user_fields() +
                         List{direction("CALLDIRECTION")};
const List kRecordingFields{text("CALLID", 16),
                            integer("PRIORITY"),
                            integer("MAXRECORDSILENCE"),
                            integer("MAXRECORDTIME"),
                            flag("AGENTINITIATED"),
                            flag("CTIINITIATED"),
                            integer("ARCHIVEACTION", INT64_MIN, INT64_MAX),
                            integer("KEEPDAYS")};
const List kCall = kCallWho + kCallFields + kRecordingFields;
const std::vector<std::string> kOneDevice{"DEVICEID", "DEVICEALIAS", "STATIONNAME", "SYS_USER", "CRM_USER"};
const std::vector<std::string> kOneOfFour{"DEVICEID", "DEVICEALIAS", "SYS_USER", "CRM_USER"};

// Of the functions that start a recording and those that act on a call.
const std::vector<ResultCode> kStartCodes{API_DEVICE_INVALID,
                                          API_DEVICE_NOT_IN_CALL,
                                          API_ERROR_NO_FREE_CHANNELS,
                                          API_ERROR_OUT_OF_DISK_SPACE,
                                          API_ERROR_RECORDER_NOT_RUNNING,
                                          API_PARTIAL_CORE_RESPONSE,
                                          API_DID_NOT_MATCH_A_SCHEDULE,
                                          API_ERROR_BLOCKED_RECORDING_FILTER};
const std::vector<ResultCode> kStopCodes{API_DEVICE_INVALID, API_ERROR_RECORDER_NOT_RUNNING, API_PARTIAL_CORE_RESPONSE};

const List kBlackout{text("DEVICEID", 64), text("DEVICEALIAS", 100), text("SYS_USER", 255), text("CRM_USER", 50),
                     integer("TIMEOFFSET")};

Parameter record_id() { return integer("RECORDID", 1, INT64_MAX); }

using Table = std::map<std::string, FunctionDescription, std::less<>>;

void add(Table& table, FunctionDescription function) {
    std::string name = function.name;
    table.emplace(std::move(name), std::move(function));
}

}  // namespace

// What the pages of one chapter have in common is said once for all of them.
class FunctionList {
public:
    static Table all() {
        Table table;
        add_call_handling(table);
        add_status(table);
        add_recording_control(table);
        add_directory(table);
        add_recordings(table);
        add_ours(table);
        return table;
    }

private:
    using F = Functions;
    using enum FunctionClass;

    static void add_call_handling(Table& table) {
        const char* chapter = "Call Handling Functions";
        add(table, {.name = "TEST", .chapter = "Message Structure", .handler = &F::test});
        add(table, {.name = "CALLSTART",
                    .chapter = chapter,
                    .function_class = calls,
                    .parameters = kCall,
                    .one_of = kOneDevice,
                    .codes = kStartCodes,
                    .handler = &F::call_start});
        add(table, {.name = "CALLSTOP",
                    .chapter = chapter,
                    .function_class = calls,
                    .parameters = kCallWho,
                    .one_of = kOneDevice,
                    .codes = kStopCodes,
                    .handler = &F::call_stop});
        // Whether a device is needed depends on RECORDID: call_update sees to it.
        add(table, {.name = "CALLUPDATE",
                    .chapter = chapter,
                    .function_class = calls,
                    .parameters = kCall + List{flag("UPDATE_IF_NOT_RECORDING"), record_id()},
                    .codes = {API_DEVICE_INVALID, API_DEVICE_NOT_IN_CALL, API_RECORDID_INVALID,
                              API_DATABASE_QUERY_ERROR, API_ERROR_RECORDER_NOT_RUNNING, API_PARTIAL_CORE_RESPONSE},
                    .clears_empty = true,
                    .handler = &F::call_update});
        add(table, {.name = "RECORDSTART",
                    .chapter = chapter,
                    .function_class = calls,
                    .parameters = kCall,
                    .one_of = kOneDevice,
                    .codes = kStartCodes,
                    .handler = &F::record_start});
        add(table, {.name = "RECORDSTOP",
                    .chapter = chapter,
                    .function_class = calls,
                    .parameters = kCallWho + user_fields(),
                    .one_of = kOneDevice,
                    .codes = kStopCodes,
                    .handler = &F::record_stop});
    }

    static void add_status(Table& table) {
        const char* chapter = "Status Functions";
        add(table, {.name = "DEVICELIST",
                    .chapter = chapter,
                    .function_class = status,
                    .results = {"DEVICES"},
                    .handler = &F::device_list});
        add(table, {.name = "DEVICESTATUS",
                    .chapter = chapter,
                    .function_class = status,
                    .parameters = kWhose,
                    .one_of = kOneOfFour,
                    .results = {"DEVICES"},
                    .codes = {API_DEVICE_INVALID},
                    .handler = &F::device_status});
        add(table, {.name = "DEVICERECORDINGSTATUS",
                    .chapter = chapter,
                    .function_class = status,
                    .parameters = kWhose,
                    .one_of = kOneOfFour,
                    .results = {"DEVICE"},
                    .codes = {API_DEVICE_INVALID},
                    .handler = &F::device_recording_status});
        add(table, {.name = "SYSTEMSTATUS",
                    .chapter = chapter,
                    .function_class = status,
                    .results = {"RECORDINGPATH", "RECORDINGSPACEINFO", "RECORDINGTOTALDISKCAPACITY",
                                "RECORDINGTOTALDISKFREE", "RECORDINGTOTALDISKFREEPCT", "SYSTEMUPTIME", "PROCESSOR#",
                                "SYSTEMRAMTOTAL", "SYSTEMRAMFREE", "SYSTEMRAMUSED", "SYSTEMRAMUSEDPCT", "PROBLEM"},
                    .handler = &F::system_status});
        add(table, {.name = "CHANNELS",
                    .chapter = chapter,
                    .function_class = status,
                    .results = {"COUNT", "CHANNELS"},
                    .codes = {API_DATABASE_QUERY_ERROR},
                    .handler = &F::channels});
        add(table, {.name = "STATIONS",
                    .chapter = chapter,
                    .function_class = status,
                    .results = {"COUNT", "STATIONS"},
                    .codes = {API_DATABASE_QUERY_ERROR},
                    .handler = &F::directory_function<stations>});
        add(table, {.name = "FETCHTERMINOLOGY",
                    .chapter = chapter,
                    .function_class = status,
                    .results = {"COUNT", "SETTINGS"},
                    .codes = {API_DATABASE_QUERY_ERROR},
                    .handler = &F::directory_function<fetch_terminology>});
        add(table,
            {.name = "CALLLIST",
             .chapter = chapter,
             .function_class = recordings,
             .parameters = kWhose + kCallFields +
                           List{text("CALLTYPE", 20), integer("CALLCOUNT", 0, INT64_MAX),
                                integer("CALLDATATESTART", 0, INT64_MAX), integer("CALLDATATEEND", 0, INT64_MAX)},
             .results = {"TYPE", "SEARCHRESULT"},
             .codes = {API_DATABASE_QUERY_ERROR},
             .handler = &F::call_list});
    }

    static void add_recording_control(Table& table) {
        const char* chapter = "Recording Control Functions";
        const std::vector<ResultCode> chat_codes{API_SESSIONID_UNSPECIFIED, API_AGENT_NOT_FOUND,
                                                 API_ERROR_RECORDER_NOT_RUNNING};
        const List session{required(text("SESSIONID", 255))};
        add(table,
            {.name = "CHATSTART",
             .chapter = chapter,
             .function_class = calls,
             .parameters =
                 session + List{integer("AGENTID", 0),
                                choice("KEYNAME", {"USERNAME", "SYS_USER", "EMPLOYEEID", "CRM_USER", "DEVICEALIAS"}),
                                text("KEYVALUE", 255)},
             .codes = chat_codes,
             .missing = API_SESSIONID_UNSPECIFIED});
        add(table, {.name = "CHATSTOP",
                    .chapter = chapter,
                    .function_class = calls,
                    .parameters = session,
                    .codes = chat_codes,
                    .missing = API_SESSIONID_UNSPECIFIED});
        add(table, {.name = "CHATUPDATE",
                    .chapter = chapter,
                    .function_class = calls,
                    .parameters = session + List{text("DEVICEALIAS", 15)} + kCallFields + List{text("CALLID", 16)},
                    .codes = chat_codes,
                    .clears_empty = true,
                    .missing = API_SESSIONID_UNSPECIFIED});
        const std::vector<ResultCode> blackout_codes{API_AGENT_NOT_FOUND, API_DEVICE_INVALID, API_DEVICE_NOT_IN_CALL,
                                                     API_ERROR_RECORDER_NOT_RUNNING, API_BLACKOUT_INVALID_STATE};
        const auto blackout = [&](const char* name, const List& parameters, FunctionHandler handler) {
            add(table, {.name = name,
                        .chapter = chapter,
                        .function_class = calls,
                        .parameters = parameters,
                        .one_of = kOneOfFour,
                        .codes = blackout_codes,
                        .handler = handler});
        };
        blackout("BLACKOUTSTART", kBlackout + List{text("CALLINSTANCE", 64)}, &F::blackout_start);
        blackout("BLACKOUTSTOP", kBlackout + List{text("CALLINSTANCE", 64)}, &F::blackout_stop);
        blackout("AGENTBLACKOUTSTART", kBlackout, &F::agent_blackout_start);
        blackout("AGENTBLACKOUTSTOP", kBlackout, &F::agent_blackout_stop);
        for (const char* name : {"EXTENSIONPLAYBACKSTART", "EXTENSIONPLAYBACKSTOP"})
            add(table, {.name = name, .chapter = "Playback Functions", .instead = "EXPORT"});
    }

    static void add_directory(Table& table) {
        const auto of = [&](FunctionDescription function, const char* chapter, FunctionHandler handler) {
            function.chapter = chapter;
            function.handler = handler;
            function.function_class = FunctionClass::directory;
            function.refuses_overlong = true;
            function.missing = API_INVALID_MESSAGE_FORMAT;
            function.codes.push_back(API_DATABASE_QUERY_ERROR);
            function.codes.push_back(API_ERROR_INVALID_ACTION);
            function.codes.push_back(API_INVALID_MESSAGE_FORMAT);
            add(table, std::move(function));
        };
        const char* import = "Import Functions";
        for (const auto& [name, instead] :
             {std::pair("IMPORTAGENT", "IMPORTUSER"), std::pair("IMPORTSTATION", "IMPORTWORKSTATION")})
            add(table, {.name = name, .chapter = import, .instead = instead});
        const List person{text("FIRSTNAME", 20), text("LASTNAME", 30)};
        const Parameter agent = integer("AGENTID", 0);
        of({.name = "IMPORTUSER",
            .parameters = List{action({"ADD", "DELETE", "MODIFY", "LIST"}), agent, text("EMPLOYEEID", 20)} + person +
                          List{choice("STATUS", {"A", "I"}), text("ADD_TIME", 40), text("MOD_TIME", 40),
                               text("SYS_USER", 255), text("DOMAIN", 30), text("EMAIL", 255), text("CRM_USER", 50),
                               text("PASSWORD", 255), integer("SITEID", 0), text("USERNAME", 16),
                               flag("ALLOWSELFRECORD"), flag("ALLOWSELFDOWNLOAD"), flag("ALLOWDUPLICATE")},
            .results = {"AGENTID", "AGENTS", "USERS"},
            .codes = {API_USER_ALREADY_EXIST, API_USER_NOT_FOUND, API_SITEID_NOT_VALID},
            .clears_empty = true},
           import, &F::directory_function<import_user>);
        of({.name = "IMPORTAGENTPHONE",
            .parameters = List{action({"ADD", "DELETE"}), required(text("PHONEID", 10)), agent} + person,
            .results = {"AGENTID"},
            .codes = {API_AGENT_NOT_FOUND, API_ERROR_KEYS_NOT_UNIQUE}},
           import, &F::directory_function<import_agent_phone>);
        of({.name = "IMPORTWORKSTATION",
            .parameters = {required(text("DEVICEID", 15)), required(text("STATIONNAME", 50)),
                           required(integer("LOCATIONID", 0))},
            .results = {"DEVICEID", "STATIONNAME"}},
           import, &F::directory_function<import_workstation>);

        const char* people = "User, Group, and Role Functions";
        const List group{text("GROUPNAME", 255), integer("GROUPID", 0)};
        of({.name = "ADDGROUP", .parameters = {required(text("GROUPNAME", 255))}, .results = {"GROUPID", "GROUPNAME"}},
           people, &F::directory_function<add_group>);
        of({.name = "MODIFYGROUPPERMISSION",
            .parameters = List{action({"ADD", "DELETE"})} + group + List{text("DEVICEID", 64)} + person + List{agent},
            .one_of = {"GROUPNAME", "GROUPID"},
            .results = {"ACTION", "GROUPNAME", "GROUPID", "DEVICEID", "FIRSTNAME", "LASTNAME", "AGENTID"},
            .codes = {API_AGENT_NOT_FOUND, API_NO_GROUP, API_ERROR_KEYS_NOT_UNIQUE}},
           people, &F::directory_function<modify_group_permission>);
        of({.name = "MODIFYUSERGROUPPERMISSION",
            .parameters = List{action({"ADD", "DELETE"})} + group + List{text("DEVICEID", 64), text("USERNAME", 16)},
            .one_of = {"GROUPNAME", "GROUPID"},
            .results = {"ACTION", "GROUPNAME", "GROUPID", "DEVICEID", "USERNAME"},
            .codes = {API_USER_NOT_FOUND, API_NO_GROUP}},
           people, &F::directory_function<modify_user_group_permission>);
        of({.name = "MODIFYROLE",
            .parameters = {action({"ADD", "MODIFY", "DELETE"}), required(text("ROLENAMES", 255)),
                           text("DESCRIPTION", 255)},
            .results = {"ACTION", "ROLENAMES", "DESCRIPTION", "ROLEID"},
            .codes = {API_ROLE_ALREADY_EXISTS, API_ROLE_NOT_FOUND}},
           people, &F::directory_function<modify_role>);
        const List role{integer("ROLEID", 0), text("ROLENAMES", 255)};
        of({.name = "MODIFYROLEGROUPPERMISSION",
            .parameters = List{action({"ADD", "DELETE"})} + role + List{required(text("GROUPNAME", 255))},
            .one_of = {"ROLEID", "ROLENAMES"},
            .results = {"ROLEID", "ROLENAMESPACE", "GROUPNAME", "ACTION"},
            .codes = {API_ROLE_NOT_FOUND}},
           people, &F::directory_function<modify_role_group_permission>);
        of({.name = "MODIFYUSERROLE",
            .parameters = List{action({"ADD", "DELETE"})} + role + List{integer("USERID", 0)} + person +
                          List{text("SYSTEMUSERNAME", 255), text("USERNAME", 16)},
            .one_of = {"ROLEID", "ROLENAMES"},
            .results = {"ROLEID", "ROLENAMES", "USERID", "LASTNAME", "FIRSTNAME", "SYSTEMUSERNAME", "USERNAME",
                        "ACTION"},
            .codes = {API_ROLE_NOT_FOUND, API_USER_NOT_FOUND, API_ERROR_KEYS_NOT_UNIQUE}},
           people, &F::directory_function<modify_user_role>);
    }

    static void add_recordings(Table& table) {
        const auto of = [&](FunctionDescription function, const char* chapter) {
            function.chapter = chapter;
            function.function_class = FunctionClass::recordings;
            function.refuses_overlong = true;
            function.missing = API_INVALID_MESSAGE_FORMAT;
            function.codes.push_back(API_FILE_NOT_FOUND);
            function.codes.push_back(API_INVALID_MESSAGE_FORMAT);
            add(table, std::move(function));
        };
        const List format{choice("MEDIA_FORMAT", {"WAV", "MP3", "M4A", "VOX", "CAV", "FLAC", "OGG", "RAW"})};
        // The manual has these at EMAIL and EXPORT alone.
        const List sealed{flag("ENCRYPT"), text("PASSWORD", 255)};
        const List unique{required(text("UNIQUEFIELD", 255)), required(text("UNIQUEID", 255))};
        const List idents{required(text("IDENT", 255))};
        const char* people = "User, Group, and Role Functions";
        of({.name = "EMAIL",
            .parameters = unique + List{required(text("TOADDRESS", 255))} + format + sealed,
            .codes = {API_EMAIL_NOT_VALID, API_ERROR_CLIENT_NOT_FOUND, API_DATABASE_QUERY_ERROR},
            .handler = &F::email},
           people);
        of({.name = "COMBINEDEMAIL",
            .parameters = List{required(text("TOADDRESS", 255)), text("TONAME", 255), text("FROMADDRESS", 255),
                               text("FROMNAME", 255)} +
                          idents + List{text("UNIQUEID", 255)} + format + sealed,
            .codes = {API_EMAIL_NOT_VALID, API_ERROR_CLIENT_NOT_FOUND, API_DATABASE_QUERY_ERROR},
            .handler = &F::combined_email},
           people);
        add(table, {.name = "AGENTWINDOW",
                    .chapter = people,
                    .function_class = FunctionClass::status,
                    .parameters = {text("COMPUTERNAME", 255), text("USERNAME", 255)},
                    .one_of = {"COMPUTERNAME", "USERNAME"},
                    .results = {"DOMAIN", "IPADDRESS", "STATUS", "APPLICATIONTITLE", "LASTUPDATE"},
                    .codes = {API_AGENT_NOT_FOUND, API_DATABASE_QUERY_ERROR}});
        const char* web = "Uptivity WebAPI Service";
        of({.name = "EXPORT",
            .parameters = unique + List{required(format[0])} + sealed,
            .codes = {API_DATABASE_QUERY_ERROR},
            .handler = &F::export_audio},
           web);
        // No size is given for their IDENT; a mail's would hold some twenty.
        const List many_idents{required(text("IDENT", 10'000))};
        for (const char* name : {"COMBINEDEXPORT", "MULTIEXPORT"})
            of({.name = name,
                .parameters = many_idents + format + sealed,
                .codes = {API_DATABASE_QUERY_ERROR},
                .handler = &F::combined_export},
               web);
        add(table, {.name = "EVENTS",
                    .chapter = "Event Interface",
                    .function_class = FunctionClass::events,
                    .parameters = {choice("EVENTCLASS", {"ALL", "CALL", "RECORD"}, API_EVENT_TYPE_INVALID),
                                   text("EVENTVALUE", 64)},
                    .results = {"EVENTXREF", "EVENTCLASS", "EVENTTYPE"},
                    .codes = {API_EVENT_TYPE_INVALID},
                    .handler = &F::events});
    }

    // What `spantape status|purge|lock|unlock` ask for.
    static void add_ours(Table& table) {
        const char* chapter = "Spantape";
        add(table, {.name = "WAVEFORM",
                    .chapter = chapter,
                    .function_class = FunctionClass::recordings,
                    .parameters = {required(text("UNIQUEFIELD", 255)), required(text("UNIQUEID", 255)),
                                   choice("MEDIA_FORMAT", {"PNG", "JSON"}), integer("WIDTH", 1, 10'000),
                                   integer("HEIGHT", 16, 4'000)},
                    .codes = {API_FILE_NOT_FOUND, API_INVALID_MESSAGE_FORMAT, API_DATABASE_QUERY_ERROR,
                              API_ERROR_PROCESSING_MESSAGE},
                    .missing = API_INVALID_MESSAGE_FORMAT,
                    .handler = &F::waveform});
        add(table, {.name = "LIVE",
                    .chapter = chapter,
                    .function_class = FunctionClass::recordings,
                    .parameters = {required(text("DEVICEID", 64))},
                    .codes = {API_DEVICE_INVALID, API_FILE_NOT_FOUND, API_COMMAND_QUEUE_FULL},
                    .missing = API_DEVICE_INVALID,
                    .handler = &F::live});
        add(table, {.name = "APPLIANCESTATUS",
                    .chapter = chapter,
                    .function_class = FunctionClass::status,
                    .results = {"*"},
                    .handler = &F::appliance_status});
        add(table, {.name = "ASSURANCE",
                    .chapter = chapter,
                    .function_class = FunctionClass::status,
                    .results = {"WHOLE", "SHORT", "BYDECISION", "UNANSWERED", "REASONS", "CALLS"},
                    .handler = &F::assurance});
        Parameter ident = required(record_id());
        ident.wrong = API_RECORDID_INVALID;
        const auto administration = [&](const char* name, Parameter reason, FunctionHandler handler) {
            add(table, {.name = name,
                        .chapter = chapter,
                        .function_class = FunctionClass::administration,
                        .parameters = {ident, std::move(reason)},
                        .codes = {API_RECORDID_INVALID, API_DATABASE_QUERY_ERROR, API_ERROR_PROCESSING_MESSAGE},
                        .refuses_overlong = true,
                        .handler = handler});
        };
        administration("RECORDINGPURGE", text("REASON", 200), &F::recording_purge);
        administration("RECORDINGLOCK", required(text("REASON", 200)), &F::recording_lock);
        administration("RECORDINGUNLOCK", required(text("REASON", 200)), &F::recording_lock);
        const auto setting = [&](const char* name, List parameters, FunctionHandler handler) {
            add(table, {.name = name,
                        .chapter = chapter,
                        .function_class = FunctionClass::administration,
                        .parameters = std::move(parameters),
                        .codes = {API_DATABASE_QUERY_ERROR, API_ERROR_KEYS_NOT_UNIQUE},
                        .refuses_overlong = true,
                        .missing = API_INVALID_MESSAGE_FORMAT,
                        .handler = handler});
        };
        setting("TERMINOLOGYSET", {required(text("NAME", 255)), text("VALUE", 255)},
                &F::directory_function<terminology_set>);
        add(table, {.name = "SCHEDULESET",
                    .chapter = chapter,
                    .function_class = FunctionClass::administration,
                    .parameters = List{action({"LIST", "ADD", "MODIFY", "DELETE", "MOVE", "RESET"}), text("NAME", 64),
                                       integer("POSITION", 1), choice("DECISION", {"RECORD", "SKIP", "BLOCK"}),
                                       text("DEVICE", 1000), text("AGENT", 1000), text("GROUP", 1000),
                                       text("GATE", 1000), text("ANI", 1000), text("DNIS", 1000), text("DIRECTION", 1),
                                       text("DAYS", 100), text("HOURS", 255), text("ZONE", 64), text("PERCENT", 12),
                                       text("PRIORITY", 12), text("KEEPDAYS", 12), text("ARCHIVEACTION", 20)} +
                                  user_patterns(),
                    .codes = {API_DATABASE_QUERY_ERROR},
                    .refuses_overlong = true,
                    .clears_empty = true,
                    .missing = API_INVALID_MESSAGE_FORMAT,
                    .handler = &F::directory_function<schedule_set>});
        constexpr std::int64_t kTenYearsS = 10 * 366 * 86'400;
        add(table,
            {.name = "ARCHIVEACTIONSET",
             .chapter = chapter,
             .function_class = FunctionClass::administration,
             .parameters = {action({"LIST", "ADD", "MODIFY", "DELETE"}), integer("NUMBER", 1, INT64_MAX),
                            text("NAME", 255), text("PATH", 1000), choice("MODE", {"COPY", "MOVE"}),
                            choice("FORMAT", {"WAV"}), integer("KEEPDAYS", 0, 36'500), integer("WAIT", 0, kTenYearsS)},
             .results = {"COUNT", "ARCHIVEACTIONS"},
             .codes = {API_DATABASE_QUERY_ERROR},
             .refuses_overlong = true,
             .missing = API_INVALID_MESSAGE_FORMAT,
             .handler = &F::directory_function<archive_action_set>});
        add(table, {.name = "EXPLAIN",
                    .chapter = chapter,
                    .function_class = FunctionClass::administration,
                    .parameters = {integer("RECORDID", 1, INT64_MAX), text("GLOBALCALLID", 20), text("DEVICEID", 64)},
                    .one_of = {"RECORDID", "GLOBALCALLID", "DEVICEID"},
                    .codes = {API_RECORDID_INVALID},
                    .missing = API_INVALID_MESSAGE_FORMAT,
                    .handler = &F::explain});
        const auto of_people = [&](FunctionDescription function) {
            function.chapter = chapter;
            function.function_class = FunctionClass::administration;
            function.refuses_overlong = true;
            function.missing = API_INVALID_MESSAGE_FORMAT;
            function.codes.push_back(API_DATABASE_QUERY_ERROR);
            add(table, std::move(function));
        };
        of_people({.name = "ROLECLASSES",
                   .parameters = {integer("ROLEID", 0), text("ROLENAMES", 255), text("CLASSES", 255)},
                   .one_of = {"ROLEID", "ROLENAMES"},
                   .codes = {API_ROLE_NOT_FOUND, API_PERMISSIONIDENT_NOT_FOUND},
                   .handler = &F::directory_function<role_classes>});
        of_people(
            {.name = "USERTOKEN",
             .parameters = {action({"ADD", "DELETE"}), required(text("USERNAME", 16)), required(text("NAME", 50))},
             .results = {"TOKEN"},
             .codes = {API_USER_NOT_FOUND, API_ERROR_KEYS_NOT_UNIQUE, API_ERROR_INVALID_ACTION},
             .handler = &F::directory_function<user_token>});
        const List place{required(integer("ID", 1)), text("NAME", 255)};
        setting("LOCATIONSET", place, &F::directory_function<location_set>);
        setting("SITESET", place, &F::directory_function<site_set>);
    }
};

const std::map<std::string, FunctionDescription, std::less<>>& function_table() {
    static const Table table = FunctionList::all();
    return table;
}

}  // namespace spantape::api
