// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/running_blackouts.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include <unistd.h>
#include <boost/json.hpp>

#include "storage/durable_file.h"

namespace spantape {

namespace {

namespace json = boost::json;

json::object json_of(const RunningBlackout& blackout) {
    return {
        {"of_agent", blackout.of_agent},   {"stop_known", blackout.stop_known},     {"agent", blackout.agent},
        {"device_id", blackout.device_id}, {"device_alias", blackout.device_alias}, {"sys_user", blackout.sys_user},
        {"crm_user", blackout.crm_user},   {"from_ns", blackout.window.from_ns},    {"to_ns", blackout.window.to_ns}};
}

// Throws what Boost.JSON throws of a member that is missing or another kind.
RunningBlackout blackout_of(const json::object& object) {
    const auto text = [&](const char* name) { return json::value_to<std::string>(object.at(name)); };
    RunningBlackout blackout;
    blackout.of_agent = object.at("of_agent").as_bool();
    blackout.stop_known = object.at("stop_known").as_bool();
    blackout.agent = json::value_to<std::int32_t>(object.at("agent"));
    blackout.device_id = text("device_id");
    blackout.device_alias = text("device_alias");
    blackout.sys_user = text("sys_user");
    blackout.crm_user = text("crm_user");
    blackout.window = {object.at("from_ns").to_number<TimeNs>(), object.at("to_ns").to_number<TimeNs>()};
    return blackout;
}

}  // namespace

Result<std::vector<RunningBlackout>> load_running_blackouts(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        if (errno == ENOENT) return {};
        return fail("{}: {}", path, strerror(errno));
    }
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::vector<RunningBlackout> blackouts;
    try {
        const json::value parsed = json::parse(text);
        for (const json::value& each : parsed.at("blackouts").as_array())
            blackouts.push_back(blackout_of(each.as_object()));
    } catch (const std::exception& error) {
        return fail("{}: {}", path, error.what());
    }
    return blackouts;
}

Result<> save_running_blackouts(const std::string& path, const std::vector<RunningBlackout>& blackouts) {
    json::array each;
    for (const RunningBlackout& blackout : blackouts) each.push_back(json_of(blackout));
    const std::string text = json::serialize(json::object{{"blackouts", std::move(each)}}) + "\n";
    const std::string fresh = path + ".new";
    unlink(fresh.c_str());  // of an attempt before
    if (auto written = write_new_file(fresh, std::as_bytes(std::span(text))); !written) return written;
    if (std::rename(fresh.c_str(), path.c_str()) != 0) return fail("{}: {}", path, strerror(errno));
    return sync_directory(std::filesystem::path(path).parent_path().string());
}

}  // namespace spantape
