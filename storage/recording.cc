// SPDX-License-Identifier: AGPL-3.0-or-later
// The columns of the manual's Recording table (Parameter Definitions, UNIQUEFIELD) and how a Recording fills them.
#include "storage/recording.h"

#include <algorithm>

#include <fmt/format.h>

namespace spantape {

namespace {

// Whole seconds since the epoch, also before it.
std::int64_t floor_seconds(TimeNs time_ns) {
    const std::int64_t whole = time_ns / kNsPerSecond;
    return time_ns % kNsPerSecond < 0 ? whole - 1 : whole;
}

std::int64_t rounded_seconds(TimeNs duration_ns) {
    return duration_ns / kNsPerSecond + (duration_ns % kNsPerSecond >= kNsPerSecond / 2 ? 1 : 0);
}

// Fields that a recording may lack are empty then, as a database column would be.
template <class Number>
std::string number_unless(Number value, Number none) {
    return value == none ? std::string() : fmt::to_string(value);
}

template <std::string Recording::* kField>
std::string text(const Recording& recording) {
    return recording.*kField;
}

template <std::size_t kNumber>
std::string user(const Recording& recording) {
    return recording.user[kNumber - 1];
}

struct Column {
    std::string_view name;
    std::string (*value)(const Recording&);
};

// The manual's order. Left out are its columns about what this appliance does not keep (video, screens, quality forms).
constexpr Column kColumns[] = {
    {"agent_id", [](const Recording& r) { return number_unless<std::int64_t>(r.agent_id, 0); }},
    {"ani", text<&Recording::ani>},
    {"archive_action_id", [](const Recording& r) { return number_unless<std::int64_t>(r.archive_action, -1); }},
    {"calldirection", text<&Recording::direction>},
    {"callid", text<&Recording::call_id>},
    {"channel", [](const Recording& r) { return fmt::to_string(r.channel); }},
    {"device_alias", text<&Recording::device_alias>},
    {"device_id", text<&Recording::device_id>},
    {"dnis", text<&Recording::dnis>},
    {"duration", [](const Recording& r) { return fmt::to_string(rounded_seconds(r.duration_ns())); }},
    {"filename", text<&Recording::filename>},
    {"gate", text<&Recording::gate>},
    {"globalid", text<&Recording::global_call_id>},
    {"ident", [](const Recording& r) { return fmt::to_string(r.ident); }},
    {"keepdays", [](const Recording& r) { return number_unless<std::int32_t>(r.keep_days, -1); }},
    {"priority", [](const Recording& r) { return fmt::to_string(r.priority); }},
    {"recording_time", [](const Recording& r) { return fmt::to_string(floor_seconds(r.start_ns)); }},
    {"sgroup", text<&Recording::group>},
    {"user1", user<1>},
    {"user2", user<2>},
    {"user3", user<3>},
    {"user4", user<4>},
    {"user5", user<5>},
    {"user6", user<6>},
    {"user7", user<7>},
    {"user8", user<8>},
    {"user9", user<9>},
    {"user10", user<10>},
    {"user11", user<11>},
    {"user12", user<12>},
    {"user13", user<13>},
    {"user14", user<14>},
    {"user15", user<15>},
    // Not in the manual's table, but "any parameter inserted from a Call Handling API function" may be asked for
    // (manual: Export a Recorded Audio File).
    {"sys_user", text<&Recording::sys_user>},
    {"crm_user", text<&Recording::crm_user>},
    {"station", text<&Recording::station>},
    {"callinstance", text<&Recording::call_instance>},
};

struct Alias {
    std::string_view spelling, column;
};

// The parameters of the API and what the same things are called in the table.
constexpr Alias kAliases[] = {
    {"group", "sgroup"},
    {"deviceid", "device_id"},
    {"devicealias", "device_alias"},
    {"recordid", "ident"},
    {"globalcallid", "globalid"},
    {"agentid", "agent_id"},
    {"archiveaction", "archive_action_id"},
    {"recordingtime", "recording_time"},
    {"stationname", "station"},
    {"calltype", "calldirection"},
    {"call_instance", "callinstance"},
};

std::string lower_case(std::string_view name) {
    std::string lower(name);
    for (char& letter : lower)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    return lower;
}

const Column* find_column(std::string_view name) {
    constexpr std::size_t kLongestName = 32;
    if (name.size() > kLongestName) return nullptr;
    const std::string lower = lower_case(name);
    const auto* alias = std::ranges::find(kAliases, lower, &Alias::spelling);
    const std::string_view wanted = alias == std::end(kAliases) ? std::string_view(lower) : alias->column;
    const auto* column = std::ranges::find(kColumns, wanted, &Column::name);
    return column == std::end(kColumns) ? nullptr : column;
}

}  // namespace

ColumnValue column(const Recording& recording, std::string_view name) {
    const Column* found = find_column(name);
    if (found == nullptr) return {};
    return {true, found->value(recording)};
}

std::string_view canonical_column(std::string_view name) {
    const Column* found = find_column(name);
    return found == nullptr ? std::string_view() : found->name;
}

const std::vector<std::string_view>& column_names() {
    static const std::vector<std::string_view> names = [] {
        std::vector<std::string_view> all;
        for (const Column& each : kColumns) all.push_back(each.name);
        return all;
    }();
    return names;
}

}  // namespace spantape
