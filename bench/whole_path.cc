// SPDX-License-Identifier: AGPL-3.0-or-later
// The whole recorder in one process, from a DPDK port to recordings on disk: so many calls at once for so long, fed
// into the port by a thread of its own. Ends with what was stored and what was lost, and what it took.
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "appliance/appliance.h"
#include "bench/call_centre_rules.h"
#include "bench/call_feed.h"

namespace spantape::bench {
namespace {

struct Options {
    CallFeedOptions feed;
    std::uint16_t workers = 1;
    std::int64_t rules = 0;
    std::string store = "/var/tmp/spantape-whole-path";
    bool json = false;
};

struct Stored {
    std::uint64_t recordings = 0, frames = 0, lost_before = 0, dropped_us = 0;
};

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + time.tv_usec * 1e-6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// From /proc/self/status, in bytes.
std::uint64_t memory_bytes(std::string_view name) {
    std::uint64_t kib = 0;
    std::FILE* file = std::fopen("/proc/self/status", "r");
    if (file == nullptr) return 0;
    std::array<char, 256> line{};
    while (std::fgets(line.data(), line.size(), file) != nullptr)
        if (std::string_view(line.data()).starts_with(name))
            kib = std::strtoull(line.data() + name.size(), nullptr, 10);
    std::fclose(file);
    return kib * 1024;
}

Stored stored_by(Appliance& appliance) {
    Stored sum;
    for (const std::uint64_t ident : appliance.completed()) {
        const auto recording = appliance.index().recording(ident);
        if (!recording || !*recording) continue;
        ++sum.recordings;
        for (const RecordedStream& stream : (*recording)->streams) {
            sum.frames += stream.counters.stored;
            sum.lost_before += stream.counters.lost_before;
            sum.dropped_us += stream.counters.dropped_us;
        }
    }
    return sum;
}

// A card does not wait for a CPU: where the system lets it, the thread that stands in for one goes before all others.
void be_the_card() {
    sched_param priority{};
    priority.sched_priority = 1;
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
}

double counter(const std::vector<api::Element>& status, std::string_view name) {
    for (const api::Element& each : status)
        if (each.name == name) return std::strtod(each.text.c_str(), nullptr);
    return 0;
}

void print_drops(const std::vector<api::Element>& status) {
    for (const api::Element& each : status)
        if (each.name.starts_with("DROP_") && each.text != "0") fmt::print("  {} {}\n", each.name, each.text);
}

int run(const Options& options) {
    std::filesystem::remove_all(options.store);
    CallFeed feed(options.feed);
    ApplianceOptions appliance_options;
    appliance_options.sources = {CallFeed::source()};
    appliance_options.workers = options.workers;
    appliance_options.channels = options.feed.calls + 100;
    appliance_options.max_streams = options.feed.calls * 2 + 4096;
    appliance_options.serve = false;
    if (options.rules > 0) appliance_options.directory.schedule = call_centre_rules(options.rules, {});
    appliance_options.store = options.store;
    appliance_options.log = [](const char* level, const std::string& line) {
        fmt::print(stderr, "{} {}\n", level, line);
    };
    const std::uint64_t memory_before = memory_bytes("VmRSS:");
    auto appliance = Appliance::start(std::move(appliance_options));
    if (!appliance) {
        fmt::print(stderr, "whole_path: {}\n", appliance.error().message);
        return EXIT_FAILURE;
    }
    const double cpu_before = cpu_seconds();
    CallFeedResult sent;
    std::thread feeder([&] {
        while (!(*appliance)->memory_ready()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        be_the_card();
        sent = feed.run();
        std::this_thread::sleep_for(std::chrono::seconds(2));  // what the last BYEs cause
        (*appliance)->request_stop();
    });
    const auto ended = (*appliance)->run();
    feeder.join();
    if (!ended) fmt::print(stderr, "whole_path: {}\n", ended.error().message);
    const double cpu = cpu_seconds() - cpu_before - seconds(sent.cpu_ns);
    const auto status = (*appliance)->status();
    const Stored stored = stored_by(**appliance);
    const std::uint64_t lost = sent.rtp_sent - std::min(sent.rtp_sent, stored.frames);
    const double decision_p99_ms = counter(status, "DECISIONP99US") / 1000;
    const double memory_a_stream =
        static_cast<double>(memory_bytes("VmHWM:") - memory_before) / (options.feed.calls * 2);
    if (options.json) {
        fmt::print(
            "{{\"calls\":{},\"rtp_sent\":{},\"stored\":{},\"lost\":{},\"no_room\":{},\"dropped_us\":{},"
            "\"recordings\":{},\"peak_per_second\":{},\"cpu_s\":{:.2f},\"feed_cpu_s\":{:.2f},\"late_ms\":{:.1f},"
            "\"memory_a_stream\":{:.0f},\"decision_p99_ms\":{:.3f}}}\n",
            options.feed.calls, sent.rtp_sent, stored.frames, lost, sent.no_room, stored.dropped_us, stored.recordings,
            sent.peak_rtp_per_second, cpu, seconds(sent.cpu_ns), static_cast<double>(sent.latest_ns) / kNsPerMs,
            memory_a_stream, decision_p99_ms);
    } else {
        fmt::print("{} calls, {} RTP packets in {:.1f} s, at most {} a second\n", options.feed.calls, sent.rtp_sent,
                   sent.seconds, sent.peak_rtp_per_second);
        if (options.feed.seconds * options.feed.calls_per_second < options.feed.calls)
            fmt::print("they were never all at once: a call ends before the last one begins\n");
        fmt::print("{} recordings hold {} of them; {:.2f} CPU-seconds ({:.2f} M packets each), {:.1f} KiB a stream\n",
                   stored.recordings, stored.frames, cpu, static_cast<double>(sent.rtp_sent) / cpu / 1e6,
                   memory_a_stream / 1024);
        fmt::print("the feed took {:.2f} CPU-seconds and was {:.1f} ms late at worst\n", seconds(sent.cpu_ns),
                   static_cast<double>(sent.latest_ns) / kNsPerMs);
        fmt::print("of SIP seen to media claimed, 99 in 100 took at most {} ms\n", decision_p99_ms);
        if (lost == 0)
            fmt::print("nothing lost\n");
        else
            fmt::print("{} lost: {} had no room in the port, {} had none in our rings, of {} recordings missing {}\n",
                       lost, sent.no_room, stored.dropped_us, options.feed.calls,
                       options.feed.calls - stored.recordings);
        print_drops(status);
    }
    appliance->reset();
    std::filesystem::remove_all(options.store);
    return ended && lost == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace spantape::bench

int main(int argc, char** argv) {
    spantape::bench::Options options;
    CLI::App app{"Records calls from a DPDK ring port to disk, in one process; exit status 0: nothing lost."};
    app.add_option("--calls", options.feed.calls, "Calls at once")->capture_default_str();
    app.add_option("--seconds", options.feed.seconds, "Media of each")->capture_default_str();
    app.add_option("--rate", options.feed.calls_per_second, "Calls that begin in a second")->capture_default_str();
    app.add_option("--rules", options.rules, "Rules of the schedule, of which the last fits")->capture_default_str();
    app.add_flag("!--no-media", options.feed.media, "Calls of SIP alone");
    app.add_option("--workers", options.workers, "Workers of the recorder")->capture_default_str();
    app.add_option("--store", options.store, "Directory, emptied before and after")->capture_default_str();
    app.add_flag("--json", options.json, "One JSON object");
    CLI11_PARSE(app, argc, argv);
    options.feed.several_readers = options.workers > 1;
    return spantape::bench::run(options);
}
