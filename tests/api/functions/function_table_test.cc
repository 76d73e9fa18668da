// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/function_table.h"

#include <gtest/gtest.h>

#include "api/functions/functions.h"
#include "api/protocol/aliases.h"

namespace spantape::api {
namespace {

const std::string kSmiley = "\xF0\x9F\x98\x80";  // one character, four bytes

std::string value_of(const Parameter& parameter) {
    switch (parameter.type) {
        case ParameterType::text:
            return "x";
        case ParameterType::integer:
            return std::to_string(std::max<std::int64_t>(parameter.least, 1));
        case ParameterType::flag:
            return "y";
        case ParameterType::direction:
            return "o";
        case ParameterType::choice:
            return parameter.choices.front();
    }
    return "";
}

// A request that names everything.
Request whole_request(const FunctionDescription& function) {
    Request request;
    request.type = function.name;
    for (const Parameter& parameter : function.parameters)
        request.parameters.emplace_back(parameter.name, value_of(parameter));
    return request;
}

Request with(Request request, const std::string& name, const std::string& value) {
    for (auto& [parameter, old] : request.parameters)
        if (parameter == name) old = value;
    return request;
}

std::string repeated(const std::string& character, std::size_t times) {
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += character;
    return text;
}

TEST(FunctionTable, EveryParameterIsTakenWhereItIsRight) {
    for (const auto& [name, function] : function_table()) {
        const auto read = Parameters::read(function, whole_request(function));
        ASSERT_TRUE(read) << name << ": " << read.error().message;
        EXPECT_EQ(read->notes(), "") << name;
        for (const Parameter& parameter : function.parameters) EXPECT_TRUE(read->has(parameter.name)) << name;
    }
}

TEST(FunctionTable, EverySizeHoldsAtItsEdgeAndOnePastIsCutOrRefused) {
    std::size_t sizes = 0;
    for (const auto& [name, function] : function_table())
        for (const Parameter& parameter : function.parameters) {
            if (parameter.type != ParameterType::text) continue;
            ASSERT_GT(parameter.size, 0U) << name << " " << parameter.name;
            ++sizes;
            for (const std::string& character : {std::string("x"), kSmiley}) {
                const std::string edge = repeated(character, parameter.size);
                const Request request = whole_request(function);
                const auto fits = Parameters::read(function, with(request, parameter.name, edge));
                ASSERT_TRUE(fits) << fits.error().message;
                EXPECT_EQ(fits->text(parameter.name), edge);
                const auto past = Parameters::read(function, with(request, parameter.name, edge + character));
                const std::string limit = std::to_string(parameter.size) + " characters";
                if (function.refuses_overlong) {
                    ASSERT_FALSE(past) << name << " " << parameter.name;
                    EXPECT_EQ(past.error().code, ResultCode::API_INVALID_MESSAGE_FORMAT);
                    EXPECT_EQ(past.error().message, parameter.name + " is longer than " + limit);
                } else {
                    ASSERT_TRUE(past) << past.error().message;
                    EXPECT_EQ(past->text(parameter.name), edge);
                    EXPECT_EQ(past->whole(parameter.name), edge + character);
                    EXPECT_EQ(past->notes(), "; " + parameter.name + " cut to " + limit);
                }
            }
        }
    EXPECT_GT(sizes, 200U);
}

TEST(FunctionTable, AWrongTypeIsRefusedNamingTheParameterAndTheValue) {
    for (const auto& [name, function] : function_table())
        for (const Parameter& parameter : function.parameters) {
            if (parameter.type == ParameterType::text) continue;
            std::vector<std::string> wrong{"wrong", "1x", "0x1"};
            if (parameter.type == ParameterType::integer) {
                wrong.insert(wrong.end(), {"+-1", "1.5", "99999999999999999999"});
                if (parameter.most < INT64_MAX) wrong.push_back(std::to_string(parameter.most + 1));
                if (parameter.least > INT64_MIN) wrong.push_back(std::to_string(parameter.least - 1));
            }
            for (const std::string& value : wrong) {
                const auto read = Parameters::read(function, with(whole_request(function), parameter.name, value));
                ASSERT_FALSE(read) << name << " " << parameter.name << " " << value;
                EXPECT_EQ(read.error().code, parameter.wrong);
                EXPECT_TRUE(read.error().message.starts_with(parameter.name + " must be ")) << read.error().message;
                EXPECT_TRUE(read.error().message.ends_with("is '" + value + "'")) << read.error().message;
            }
        }
}

TEST(FunctionTable, WhatIsRequiredMustBeThereAndNotBlank) {
    for (const auto& [name, function] : function_table()) {
        for (const Parameter& parameter : function.parameters) {
            if (!parameter.required) continue;
            const auto blank = Parameters::read(function, with(whole_request(function), parameter.name, ""));
            ASSERT_FALSE(blank) << name << " " << parameter.name;
            EXPECT_EQ(blank.error().code, function.missing);
            EXPECT_EQ(blank.error().message, parameter.name + " is required");
        }
        if (function.one_of.empty()) continue;
        Request request = whole_request(function);
        for (const std::string& alternative : function.one_of) request = with(request, alternative, "");
        const auto none = Parameters::read(function, request);
        ASSERT_FALSE(none) << name;
        EXPECT_EQ(none.error().code, function.missing);
        for (const std::string& alternative : function.one_of) {
            EXPECT_NE(none.error().message.find(alternative), std::string::npos);
            EXPECT_TRUE(Parameters::read(function, with(request, alternative, "1"))) << name << " " << alternative;
        }
    }
}

TEST(FunctionTable, AnEmptyTagClearsInUpdatesAndIsAbsentElsewhere) {
    Request request;
    request.parameters = {{"DEVICEID", "7001"}, {"USER1", ""}, {"PRIORITY", ""}};
    const auto update = Parameters::read(function_table().at("CALLUPDATE"), request);
    ASSERT_TRUE(update);
    EXPECT_EQ(update->text("USER1"), "");
    EXPECT_FALSE(update->has("USER1"));
    EXPECT_EQ(update->integer("PRIORITY"), std::nullopt);
    const auto start = Parameters::read(function_table().at("CALLSTART"), request);
    ASSERT_TRUE(start);
    EXPECT_EQ(start->text("USER1"), std::nullopt);
}

TEST(FunctionTable, ASignBeforeANumberIsRead) {
    Request request;
    request.parameters = {{"DEVICEID", "7001"}, {"TIMEOFFSET", "+5"}};
    EXPECT_EQ(Parameters::read(function_table().at("BLACKOUTSTOP"), request)->integer("TIMEOFFSET"), 5);
    request.parameters.back().second = "-5";
    EXPECT_EQ(Parameters::read(function_table().at("BLACKOUTSTOP"), request)->integer("TIMEOFFSET"), -5);
}

TEST(FunctionTable, EveryFunctionIsARootOfItsOwnExceptEmailWhichIsAParameterToo) {
    for (const auto& [name, function] : function_table()) {
        if (function.chapter == "Spantape") continue;
        EXPECT_EQ(is_request_root(name), name != "EMAIL") << name;
    }
}

}  // namespace
}  // namespace spantape::api
