// SPDX-License-Identifier: AGPL-3.0-or-later
// A year of recordings as they would stand in the index of a contact centre, made by `call_list build`, and the
// CALLLIST requests that `call_list requests` prints for `api_load ask`: two fields and a month, 100 results.
#include <algorithm>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "storage/index/index.h"

namespace spantape::bench {
namespace {

constexpr TimeNs kYearBeginNs = 1'700'000'000 * kNsPerSecond;
constexpr TimeNs kDayNs = 86'400 * kNsPerSecond;
constexpr TimeNs kYearNs = 365 * kDayNs;
constexpr std::uint64_t kDevices = 2000, kGroups = 20, kGates = 50, kLines = 200, kOutcomes = 10, kCallers = 1'000'000;
constexpr std::uint64_t kBatch = 5000;

// Evenly spread numbers that depend on the recording and on what they are for.
std::uint64_t spread(std::uint64_t recording, std::uint64_t purpose) {
    std::uint64_t x = recording * 0x9e3779b97f4a7c15 + purpose * 0xd1b54a32d192ed03;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
    return x ^ (x >> 32);
}

std::string device_name(std::uint64_t device) { return fmt::to_string(4000 + device); }
std::string group_name(std::uint64_t group) { return fmt::format("group {}", group); }
std::string gate_name(std::uint64_t gate) { return fmt::format("gate {}", gate); }
std::string line_name(std::uint64_t line) { return fmt::format("0800{:04}", line); }
std::string outcome_name(std::uint64_t outcome) { return fmt::format("outcome {}", outcome); }
// A phone's group is always the same, and calls come to a group through some gates only.
std::uint64_t group_of(std::uint64_t device) { return device % kGroups; }
std::uint64_t gate_of(std::uint64_t recording, std::uint64_t group) {
    return (group + kGroups * (spread(recording, 2) % 2)) % kGates;
}

RecordedStream stream(std::uint64_t id, Side side, TimeNs start_ns) {
    RecordedStream made;
    made.stream_id = id;
    made.side = side;
    made.payloads.push_back({.payload_type = 0, .encoding = "PCMU", .clock_rate_hz = 8000});
    made.start_ns = start_ns;
    made.duration_ns = 120 * kNsPerSecond;
    made.chunks = 40;
    made.seal = std::string(64, "0123456789abcdef"[id % 16]);
    return made;
}

Recording recording(std::uint64_t number, std::uint64_t count) {
    Recording made;
    const std::uint64_t device = spread(number, 1) % kDevices;
    made.ident = number + 1;
    made.global_call_id = fmt::format("0001{:010}", made.ident);
    made.session_id = made.ident;
    made.state = RecordingState::stored;
    made.ended_by = "bye";
    made.start_ns = kYearBeginNs + kYearNs / static_cast<TimeNs>(count) * static_cast<TimeNs>(number);
    made.stop_ns = made.start_ns + static_cast<TimeNs>(30 + spread(number, 3) % 600) * kNsPerSecond;
    made.device_id = device_name(device);
    made.device_alias = fmt::format("desk {}", device);
    made.sys_user = fmt::format("agent{}", device);
    made.group = group_name(group_of(device));
    made.gate = gate_name(gate_of(number, group_of(device)));
    made.ani = fmt::format("+43{:09}", spread(number, 4) % kCallers);
    made.dnis = line_name(spread(number, 5) % kLines);
    made.call_id = fmt::format("c{:015x}", spread(number, 6) & 0xfffffffffffffff);
    made.user[0] = fmt::format("account {}", spread(number, 7) % kCallers);
    made.user[1] = fmt::format("order {}", made.ident);
    made.user[2] = outcome_name(spread(number, 8) % kOutcomes);
    made.direction = spread(number, 9) % 10 < 7 ? "I" : "O";
    made.filename = fmt::format("/var/lib/spantape/2026/{}/{}.wav", made.device_id, made.ident);
    made.channel = static_cast<std::uint32_t>(spread(number, 10) % 1000 + 1);
    made.streams.push_back(stream(2 * made.ident, Side::device, made.start_ns));
    made.streams.push_back(stream(2 * made.ident + 1, Side::far, made.start_ns));
    return made;
}

int build(const std::string& store, std::uint64_t count) {
    std::filesystem::create_directories(store);
    auto index = Index::open(store + "/index");
    if (!index) return fmt::print(stderr, "call_list: {}\n", index.error().message), EXIT_FAILURE;
    for (std::uint64_t from = 0; from < count; from += kBatch) {
        Index::Batch batch;
        for (std::uint64_t number = from; number < std::min(count, from + kBatch); ++number)
            batch.recordings.push_back(recording(number, count));
        if (auto put = (*index)->put(batch); !put)
            return fmt::print(stderr, "call_list: {}\n", put.error().message), EXIT_FAILURE;
    }
    if (auto raised = (*index)->raise_numbers("ident", count + 1); !raised)
        return fmt::print(stderr, "call_list: {}\n", raised.error().message), EXIT_FAILURE;
    return EXIT_SUCCESS;
}

// What is asked for, by how much the two fields say.
using Filter = std::pair<const char*, std::string>;
std::pair<std::string, std::vector<Filter>> wanted(std::uint64_t which, std::uint64_t number) {
    const std::uint64_t device = spread(number, 20) % kDevices, group = spread(number, 21) % kGroups;
    switch (which) {
        case 0:
            return {"device+direction", {{"DEVICEID", device_name(device)}, {"CALLDIRECTION", "I"}}};
        case 1:
            return {"user+outcome",
                    {{"SYS_USER", fmt::format("agent{}", device)}, {"USER3", outcome_name(number % kOutcomes)}}};
        case 2:
            return {"group+line", {{"GROUP", group_name(group)}, {"DNIS", line_name(number % kLines)}}};
        case 3:
            return {"group+direction", {{"GROUP", group_name(group)}, {"CALLDIRECTION", "O"}}};
        default:  // both common, and never together
            return {"never-together", {{"GROUP", group_name(group)}, {"GATE", gate_name((group + 1) % kGroups)}}};
    }
}

struct Asking {
    std::uint64_t count = 0, seed = 0;
    std::uint64_t days = 365;  // of the year that are there
};

TimeNs month_from_s(std::uint64_t number, const Asking& asking) {
    const std::uint64_t first_days = asking.days > 30 ? asking.days - 30 : 1;
    return kYearBeginNs / kNsPerSecond + static_cast<TimeNs>(spread(number, 22) % first_days) * 86'400;
}

int requests(const Asking& asking) {
    for (std::uint64_t number = asking.seed; number < asking.seed + asking.count; ++number) {
        const auto [label, filters] = wanted(number % 5, number);
        const TimeNs from_s = month_from_s(number, asking);
        std::string text = fmt::format("{} <REQUEST><TYPE>CALLLIST</TYPE><REQUESTID>{}</REQUESTID>", label, number);
        for (const auto& [name, value] : filters) text += fmt::format("<{0}>{1}</{0}>", name, value);
        fmt::print(
            "{}<CALLDATATESTART>{}</CALLDATATESTART><CALLDATATEEND>{}</CALLDATATEEND>"
            "<CALLCOUNT>100</CALLCOUNT></REQUEST>\n",
            text, from_s, from_s + 30 * 86'400);
    }
    return EXIT_SUCCESS;
}

double percentile_ms(std::vector<TimeNs>& times_ns, double fraction) {
    std::ranges::sort(times_ns);
    return static_cast<double>(
               times_ns[static_cast<std::size_t>(fraction * static_cast<double>(times_ns.size() - 1))]) /
           1e6;
}

TimeNs thread_cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

// The search alone, without the API: times, and the processor's share of them, by what is asked for.
int search(const std::string& store, const Asking& asking) {
    auto index = Index::open_read_only(store + "/index");
    if (!index) return fmt::print(stderr, "call_list: {}\n", index.error().message), EXIT_FAILURE;
    struct Times {
        std::vector<TimeNs> taken_ns, cpu_ns;
        std::size_t results = 0;
    };
    std::map<std::string, Times> all;
    for (std::uint64_t number = asking.seed; number < asking.seed + asking.count; ++number) {
        const auto [label, filters] = wanted(number % 5, number);
        RecordingQuery query;
        for (const auto& [name, value] : filters) query.equal.emplace_back(name, value);
        query.from_ns = month_from_s(number, asking) * kNsPerSecond;
        query.to_ns = query.from_ns + 30 * kDayNs;
        query.limit = 100;
        const TimeNs began_ns = monotonic_ns(), cpu_before_ns = thread_cpu_ns();
        const auto found = (*index)->search(query);
        Times& times = all[label];
        times.cpu_ns.push_back(thread_cpu_ns() - cpu_before_ns);
        times.taken_ns.push_back(monotonic_ns() - began_ns);
        if (!found) return fmt::print(stderr, "call_list: {}\n", found.error().message), EXIT_FAILURE;
        times.results += found->size();
    }
    for (auto& [label, times] : all)
        fmt::print(
            "{:<18} {:>6} searches, {:>7} results: p50 {:.3f} ms, p99 {:.3f} ms; CPU p50 {:.3f}, p99 {:.3f} ms\n",
            label, times.taken_ns.size(), times.results, percentile_ms(times.taken_ns, 0.5),
            percentile_ms(times.taken_ns, 0.99), percentile_ms(times.cpu_ns, 0.5), percentile_ms(times.cpu_ns, 0.99));
    return EXIT_SUCCESS;
}

}  // namespace
}  // namespace spantape::bench

int main(int argc, char** argv) {
    using namespace spantape::bench;
    CLI::App app{"A year of recordings in an index, and CALLLIST requests on them."};
    app.require_subcommand(1);
    std::string store;
    std::uint64_t count = 0;
    Asking asking;
    CLI::App* making = app.add_subcommand("build", "Makes STORE/index");
    making->add_option("--store", store)->required();
    making->add_option("--count", count, "Recordings")->required();
    CLI::App* printing = app.add_subcommand("requests", "Prints lines 'LABEL REQUEST'");
    CLI::App* searching = app.add_subcommand("search", "Searches for the same, without the API, and tells the times");
    searching->add_option("--store", store)->required();
    for (CLI::App* command : {printing, searching}) {
        command->add_option("--count", asking.count)->required();
        command->add_option("--seed", asking.seed)->capture_default_str();
        command->add_option("--days", asking.days, "Of the year that are there")->capture_default_str();
    }
    CLI11_PARSE(app, argc, argv);
    if (making->parsed()) return build(store, count);
    return printing->parsed() ? requests(asking) : search(store, asking);
}
