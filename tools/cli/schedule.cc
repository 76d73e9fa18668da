// SPDX-License-Identifier: AGPL-3.0-or-later
// `schedule`: the rules of a running appliance, listed and changed (ours: SCHEDULESET). `explain`: why a call was or
// was not recorded (ours: EXPLAIN).
#include <algorithm>
#include <cctype>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/protocol/xml_text.h"
#include "tools/cli/commands.h"
#include "tools/cli/table.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {

namespace {

std::string upper(std::string text) {
    std::erase(text, '_');
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
    return text;
}

void append(std::string& request, const std::string& name, const std::string& value) {
    request += "<" + name + ">";
    api::append_escaped(request, value);
    request += "</" + name + ">";
}

Result<api::Element> ask(const std::string& server, const std::string& request) {
    const auto client = XmlClient::connect(server);
    if (!client) return std::unexpected(client.error());
    (*client)->send("<REQUEST>" + request + "</REQUEST>\r\n", false);
    const auto document = (*client)->read(XmlClient::kAnswerLimit);
    if (!document) return std::unexpected(document.error());
    if (!*document) return fail("{} closed the connection without an answer", server);
    auto result = read_document(**document);
    if (result && !is_ok(*result)) return fail("{}", failure_text(*result));
    return result;
}

Result<std::string> request_of(const ScheduleCommand& command) {
    std::string request = "<TYPE>SCHEDULESET</TYPE><REQUESTID>1</REQUESTID>";
    append(request, "ACTION", upper(command.action));
    if (!command.name.empty()) append(request, "NAME", command.name);
    if (command.position != 0) append(request, "POSITION", std::to_string(command.position));
    for (const std::string& setting : command.settings) {
        const std::size_t equals = setting.find('=');
        const std::string name = upper(setting.substr(0, equals));
        const bool word = !name.empty() && std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c); });
        if (equals == std::string::npos || !word) return fail("'{}': must be KEY=VALUE", setting);
        append(request, name, setting.substr(equals + 1));
    }
    return request;
}

// The children of one element, or none.
const std::vector<api::Element>& children_of(const api::Element& parent, const char* name) {
    static const std::vector<api::Element> none;
    const api::Element* found = child(parent, name);
    return found != nullptr ? found->children : none;
}

}  // namespace

int run(const ScheduleCommand& command, const Console& console) {
    const auto request = request_of(command);
    if (!request) return console.failed(request.error().message);
    const auto result = ask(command.server, *request);
    if (!result) return console.failed(result.error().message);
    boost::json::array rules;
    Table table({{"#"}, {"RULE"}, {"DECISION"}, {"IF"}});
    for (const api::Element& rule : children_of(*result, "RULES")) {
        boost::json::object& object = rules.emplace_back(boost::json::object()).get_object();
        std::string conditions;
        for (const api::Element& part : rule.children) {
            object[part.name] = part.text;
            if (part.name != "POSITION" && part.name != "NAME" && part.name != "DECISION")
                conditions += (conditions.empty() ? "" : " ") + part.name + "=" + part.text;
        }
        const std::string decision = child_text(rule, "DECISION");
        table.add({child_text(rule, "POSITION"), child_text(rule, "NAME"), decision.empty() ? "record" : decision,
                   conditions});
    }
    if (command.json) {
        console.out << boost::json::serialize(rules) << "\n";
    } else if (rules.empty()) {
        console.out << "No rules: every call is recorded.\n";
    } else {
        console.out << table.text(console.width);
        if (child_text(*result, "ORIGIN") == "changed")
            console.out << "Changed while running: the configuration's hold again after `spantape schedule reset`.\n";
    }
    return kFine;
}

int run(const ExplainCommand& command, const Console& console) {
    std::string request = "<TYPE>EXPLAIN</TYPE><REQUESTID>1</REQUESTID>";
    const bool number = std::ranges::all_of(command.call, [](unsigned char c) { return std::isdigit(c); });
    const char* by = command.device ? "DEVICEID" : number && command.call.size() < 14 ? "RECORDID" : "GLOBALCALLID";
    append(request, by, command.call);
    const auto result = ask(command.server, request);
    if (!result) return console.failed(result.error().message);
    if (command.json) {
        boost::json::object object;
        for (const char* name : {"GLOBALCALLID", "DEVICEID", "TIME", "DECISION", "DECIDINGRULE"})
            object[name] = child_text(*result, name);
        boost::json::array& rules = (object["RULES"] = boost::json::array()).get_array();
        for (const api::Element& rule : children_of(*result, "RULES"))
            rules.push_back(
                boost::json::object{{"NAME", child_text(rule, "NAME")}, {"VERDICT", child_text(rule, "VERDICT")}});
        boost::json::array& outcomes = (object["OUTCOMES"] = boost::json::array()).get_array();
        for (const api::Element& outcome : children_of(*result, "OUTCOMES")) outcomes.emplace_back(outcome.text);
        console.out << boost::json::serialize(object) << "\n";
        return kFine;
    }
    console.out << "Call " << child_text(*result, "GLOBALCALLID") << " on device " << child_text(*result, "DEVICEID")
                << ", " << child_text(*result, "TIME") << ": ";
    const std::string rule = child_text(*result, "DECIDINGRULE");
    console.out << child_text(*result, "DECISION") << (rule.empty() ? ", no rule fits" : ", by rule '" + rule + "'")
                << "\n";
    Table table({{"RULE"}, {"VERDICT"}});
    for (const api::Element& each : children_of(*result, "RULES"))
        table.add({child_text(each, "NAME"), child_text(each, "VERDICT")});
    if (!children_of(*result, "RULES").empty()) console.out << table.text(console.width);
    for (const api::Element& outcome : children_of(*result, "OUTCOMES")) console.out << outcome.text << "\n";
    return kFine;
}

}  // namespace spantape::cli
