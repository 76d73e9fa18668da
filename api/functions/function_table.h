// SPDX-License-Identifier: AGPL-3.0-or-later
// One table of the manual's functions: names, parameters with their types and sizes ("Data Type Values"), what they
// answer, and what runs them. Requests are read and checked by it; `spantape functions`, the README's table and the
// tests show it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/protocol/message.h"

namespace spantape::api {

class Functions;
class Parameters;
struct Caller;

enum class ParameterType : std::uint8_t {
    text,
    integer,
    flag,       // Y, N
    direction,  // I, O, ?
    choice,     // one of some words, in any letter case; read in upper case
};

struct Parameter {
    std::string name;
    ParameterType type = ParameterType::text;
    std::size_t size = 0;  // of text: characters, UTF-8
    std::int64_t least = INT32_MIN, most = INT32_MAX;
    std::vector<std::string> choices = {};
    bool required = false;
    // What a wrong value is answered with.
    ResultCode wrong = ResultCode::API_INVALID_MESSAGE_FORMAT;
};

// What a user may be allowed; each function is of one class.
enum class FunctionClass : std::uint8_t {
    none,            // TEST: anybody
    status,          // states of the moment
    calls,           // calls, recording, blackouts
    recordings,      // lists, audio
    events,          // the event stream
    directory,       // users, phones, groups, roles
    administration,  // purge, legal hold, settings
};
[[nodiscard]] std::string_view name_of(FunctionClass function_class);
[[nodiscard]] std::optional<FunctionClass> function_class_named(std::string_view name);  // "none" is none

// A request for one function, read and checked.
struct FunctionCall {
    const Request& request;
    const Client& client;
    const Parameters& parameters;
    const Caller& caller;
};
using Done = std::function<void(Reply&&)>;
using FunctionHandler = void (Functions::*)(const FunctionCall& call, Done done);

struct FunctionDescription {
    std::string name;  // canonical, as in Request::type
    std::string chapter;
    FunctionClass function_class = FunctionClass::none;
    std::vector<Parameter> parameters = {};  // beside REQUESTID
    std::vector<std::string> one_of = {};    // of these at least one must be given
    std::vector<std::string> results = {};   // top-level elements beside the standard result
    std::vector<ResultCode> codes = {};      // beside API_OK and those that any function may answer with
    // A value too long is refused, not cut (directory functions).
    bool refuses_overlong = false;
    // A tag sent empty clears its field; otherwise it equals an absent one.
    bool clears_empty = false;
    ResultCode missing = ResultCode::API_BLANK_REQUIRED_VALUE;  // a required parameter is absent or blank
    std::string instead = {};                                   // deprecated: what replaces it
    FunctionHandler handler = nullptr;                          // nullptr: not built
};

// The parameters of one request: those that the function's description names, checked. Texts are cut to their sizes
// where the function does not refuse them.
class Parameters {
public:
    // Or the answer that refuses the request, naming the parameter.
    [[nodiscard]] static std::expected<Parameters, Reply> read(const FunctionDescription& function,
                                                               const Request& request);

    // nullopt: not given, or sent empty where that does not clear. Names must be of the description.
    [[nodiscard]] std::optional<std::string> text(std::string_view name) const;
    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name) const;
    [[nodiscard]] std::optional<std::int32_t> integer32(std::string_view name) const;
    [[nodiscard]] std::optional<bool> flag(std::string_view name) const;  // also when it is blank: nullopt
    // As it was sent, not cut: an agent may be named in the directory by more characters than a call's field holds.
    [[nodiscard]] std::string whole(std::string_view name) const;
    // What it is, "" when it was not given.
    [[nodiscard]] std::string text_or_empty(std::string_view name) const { return text(name).value_or(""); }
    [[nodiscard]] bool has(std::string_view name) const;  // given and not empty
    // "; USER1 cut to 20 characters", to be appended to RESULTMSG.
    [[nodiscard]] const std::string& notes() const { return notes_; }

private:
    struct Value {
        const Parameter* parameter = nullptr;
        std::string text;
        std::string whole = {};  // where it was cut; else ""
        std::int64_t number = 0;
    };
    [[nodiscard]] const Value* find(std::string_view name) const;
    // The error, or "".
    [[nodiscard]] static std::string check(const Parameter& parameter, std::string_view sent, Value& value);

    std::vector<Value> values_;  // those given
    std::string notes_;
};

// All functions, by name.
[[nodiscard]] const std::map<std::string, FunctionDescription, std::less<>>& function_table();

// A whole decimal number; nullopt for anything else.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);

}  // namespace spantape::api
