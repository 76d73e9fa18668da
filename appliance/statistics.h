// SPDX-License-Identifier: AGPL-3.0-or-later
// What the appliance has counted, as plain values of one moment: collected from the counters of all threads when
// somebody asks, for `spantape status` and for /metrics. Control thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/control/assurance.h"
#include "api/protocol/servers.h"
#include "appliance/problems.h"
#include "capture/packet/datagram.h"
#include "capture/signalling.h"
#include "capture/source/source.h"
#include "capture/worker.h"
#include "storage/archiver.h"
#include "storage/media_writer.h"

namespace spantape {

using Drops = std::array<std::uint64_t, kDropReasons>;

struct WorkerStatistics {
    std::uint64_t packets = 0, frames = 0, stored = 0, held = 0, sip_messages = 0, sip_segments = 0, rtcp_reports = 0,
                  fragments_held = 0;
    std::uint64_t streams_opened = 0, look_back = 0, bound = 0, closing = 0, slots = 0;
    std::uint64_t busy_ns = 0, idle_ns = 0;
    std::uint64_t signalling_used_bytes = 0, signalling_capacity_bytes = 0;  // of the ring to the signalling thread
    std::uint64_t events_waiting = 0;                                        // for control
    Drops drops{};
};

struct SourceStatistics {
    std::string name;  // as configured; of files that are read as one, all of them
    std::size_t worker = 0;
    SourceCounters counters;
    std::string error;
};

struct SourceDrops {
    std::string name;  // as configured
    Drops drops{};     // of all workers
};

struct SignallingStatistics {
    std::uint64_t messages = 0, malformed = 0, duplicates = 0, out_of_dialog = 0, calls = 0, calls_evicted = 0;
    std::uint64_t tcp_connections = 0, tcp_gaps = 0, tcp_resyncs = 0, tcp_evicted = 0;
    std::uint64_t events_waiting = 0;  // for control
};

struct WriterStatistics {
    std::uint64_t chunks = 0, frames = 0, bytes = 0, recordings = 0, failures = 0;
    std::uint64_t commands_waiting = 0, events_waiting = 0;
    std::uint64_t rings = 0, used_bytes = 0, capacity_bytes = 0, fullest_permille = 0, worst_permille = 0;
    std::array<std::uint64_t, RingFill::kSteps> rings_by_fill{};
};

struct ControlStatistics {
    std::uint64_t calls = 0, devices = 0, channels_in_use = 0, channels = 0, recordings_completed = 0;
};

// From a SIP message on a live source to its media being claimed, by all workers: see LatencyHistogram.
struct DecisionStatistics {
    std::array<std::uint64_t, LatencyHistogram::kBuckets> counts{};
    std::uint64_t sum_ns = 0;

    [[nodiscard]] std::uint64_t count() const;
    // What this share of them took at most, in microseconds; 0: there were none.
    [[nodiscard]] std::uint64_t quantile_us(double share) const;
};

struct Statistics {
    std::vector<WorkerStatistics> workers;
    std::vector<SourceStatistics> sources;
    std::vector<SourceDrops> source_drops;
    DecisionStatistics decisions;
    SignallingStatistics signalling;
    WriterStatistics writer;
    ControlStatistics control;
    Assurance::Counts assurance;
    ArchiveCounts archive;
    std::optional<api::ServerCounters> servers;
    std::map<std::string, Problem> problems;
    double uptime_s = 0;

    template <class Value>
    [[nodiscard]] Value sum(Value WorkerStatistics::* value) const {
        Value total{};
        for (const WorkerStatistics& worker : workers) total += worker.*value;
        return total;
    }
    [[nodiscard]] Drops drops() const;  // of all workers
};

[[nodiscard]] WorkerStatistics statistics_of(const Worker& worker, const WorkerLinks& links);
void add_sources(const std::vector<const Worker*>& workers, const std::vector<std::string>& specs, Statistics& to);
[[nodiscard]] DecisionStatistics decisions_of(const std::vector<const Worker*>& workers);
[[nodiscard]] SignallingStatistics statistics_of(const Signalling& signalling);
[[nodiscard]] WriterStatistics statistics_of(const MediaWriter& writer);

// Rates over the last seconds, from samples taken once a second.
class Rates {
public:
    struct WorkerRates {
        double packets_per_s = 0;
        double busy_share = 0;  // 0 … 1 of its time
    };
    // Keeps a sample when the last one is a second old, and says whether.
    bool sample(TimeNs monotonic_now_ns, const std::vector<const Worker*>& workers);
    [[nodiscard]] WorkerRates of(std::size_t worker) const;

private:
    struct Sample {
        std::uint64_t packets = 0, busy_ns = 0, idle_ns = 0;
    };
    static constexpr std::size_t kSeconds = 3;

    std::vector<std::pair<TimeNs, std::vector<Sample>>> samples_;  // the oldest first, kSeconds + 1 at most
};

}  // namespace spantape
