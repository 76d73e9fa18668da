// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: CALLLIST.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "api/functions/functions.h"
#include "api/functions/parameters.h"
#include "api/protocol/xml_codec.h"

namespace spantape::api {

namespace {

constexpr std::int64_t kDefaultCalls = 1000;
constexpr std::int64_t kMostCalls = 100'000;

void append_search_result(std::string& out, const Recording& recording, std::size_t number,
                          const Directory::Names& names) {
    const auto add = [&](std::string_view name, std::string_view text) { append_element(out, name, text); };
    out += "<SEARCHRESULT>";
    add("CALLNUMBER", fmt::to_string(number));
    add("DEVICEID", recording.device_id);
    add("DEVICEALIAS", recording.device_alias);
    add("ANI", recording.ani);
    add("DNIS", recording.dnis);
    add("CALLTYPE", recording.direction);
    add("GROUP", recording.group);
    add("GATE", recording.gate);
    for (std::size_t i = 0; i < recording.user.size(); ++i) add(user_parameter(i), recording.user[i]);
    add("RECORDID", fmt::to_string(recording.ident));
    add("RECORDINGTIME", fmt::to_string(recording.start_ns / kNsPerSecond));
    add("DURATION", fmt::to_string(std::llround(seconds(recording.duration_ns()))));
    // Deleted agents are named, too.
    const bool known = recording.agent_id > 0 && recording.agent_id <= INT32_MAX;
    const auto agent = known ? names.find(static_cast<std::int32_t>(recording.agent_id)) : names.end();
    add("AGENTFIRSTNAME", agent != names.end() ? agent->second.first : "");
    add("AGENTLASTNAME", agent != names.end() ? agent->second.second : "");
    add("CRM_USER", recording.crm_user);
    add("SYS_USER", recording.sys_user);
    out += "</SEARCHRESULT>";
}

// Filters of CALLLIST, or the parameter that is wrong.
Result<RecordingQuery> call_list_query(const Parameters& parameters) {
    RecordingQuery query;
    const auto equal = [&](const std::string& parameter, std::string field) {
        if (parameters.has(parameter)) query.equal.emplace_back(std::move(field), *parameters.text(parameter));
    };
    // What SIP told may be longer than what a function may set.
    const auto equal_to_all = [&](const std::string& parameter, std::string field) {
        if (parameters.has(parameter)) query.equal.emplace_back(std::move(field), parameters.whole(parameter));
    };
    equal("DEVICEID", "device_id");
    equal("CRM_USER", "crm_user");
    equal("SYS_USER", "sys_user");
    equal("DEVICEALIAS", "device_alias");
    equal("GROUP", "sgroup");
    equal("GATE", "gate");
    equal_to_all("ANI", "ani");
    equal_to_all("DNIS", "dnis");
    for (int number = 1; number <= 15; ++number) equal(fmt::format("USER{}", number), fmt::format("user{}", number));
    equal("CALLDIRECTION", "calldirection");
    // The manual's example filters by a CALLTYPE: a direction; a number is ignored.
    if (const std::string type = parameters.text_or_empty("CALLTYPE"); !type.empty() && !parse_integer(type)) {
        const char letter = static_cast<char>(std::toupper(static_cast<unsigned char>(type[0])));
        if (type.size() != 1 || std::string_view("IO?").find(letter) == std::string_view::npos)
            return fail("CALLTYPE must be I, O or ?, is '{}'", type);
        query.equal.emplace_back("calldirection", std::string(1, letter));
    }
    constexpr std::int64_t kLastSecond = INT64_MAX / kNsPerSecond - 1;
    if (const auto from = parameters.integer("CALLDATATESTART"))
        query.from_ns = std::min(*from, kLastSecond) * kNsPerSecond;
    if (const auto to = parameters.integer("CALLDATATEEND"))
        query.to_ns = std::min(*to, kLastSecond) * kNsPerSecond + (kNsPerSecond - 1);
    query.limit =
        static_cast<std::size_t>(std::min(parameters.integer("CALLCOUNT").value_or(kDefaultCalls), kMostCalls));
    return query;
}

}  // namespace

void Functions::call_list(const FunctionCall& call, Done done) {
    auto query = call_list_query(call.parameters);
    if (!query) return done(refused(ResultCode::API_INVALID_MESSAGE_FORMAT, query.error().message));
    access_.visibility(call.caller).restrict(*query);
    // A list of 100,000 takes its time to write, too.
    on_pool(
        [this, query = std::move(*query), names = context_.directory.directory().names()]() -> Result<Reply> {
            const auto found = context_.index.search(query);
            if (!found) return std::unexpected(found.error());
            Reply reply;
            reply.body.push_back(leaf("TYPE", "CALLLIST"));
            reply.found = found->size();
            for (std::size_t i = 0; i < found->size(); ++i)
                append_search_result(reply.body_xml, (*found)[i], i + 1, *names);
            return reply;
        },
        [done = std::move(done)](Result<Reply> reply) mutable {
            done(reply ? std::move(*reply) : refused(ResultCode::API_DATABASE_QUERY_ERROR, reply.error().message));
        });
}

}  // namespace spantape::api
