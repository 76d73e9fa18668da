// SPDX-License-Identifier: AGPL-3.0-or-later
// Requests read and checked by the descriptions of functions.
#include "api/functions/function_table.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/functions/functions.h"

namespace spantape::api {

std::string_view name_of(FunctionClass function_class) {
    switch (function_class) {
        case FunctionClass::none:
            return "none";
        case FunctionClass::status:
            return "status";
        case FunctionClass::calls:
            return "calls";
        case FunctionClass::recordings:
            return "recordings";
        case FunctionClass::events:
            return "events";
        case FunctionClass::directory:
            return "directory";
        case FunctionClass::administration:
            return "administration";
    }
    return "?";
}

std::optional<FunctionClass> function_class_named(std::string_view name) {
    for (const FunctionClass one : {FunctionClass::status, FunctionClass::calls, FunctionClass::recordings,
                                    FunctionClass::events, FunctionClass::directory, FunctionClass::administration})
        if (name == name_of(one)) return one;
    return std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::string Parameters::check(const Parameter& parameter, std::string_view sent, Value& value) {
    const auto upper = [&] {
        std::ranges::transform(value.text, value.text.begin(), [](unsigned char c) { return std::toupper(c); });
    };
    switch (parameter.type) {
        case ParameterType::text:
            return {};
        case ParameterType::integer: {
            const std::string_view text = value.text;
            const auto number =
                parse_integer(text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text);
            if (!number) return fmt::format("{} must be an integer, is '{}'", parameter.name, text);
            if (*number < parameter.least || *number > parameter.most)
                return fmt::format("{} must be {} to {}, is '{}'", parameter.name, parameter.least, parameter.most,
                                   text);
            value.number = *number;
            return {};
        }
        case ParameterType::flag:
            upper();
            return value.text == "Y" || value.text == "N"
                       ? ""
                       : fmt::format("{} must be Y or N, is '{}'", parameter.name, sent);
        case ParameterType::direction:
            upper();
            return value.text == "I" || value.text == "O" || value.text == "?"
                       ? ""
                       : fmt::format("{} must be I, O or ?, is '{}'", parameter.name, sent);
        case ParameterType::choice:
            upper();
            return std::ranges::find(parameter.choices, value.text) != parameter.choices.end()
                       ? ""
                       : fmt::format("{} must be {}, is '{}'", parameter.name, fmt::join(parameter.choices, " or "),
                                     sent);
    }
    return {};
}

std::expected<Parameters, Reply> Parameters::read(const FunctionDescription& function, const Request& request) {
    Parameters read;
    const auto shown = [](std::string message) { return std::string(first_characters(message, 300)); };
    for (const Parameter& parameter : function.parameters) {
        const auto sent = request.find(parameter.name);
        const bool blank = !sent || sent->empty();
        if (blank && parameter.required)
            return std::unexpected(refused(function.missing, fmt::format("{} is required", parameter.name)));
        if (blank && (!sent || !function.clears_empty || parameter.type != ParameterType::text)) continue;
        Value value{&parameter, std::string(*sent)};
        if (parameter.size != 0) {
            const std::string_view kept = first_characters(*sent, parameter.size);
            if (kept.size() != sent->size()) {
                if (function.refuses_overlong)
                    return std::unexpected(
                        refused(ResultCode::API_INVALID_MESSAGE_FORMAT,
                                fmt::format("{} is longer than {} characters", parameter.name, parameter.size)));
                read.notes_ += fmt::format("; {} cut to {} characters", parameter.name, parameter.size);
                value.whole = std::exchange(value.text, std::string(kept));
            }
        }
        if (std::string error = check(parameter, *sent, value); !error.empty())
            return std::unexpected(refused(parameter.wrong, shown(std::move(error))));
        read.values_.push_back(std::move(value));
    }
    if (!function.one_of.empty() &&
        std::ranges::none_of(function.one_of, [&](const std::string& name) { return read.has(name); }))
        return std::unexpected(
            refused(function.missing, fmt::format("one of {} is required", fmt::join(function.one_of, ", "))));
    return read;
}

const Parameters::Value* Parameters::find(std::string_view name) const {
    const auto at =
        std::ranges::find(values_, name, [](const Value& value) { return std::string_view(value.parameter->name); });
    return at == values_.end() ? nullptr : &*at;
}

std::optional<std::string> Parameters::text(std::string_view name) const {
    const Value* value = find(name);
    return value == nullptr ? std::nullopt : std::optional(value->text);
}

std::string Parameters::whole(std::string_view name) const {
    const Value* value = find(name);
    return value == nullptr ? std::string() : value->whole.empty() ? value->text : value->whole;
}

std::optional<std::int64_t> Parameters::integer(std::string_view name) const {
    const Value* value = find(name);
    return value == nullptr ? std::nullopt : std::optional(value->number);
}

std::optional<std::int32_t> Parameters::integer32(std::string_view name) const {
    const auto number = integer(name);
    return number ? std::optional(static_cast<std::int32_t>(*number)) : std::nullopt;
}

std::optional<bool> Parameters::flag(std::string_view name) const {
    const Value* value = find(name);
    return value == nullptr ? std::nullopt : std::optional(value->text == "Y");
}

bool Parameters::has(std::string_view name) const {
    const Value* value = find(name);
    return value != nullptr && !value->text.empty();
}

}  // namespace spantape::api
