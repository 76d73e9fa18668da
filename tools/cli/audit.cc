// SPDX-License-Identifier: AGPL-3.0-or-later
// `audit`: who did what, from the audit log; --check proves both logs of the store.
#include "tools/cli/audit.h"

#include <pwd.h>
#include <unistd.h>
#include <boost/json/serialize.hpp>

#include "storage/store_logs.h"
#include "tools/cli/commands.h"
#include "tools/cli/table.h"
#include "tools/cli/times.h"

namespace spantape::cli {

namespace {

namespace json = boost::json;

std::string text_of(const json::object& members, std::string_view name) {
    const json::value* value = members.if_contains(name);
    if (value == nullptr) return "";
    return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

// Members that have columns of their own, or say nothing to a reader.
bool has_column(std::string_view name) {
    constexpr std::string_view kNames[] = {"n",    "time",   "what",     "by",       "from",
                                           "user", "result", "previous", "signature"};
    return std::ranges::find(kNames, name) != std::end(kNames);
}

std::string rest_of(const json::object& members) {
    std::string rest;
    for (const auto& [name, value] : members)
        if (!has_column(name))
            rest += fmt::format("{}{}={}", rest.empty() ? "" : " ", std::string_view(name), text_of(members, name));
    return rest;
}

// Who may be an address, a listener, a user of the machine.
bool is_wanted(const AuditCommand& command, const LogLine& line) {
    if (line.time_ns < command.from_ns || line.time_ns > command.to_ns) return false;
    if (!command.what.empty() && text_of(line.members, "what") != command.what) return false;
    if (command.who.empty()) return true;
    const std::string from = text_of(line.members, "from");
    return from == command.who || from.starts_with(command.who + ":") || text_of(line.members, "by") == command.who ||
           text_of(line.members, "user") == command.who;
}

int check_both(const AuditCommand& command, const Console& console) {
    const auto key =
        VerifyingKey::load(command.key.empty() ? verifying_key_path(command.store) : std::string(command.key));
    if (!key) return console.failed(key.error().message);
    int status = kFine;
    for (const std::string& path : {audit_log_path(command.store), integrity_log_path(command.store)}) {
        const auto checked = check_log(path, *key);
        if (!checked) {
            status = console.failed(checked.error().message);
            continue;
        }
        for (const LogProblem& problem : checked->problems)
            console.out << (problem.line == 0 ? fmt::format("{}: {}\n", path, problem.what)
                                              : fmt::format("{}: line {} {}\n", path, problem.line, problem.what));
        if (checked->problem_count > checked->problems.size())
            console.out << fmt::format("{}: and {} more\n", path, checked->problem_count - checked->problems.size());
        if (checked->problem_count > 0) status = kFailed;
        console.out << fmt::format("{}: {} lines, last number {}, {}\n", path, checked->lines, checked->last_n,
                                   checked->problem_count == 0 ? "whole" : "NOT whole");
    }
    return status;
}

}  // namespace

int run(const AuditCommand& command, const Console& console) {
    if (command.check) return check_both(command, console);
    Table table({{"n", Align::right}, {"time"}, {"what"}, {"by"}, {"from"}, {"result"}, {"details"}});
    std::string objects;
    const auto read = read_log(audit_log_path(command.store), [&](std::uint64_t, const LogLine& line) {
        if (!is_wanted(command, line)) return true;
        const json::object& members = line.members;
        const std::string from = text_of(members, "from");
        if (command.json)
            objects += fmt::format("{}  {}", objects.empty() ? "" : ",\n", json::serialize(members));
        else
            table.add({fmt::to_string(line.n), time_text(line.time_ns), text_of(members, "what"),
                       text_of(members, "by"), from.empty() ? text_of(members, "user") : from,
                       text_of(members, "result"), rest_of(members)});
        return true;
    });
    if (!read) return console.failed(read.error().message);
    if (command.json)
        console.out << (objects.empty() ? "[]\n" : "[\n" + objects + "\n]\n");
    else
        console.out << (table.empty() ? "nothing is in the audit log\n" : table.text(console.width));
    return kFine;
}

std::string user_name() {
    const passwd* user = getpwuid(getuid());
    return user != nullptr ? std::string(user->pw_name) : fmt::to_string(getuid());
}

Result<> note_in_audit_log(const std::string& store, json::object members) {
    const auto key = SigningKey::load_or_create(store);
    if (!key) return std::unexpected(key.error());
    const auto log = ChainedLog::open(audit_log_path(store), *key);
    if (!log) return std::unexpected(log.error());
    members["by"] = "spantape";
    members["user"] = user_name();
    return (*log)->append(std::move(members), true);
}

}  // namespace spantape::cli
