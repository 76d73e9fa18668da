// SPDX-License-Identifier: AGPL-3.0-or-later
// `functions`: the table of the API's functions, as text, as JSON, and as README shows it.
#include <fmt/ranges.h>
#include <boost/json.hpp>

#include "api/functions/function_table.h"
#include "tools/cli/commands.h"
#include "tools/cli/table.h"

namespace spantape::cli {
namespace {

using api::FunctionDescription;
using api::ParameterType;

std::string type_of(const api::Parameter& parameter) {
    switch (parameter.type) {
        case ParameterType::text:
            return fmt::format("text({})", parameter.size);
        case ParameterType::integer:
            return "integer";
        case ParameterType::flag:
            return "Y|N";
        case ParameterType::direction:
            return "I|O|?";
        case ParameterType::choice:
            return fmt::format("{}", fmt::join(parameter.choices, "|"));
    }
    return "?";
}

std::string state_of(const FunctionDescription& function) {
    if (function.handler != nullptr) return "works";
    return function.instead.empty() ? "not yet" : "deprecated: " + function.instead;
}

boost::json::object json_of(const FunctionDescription& function) {
    boost::json::array parameters;
    for (const api::Parameter& parameter : function.parameters) {
        boost::json::object one{
            {"name", parameter.name}, {"type", type_of(parameter)}, {"required", parameter.required}};
        if (parameter.type == ParameterType::text) one["size"] = parameter.size;
        if (parameter.type == ParameterType::integer) {
            one["least"] = parameter.least;
            one["most"] = parameter.most;
        }
        one["wrong"] = static_cast<int>(parameter.wrong);
        parameters.push_back(std::move(one));
    }
    boost::json::array codes;
    for (const api::ResultCode code : function.codes) codes.push_back(static_cast<int>(code));
    return {{"name", function.name},
            {"chapter", function.chapter},
            {"class", name_of(function.function_class)},
            {"state", state_of(function)},
            {"parameters", std::move(parameters)},
            {"one_of", boost::json::value_from(function.one_of)},
            {"results", boost::json::value_from(function.results)},
            {"codes", std::move(codes)},
            {"missing", static_cast<int>(function.missing)},
            {"overlong", function.refuses_overlong ? "refused" : "cut"}};
}

// One line a chapter and state, as short as README wants it.
std::string markdown() {
    constexpr std::array kChapters{"Message Structure",
                                   "Call Handling Functions",
                                   "Status Functions",
                                   "Recording Control Functions",
                                   "Playback Functions",
                                   "Import Functions",
                                   "User, Group, and Role Functions",
                                   "Uptivity WebAPI Service",
                                   "Event Interface",
                                   "Spantape"};  // in the manual's order
    std::map<std::pair<std::string, std::string>, std::vector<std::string>> names;
    for (const auto& [name, function] : api::function_table()) {
        names[{function.chapter, function.handler != nullptr ? "works"
                                 : function.instead.empty()  ? "not yet"
                                                             : "deprecated"}]
            .push_back(name);
    }
    std::string text = "| chapter | works | not yet | deprecated |\n| --- | --- | --- | --- |\n";
    for (const char* chapter : kChapters) {
        text += fmt::format("| {}", chapter);
        for (const char* state : {"works", "not yet", "deprecated"})
            text += fmt::format(" | {}", fmt::join(names[{chapter, state}], ", "));
        text += " |\n";
    }
    return text;
}

}  // namespace

int run(const FunctionsCommand& command, const Console& console) {
    if (command.markdown) {
        console.out << markdown();
        return kFine;
    }
    if (command.json) {
        boost::json::array all;
        for (const auto& [name, function] : api::function_table()) all.push_back(json_of(function));
        console.out << boost::json::serialize(all) << "\n";
        return kFine;
    }
    Table table({{"FUNCTION"}, {"STATE"}, {"CLASS"}, {"PARAMETERS"}});
    for (const auto& [name, function] : api::function_table()) {
        std::vector<std::string> parameters;
        for (const api::Parameter& parameter : function.parameters)
            parameters.push_back(parameter.required ? parameter.name + "!" : parameter.name);
        table.add({name, state_of(function), std::string(name_of(function.function_class)),
                   fmt::format("{}", fmt::join(parameters, " "))});
    }
    console.out << table.text(console.width);
    return kFine;
}

}  // namespace spantape::cli
