// SPDX-License-Identifier: AGPL-3.0-or-later
// manual: CALLLIST.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "api/functions/functions.h"
#include "api/functions/parameters.h"

namespace spantape::api {

namespace {

constexpr std::int64_t kDefaultCalls = 1000;
constexpr std::int64_t kMostCalls = 100'000;

Element search_result(const Recording& recording, std::size_t number, const Directory& directory) {
    Element result{"SEARCHRESULT", {}, {}};
    auto& out = result.children;
    constexpr std::size_t kChildren = 30;
    out.reserve(kChildren);
    out.push_back(leaf("CALLNUMBER", fmt::to_string(number)));
    out.push_back(leaf("DEVICEID", recording.device_id));
    out.push_back(leaf("DEVICEALIAS", recording.device_alias));
    out.push_back(leaf("ANI", recording.ani));
    out.push_back(leaf("DNIS", recording.dnis));
    out.push_back(leaf("CALLTYPE", recording.direction));
    out.push_back(leaf("GROUP", recording.group));
    out.push_back(leaf("GATE", recording.gate));
    for (std::size_t i = 0; i < recording.user.size(); ++i)
        out.push_back(leaf(std::string(user_parameter(i)), recording.user[i]));
    out.push_back(leaf("RECORDID", fmt::to_string(recording.ident)));
    out.push_back(leaf("RECORDINGTIME", fmt::to_string(recording.start_ns / kNsPerSecond)));
    out.push_back(leaf("DURATION", fmt::to_string(std::llround(seconds(recording.duration_ns())))));
    // Deleted agents are named, too.
    const bool known = recording.agent_id > 0 && recording.agent_id <= INT32_MAX;
    const User* agent = known ? directory.user(static_cast<std::int32_t>(recording.agent_id)) : nullptr;
    out.push_back(leaf("AGENTFIRSTNAME", agent != nullptr ? agent->first_name : ""));
    out.push_back(leaf("AGENTLASTNAME", agent != nullptr ? agent->last_name : ""));
    out.push_back(leaf("CRM_USER", recording.crm_user));
    out.push_back(leaf("SYS_USER", recording.sys_user));
    return result;
}

// Filters of CALLLIST, or the parameter that is wrong.
Result<RecordingQuery> call_list_query(const Parameters& parameters) {
    RecordingQuery query;
    const auto equal = [&](const std::string& parameter, std::string field) {
        if (parameters.has(parameter)) query.equal.emplace_back(std::move(field), *parameters.text(parameter));
    };
    equal("DEVICEID", "device_id");
    equal("CRM_USER", "crm_user");
    equal("SYS_USER", "sys_user");
    equal("DEVICEALIAS", "device_alias");
    equal("GROUP", "sgroup");
    equal("GATE", "gate");
    equal("ANI", "ani");
    equal("DNIS", "dnis");
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
    if (auto visible = access_.visibility(call.caller); !visible.all)
        query->keep = [visible = std::move(visible)](const Recording& recording) { return visible.sees(recording); };
    on_pool([this, query = std::move(*query)] { return context_.index.search(query); },
            [&directory = context_.directory.directory(), done = std::move(done)](auto found) mutable {
                if (!found) return done(refused(ResultCode::API_DATABASE_QUERY_ERROR, found.error().message));
                Reply reply;
                reply.body.push_back(leaf("TYPE", "CALLLIST"));
                for (std::size_t i = 0; i < found->size(); ++i)
                    reply.body.push_back(search_result((*found)[i], i + 1, directory));
                done(std::move(reply));
            });
}

}  // namespace spantape::api
