// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/statistics.h"

#include <numeric>

namespace spantape {

namespace {

// Read from another thread while it changes: a gauge may seem to be below zero for a moment.
std::uint64_t gauge(const Counter& counter) {
    const std::uint64_t value = counter.get();
    return static_cast<std::int64_t>(value) < 0 ? 0 : value;
}

Drops values_of(const DropCounters& counters) {
    Drops values{};
    for (std::size_t reason = 0; reason < kDropReasons; ++reason) values[reason] = counters[reason].get();
    return values;
}

void add(const Drops& more, Drops& to) {
    for (std::size_t reason = 0; reason < kDropReasons; ++reason) to[reason] += more[reason];
}

}  // namespace

Drops Statistics::drops() const {
    Drops total{};
    for (const WorkerStatistics& worker : workers) add(worker.drops, total);
    return total;
}

WorkerStatistics statistics_of(const Worker& worker, const WorkerLinks& links) {
    const WorkerCounters& counters = worker.counters();
    return {.packets = counters.packets.get(),
            .frames = counters.frames.get(),
            .stored = counters.stored.get(),
            .held = gauge(counters.held),
            .sip_messages = counters.sip_messages.get(),
            .sip_segments = counters.sip_segments.get(),
            .rtcp_reports = counters.rtcp_reports.get(),
            .fragments_held = gauge(counters.fragments_held),
            .streams_opened = counters.streams.get(),
            .look_back = gauge(counters.look_back),
            .bound = gauge(counters.bound),
            .closing = gauge(counters.closing),
            .slots = worker.stream_slots(),
            .busy_ns = counters.busy_ns.get(),
            .idle_ns = counters.idle_ns.get(),
            .signalling_used_bytes = links.signalling.used_bytes(),
            .signalling_capacity_bytes = links.signalling.capacity_bytes(),
            .events_waiting = links.events.size(),
            .drops = values_of(counters.drops)};
}

void add_sources(const std::vector<const Worker*>& workers, const std::vector<std::string>& specs, Statistics& to) {
    for (std::size_t worker = 0; worker < workers.size(); ++worker)
        for (const auto& source : workers[worker]->sources())
            to.sources.push_back({source->name(), worker, source->counters(), source->error()});
    for (std::size_t index = 0; index < specs.size() && index < kMaxSources; ++index) {
        SourceDrops& of = to.source_drops.emplace_back(specs[index]);
        for (const Worker* worker : workers) add(values_of(worker->counters().drops_by_source[index]), of.drops);
    }
}

std::uint64_t DecisionStatistics::count() const {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t DecisionStatistics::quantile_us(double share) const {
    const std::uint64_t all = count();
    const double wanted = share * static_cast<double>(all);
    std::uint64_t below = 0;
    for (std::size_t bucket = 0; bucket < counts.size() && all != 0; ++bucket)
        if (below += counts[bucket]; static_cast<double>(below) >= wanted) return LatencyHistogram::limit_us(bucket);
    return 0;
}

DecisionStatistics decisions_of(const std::vector<const Worker*>& workers) {
    DecisionStatistics all;
    for (const Worker* worker : workers) {
        const LatencyHistogram& decisions = worker->counters().decisions;
        for (std::size_t bucket = 0; bucket < all.counts.size(); ++bucket)
            all.counts[bucket] += decisions.count(bucket);
        all.sum_ns += decisions.sum_ns();
    }
    return all;
}

SignallingStatistics statistics_of(const Signalling& signalling) {
    const SignallingCounters& counters = signalling.counters();
    return {.messages = counters.messages.get(),
            .malformed = counters.malformed.get(),
            .duplicates = counters.duplicates.get(),
            .out_of_dialog = counters.out_of_dialog.get(),
            .calls = counters.calls.get(),
            .calls_evicted = counters.calls_evicted.get(),
            .tcp_connections = counters.tcp_connections.get(),
            .tcp_gaps = counters.tcp_gaps.get(),
            .tcp_resyncs = counters.tcp_resyncs.get(),
            .tcp_evicted = counters.tcp_evicted.get()};
}

WriterStatistics statistics_of(const MediaWriter& writer) {
    const MediaWriterCounters& counters = writer.counters();
    const RingFill& fill = counters.ring_fill;
    WriterStatistics values{.chunks = counters.chunks.load(),
                            .frames = counters.frames.load(),
                            .bytes = counters.bytes_written.load(),
                            .recordings = counters.recordings.load(),
                            .failures = counters.failures.load(),
                            .rings = fill.rings.get(),
                            .used_bytes = fill.used_bytes.get(),
                            .capacity_bytes = fill.capacity_bytes.get(),
                            .fullest_permille = fill.fullest_permille.get(),
                            .worst_permille = fill.worst_permille.get()};
    for (std::size_t step = 0; step < RingFill::kSteps; ++step) values.rings_by_fill[step] = fill.by_fill[step].get();
    return values;
}

bool Rates::sample(TimeNs monotonic_now_ns, const std::vector<const Worker*>& workers) {
    if (!samples_.empty() && monotonic_now_ns - samples_.back().first < kNsPerSecond) return false;
    std::vector<Sample> now;
    for (const Worker* worker : workers) {
        const WorkerCounters& counters = worker->counters();
        now.push_back({counters.packets.get(), counters.busy_ns.get(), counters.idle_ns.get()});
    }
    if (samples_.size() > kSeconds) samples_.erase(samples_.begin());
    samples_.emplace_back(monotonic_now_ns, std::move(now));
    return true;
}

Rates::WorkerRates Rates::of(std::size_t worker) const {
    if (samples_.size() < 2) return {};
    const auto& [from_ns, from] = samples_.front();
    const auto& [to_ns, to] = samples_.back();
    if (worker >= from.size()) return {};
    const Sample &begin = from[worker], &end = to[worker];
    WorkerRates rates;
    rates.packets_per_s = static_cast<double>(end.packets - begin.packets) / seconds(to_ns - from_ns);
    const auto busy_ns = static_cast<double>(end.busy_ns - begin.busy_ns);
    const auto idle_ns = static_cast<double>(end.idle_ns - begin.idle_ns);
    if (busy_ns + idle_ns > 0) rates.busy_share = busy_ns / (busy_ns + idle_ns);
    return rates;
}

}  // namespace spantape
