// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/functions/parameters.h"

#include <charconv>
#include <limits>

#include <fmt/format.h>

namespace spantape::api {

namespace {

// First `limit` UTF-8 characters; a continuation byte begins none.
std::string_view cut_to(std::string_view text, std::size_t limit) {
    std::size_t characters = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
        if (characters++ == limit) return text.substr(0, at);
    }
    return text;
}

// Reads one request's parameters; remembers the first error.
class Reader {
public:
    Reader(const Request& request, bool clear_empty, std::string& notes)
        : request_(request), clear_empty_(clear_empty), notes_(notes) {}

    std::optional<std::string> text(std::string_view name, std::size_t limit) {
        const auto value = request_.find(name);
        if (!value || (value->empty() && !clear_empty_)) return std::nullopt;
        const std::string_view kept = cut_to(*value, limit);
        if (kept.size() != value->size()) notes_ += fmt::format("; {} cut to {} characters", name, limit);
        return std::string(kept);
    }
    template <class Integer>
    std::optional<Integer> integer(std::string_view name) {
        const std::string_view value = request_.text(name);
        if (value.empty()) return std::nullopt;
        const auto number = parse_integer(value);
        if (!number || *number < std::numeric_limits<Integer>::min() || *number > std::numeric_limits<Integer>::max()) {
            refuse("{} must be an integer, is '{}'", name, value);
            return std::nullopt;
        }
        return static_cast<Integer>(*number);
    }
    std::optional<bool> flag(std::string_view name) {
        const std::string_view value = request_.text(name);
        if (value.empty()) return std::nullopt;
        if (value == "Y" || value == "y") return true;
        if (value == "N" || value == "n") return false;
        refuse("{} must be Y or N, is '{}'", name, value);
        return std::nullopt;
    }
    std::optional<std::string> direction(std::string_view name) {
        const std::string_view value = request_.text(name);
        if (value.empty()) return std::nullopt;
        if (value.size() == 1 && std::string_view("IOio?").find(value[0]) != std::string_view::npos)
            return std::string(1, static_cast<char>(std::toupper(value[0])));
        refuse("{} must be I, O or ?, is '{}'", name, value);
        return std::nullopt;
    }
    template <class... Args>
    void refuse(fmt::format_string<Args...> format, Args&&... args) {
        if (error.empty()) error = fmt::format(format, std::forward<Args>(args)...);
    }

    std::string error;

private:
    const Request& request_;
    bool clear_empty_;
    std::string& notes_;
};

constexpr std::size_t user_limit(std::size_t number) { return number <= 3 ? 20 : number <= 8 ? 255 : 50; }

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

Result<CallParameters> call_parameters(const Request& request, bool clear_empty) {
    CallParameters parameters;
    Reader read(request, clear_empty, parameters.notes);
    FieldUpdate& fields = parameters.fields;

    fields.device_alias = read.text("DEVICEALIAS", 15);
    fields.sys_user = read.text("SYS_USER", 30);
    fields.crm_user = read.text("CRM_USER", 30);
    fields.station = read.text("STATIONNAME", 50);
    parameters.who = {.device_id = read.text("DEVICEID", 64).value_or(""),
                      .device_alias = fields.device_alias.value_or(""),
                      .sys_user = fields.sys_user.value_or(""),
                      .crm_user = fields.crm_user.value_or(""),
                      .station = fields.station.value_or(""),
                      .instance = std::nullopt};
    if (const auto instance = read.text("CALLINSTANCE", 64); instance && !instance->empty())
        parameters.who.instance = instance;

    fields.group = read.text("GROUP", 20);
    fields.gate = read.text("GATE", 20);
    fields.ani = read.text("ANI", 20);
    fields.dnis = read.text("DNIS", 20);
    fields.call_id = read.text("CALLID", 16);
    for (std::size_t number = 1; number <= 15; ++number)
        fields.user[number - 1] = read.text(fmt::format("USER{}", number), user_limit(number));
    fields.direction = read.direction("CALLDIRECTION");
    fields.priority = read.integer<std::int32_t>("PRIORITY");
    fields.keep_days = read.integer<std::int32_t>("KEEPDAYS");
    fields.archive_action = read.integer<std::int64_t>("ARCHIVEACTION");
    fields.agent_initiated = read.flag("AGENTINITIATED");
    fields.cti_initiated = read.flag("CTIINITIATED");
    fields.max_record_time_s = read.integer<std::int32_t>("MAXRECORDTIME");
    if (fields.max_record_time_s && *fields.max_record_time_s < 0)
        read.refuse("MAXRECORDTIME must be a number of seconds, is '{}'", *fields.max_record_time_s);
    if (read.integer<std::int32_t>("MAXRECORDSILENCE"))
        parameters.notes += "; MAXRECORDSILENCE is not evaluated by this version";
    parameters.update_if_not_recording = read.flag("UPDATE_IF_NOT_RECORDING").value_or(false);
    if (const auto ident = read.integer<std::int64_t>("RECORDID")) {
        if (*ident <= 0) read.refuse("RECORDID must be positive, is '{}'", *ident);
        parameters.record_id = static_cast<std::uint64_t>(*ident);
    }
    if (!read.error.empty()) return fail("{}", read.error);
    return parameters;
}

DeviceAddress device_parameters(const Request& request) {
    return {.device_id = std::string(request.text("DEVICEID")),
            .device_alias = std::string(request.text("DEVICEALIAS")),
            .sys_user = std::string(request.text("SYS_USER")),
            .crm_user = std::string(request.text("CRM_USER")),
            .station = std::string(request.text("STATIONNAME")),
            .instance = std::nullopt};
}

}  // namespace spantape::api
