// SPDX-License-Identifier: AGPL-3.0-or-later
// `schedule`: the rules of a running appliance, listed and changed (ours: SCHEDULESET). `explain`: why a call was or
// was not recorded (ours: EXPLAIN).
#include <algorithm>
#include <cctype>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "tools/cli/api_request.h"
#include "tools/cli/commands.h"
#include "tools/cli/table.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {

int run(const ScheduleCommand& command, const Console& console) {
    ApiRequest request("SCHEDULESET");
    request.add("ACTION", ApiRequest::parameter_of(command.action));
    if (!command.name.empty()) request.add("NAME", command.name);
    if (command.position != 0) request.add("POSITION", std::to_string(command.position));
    if (auto added = request.add_settings(command.settings); !added) return console.failed(added.error().message);
    const auto result = request.ask(command.server);
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
    ApiRequest request("EXPLAIN");
    const bool number = std::ranges::all_of(command.call, [](unsigned char c) { return std::isdigit(c); });
    const char* by = command.device ? "DEVICEID" : number && command.call.size() < 14 ? "RECORDID" : "GLOBALCALLID";
    request.add(by, command.call);
    const auto result = request.ask(command.server);
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
