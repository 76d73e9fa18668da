// SPDX-License-Identifier: AGPL-3.0-or-later
// Names follow https://prometheus.io/docs/practices/naming/; README's chapter on operations lists them.
#include "appliance/metrics.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

namespace spantape {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Families in the order in which they are begun.
class Page {
public:
    Page& counter(const char* name, const char* help) { return begin(name, help, MetricType::Counter); }
    Page& gauge(const char* name, const char* help) { return begin(name, help, MetricType::Gauge); }
    // One value of the family begun last.
    Page& add(double value, Labels labels = {}) {
        ClientMetric metric;
        metric.label = std::move(labels);
        if (families_.back().type == MetricType::Counter)
            metric.counter.value = value;
        else
            metric.gauge.value = value;
        families_.back().metric.push_back(std::move(metric));
        return *this;
    }
    // All that was measured, in seconds: the family's only value.
    Page& histogram(const char* name, const char* help, const DecisionStatistics& decisions) {
        begin(name, help, MetricType::Histogram);
        ClientMetric metric;
        for (std::size_t bucket = 0; bucket < decisions.counts.size(); ++bucket) {
            metric.histogram.sample_count += decisions.counts[bucket];
            const bool last = bucket + 1 == decisions.counts.size();
            metric.histogram.bucket.push_back(
                {metric.histogram.sample_count,
                 last ? HUGE_VAL : static_cast<double>(LatencyHistogram::limit_us(bucket)) / 1e6});
        }
        metric.histogram.sample_sum = static_cast<double>(decisions.sum_ns) / 1e9;
        families_.back().metric.push_back(std::move(metric));
        return *this;
    }
    Page& add(std::uint64_t value, Labels labels = {}) { return add(static_cast<double>(value), std::move(labels)); }
    [[nodiscard]] std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

private:
    Page& begin(const char* name, const char* help, MetricType type) {
        families_.push_back({name, help, type, {}});
        return *this;
    }
    std::vector<MetricFamily> families_;
};

Labels worker_label(std::size_t worker) { return {{"worker", fmt::to_string(worker)}}; }
double as_seconds(std::uint64_t ns) { return static_cast<double>(ns) / static_cast<double>(kNsPerSecond); }

std::string drops_help(const char* first) {
    std::string help = first;
    for (std::size_t reason = 1; reason < kDropReasons; ++reason) {
        const auto each = static_cast<DropReason>(reason);
        help += fmt::format("{} {}: {}", reason == 1 ? "" : ";", name_of(each), description_of(each));
    }
    return help;
}

// `name` of each worker.
void by_worker(Page& page, const Statistics& all, std::uint64_t WorkerStatistics::* value) {
    for (std::size_t worker = 0; worker < all.workers.size(); ++worker)
        page.add(all.workers[worker].*value, worker_label(worker));
}

void add_packets(Page& page, const Statistics& all) {
    using W = WorkerStatistics;
    by_worker(page.counter("spantape_packets_total", "Packets taken from the sources."), all, &W::packets);
    by_worker(page.counter("spantape_rtp_frames_total", "Packets that were RTP, whatever became of them."), all,
              &W::frames);
    by_worker(page.counter("spantape_frames_stored_total", "RTP frames of recorded streams, handed to the writer."),
              all, &W::stored);
    by_worker(page.gauge("spantape_frames_held", "RTP frames of streams that no call has claimed, kept for now."), all,
              &W::held);
    by_worker(page.counter("spantape_sip_packets_total", "UDP packets handed to the signalling thread."), all,
              &W::sip_messages);
    by_worker(page.counter("spantape_sip_tcp_segments_total", "TCP segments handed to the signalling thread."), all,
              &W::sip_segments);
    by_worker(page.counter("spantape_rtcp_reports_total", "RTCP packets that told something of a stream seen here."),
              all, &W::rtcp_reports);
    by_worker(page.gauge("spantape_fragments_held", "IP fragments that wait for the rest of their datagram."), all,
              &W::fragments_held);
    static const std::string help = drops_help("Packets that were not used, by reason:");
    page.counter("spantape_drops_total", help.c_str());
    for (std::size_t worker = 0; worker < all.workers.size(); ++worker)
        for (std::size_t reason = 1; reason < kDropReasons; ++reason)
            page.add(all.workers[worker].drops[reason],
                     {{"reason", std::string(name_of(static_cast<DropReason>(reason)))},
                      {"worker", fmt::to_string(worker)}});
}

void add_sources(Page& page, const Statistics& all) {
    std::map<std::string, SourceCounters> by_name;  // over all workers
    for (const SourceStatistics& source : all.sources) {
        SourceCounters& sum = by_name[source.name];
        sum.packets += source.counters.packets;
        sum.bytes += source.counters.bytes;
        sum.dropped_kernel += source.counters.dropped_kernel;
        sum.dropped_card += source.counters.dropped_card;
        sum.dropped_spread += source.counters.dropped_spread;
    }
    page.counter("spantape_source_packets_total", "Packets that a source delivered.");
    for (const auto& [name, sum] : by_name) page.add(sum.packets, {{"source", name}});
    page.counter("spantape_source_bytes_total", "Captured bytes that a source delivered.");
    for (const auto& [name, sum] : by_name) page.add(sum.bytes, {{"source", name}});
    page.counter("spantape_source_drops_total",
                 "Packets lost before a worker took them: in the kernel for want of room, in the card or its driver, "
                 "or between the worker that reads a port for all and the one it was for (spread).");
    for (const auto& [name, sum] : by_name) {
        page.add(sum.dropped_kernel, {{"source", name}, {"where", "kernel"}});
        page.add(sum.dropped_card, {{"source", name}, {"where", "card"}});
        page.add(sum.dropped_spread, {{"source", name}, {"where", "spread"}});
    }
    page.counter("spantape_source_unused_packets_total",
                 "The same packets as spantape_drops_total, by the source that delivered them; only reasons that "
                 "occurred; fragments are left out. Frames that waited for a call in vain count under the source that "
                 "began their stream.");
    for (const SourceDrops& source : all.source_drops)
        for (std::size_t reason = 1; reason < kDropReasons; ++reason)
            if (source.drops[reason] != 0)
                page.add(source.drops[reason],
                         {{"reason", std::string(name_of(static_cast<DropReason>(reason)))}, {"source", source.name}});
}

void add_streams(Page& page, const Statistics& all) {
    page.gauge("spantape_streams",
               "RTP streams now: look_back: of no call (yet); bound: of a call; closing: over, not all written yet.");
    for (std::size_t number = 0; number < all.workers.size(); ++number) {
        const WorkerStatistics& worker = all.workers[number];
        const auto labels = [&](const char* state) {
            return Labels{{"state", state}, {"worker", fmt::to_string(number)}};
        };
        page.add(worker.look_back, labels("look_back"));
        page.add(worker.bound, labels("bound"));
        page.add(worker.closing, labels("closing"));
    }
    by_worker(page.gauge("spantape_stream_slots", "Streams that there is room for."), all, &WorkerStatistics::slots);
    by_worker(page.counter("spantape_streams_opened_total", "RTP streams seen."), all,
              &WorkerStatistics::streams_opened);
}

void add_busy(Page& page, const Statistics& all) {
    page.counter("spantape_worker_busy_seconds_total", "Time in which a worker had something to do.");
    for (std::size_t worker = 0; worker < all.workers.size(); ++worker)
        page.add(as_seconds(all.workers[worker].busy_ns), worker_label(worker));
    page.counter("spantape_worker_idle_seconds_total", "Time in which a worker waited for packets.");
    for (std::size_t worker = 0; worker < all.workers.size(); ++worker)
        page.add(as_seconds(all.workers[worker].idle_ns), worker_label(worker));
}

void add_signalling(Page& page, const Statistics& all) {
    const SignallingStatistics& sip = all.signalling;
    page.counter("spantape_sip_messages_total",
                 "SIP messages: understood, malformed (looked like SIP), duplicate (mirrored twice or retransmitted).")
        .add(sip.messages, {{"result", "understood"}})
        .add(sip.malformed, {{"result", "malformed"}})
        .add(sip.duplicates, {{"result", "duplicate"}});
    page.counter("spantape_sip_out_of_dialog_total", "SIP messages understood that belong to no call.")
        .add(sip.out_of_dialog);
    page.counter("spantape_sip_tcp_connections_total", "TCP connections with SIP seen.").add(sip.tcp_connections);
    page.counter("spantape_sip_tcp_gaps_total", "Places where a segment of one was missing.").add(sip.tcp_gaps);
    page.counter("spantape_sip_tcp_resyncs_total", "Times that the beginning of a message had to be looked for.")
        .add(sip.tcp_resyncs);
    page.counter("spantape_sip_tcp_evicted_total", "Connections that gave way because there were too many.")
        .add(sip.tcp_evicted);
    page.gauge("spantape_sip_calls", "Calls that signalling follows.").add(sip.calls);
    page.counter("spantape_sip_calls_evicted_total", "Calls that gave way because too many were followed at once.")
        .add(sip.calls_evicted);
    by_worker(page.gauge("spantape_signalling_ring_used_bytes", "SIP on its way from a worker to signalling."), all,
              &WorkerStatistics::signalling_used_bytes);
    by_worker(page.gauge("spantape_signalling_ring_capacity_bytes", "What may be on that way at once."), all,
              &WorkerStatistics::signalling_capacity_bytes);
}

void add_rings(Page& page, const WriterStatistics& writer) {
    const auto permille = [](std::uint64_t value) { return static_cast<double>(value) / 1000; };
    page.gauge("spantape_rings_used_bytes", "What waited on the streams' rings when the writer last looked at all.")
        .add(writer.used_bytes);
    page.gauge("spantape_rings_capacity_bytes", "The size of those rings.").add(writer.capacity_bytes);
    page.gauge("spantape_ring_fill_max_ratio", "The fullest ring when the writer last looked at all.")
        .add(permille(writer.fullest_permille));
    page.gauge("spantape_ring_fill_worst_ratio", "The fullest ring since the start.")
        .add(permille(writer.worst_permille));
    page.gauge("spantape_rings", "Rings filled above one eighth less than, and up to, `fill`, when last looked at.");
    for (std::size_t step = 0; step < RingFill::kSteps; ++step)
        page.add(writer.rings_by_fill[step],
                 {{"fill", fmt::format("{:.3f}", static_cast<double>(step + 1) / RingFill::kSteps)}});
}

void add_writer(Page& page, const Statistics& all) {
    const WriterStatistics& writer = all.writer;
    add_rings(page, writer);
    page.counter("spantape_writer_chunks_total", "Chunks of audio written.").add(writer.chunks);
    page.counter("spantape_writer_frames_total", "RTP frames written.").add(writer.frames);
    page.counter("spantape_writer_bytes_total", "Bytes written to segments.").add(writer.bytes);
    page.counter("spantape_writer_documents_total", "Documents of recordings written.").add(writer.recordings);
    page.counter("spantape_writer_failures_total", "Writes to disk or index that failed and were tried again.")
        .add(writer.failures);
    page.gauge("spantape_queue_length", "Entries that wait in the queues between threads.")
        .add(writer.commands_waiting, {{"queue", "control_to_writer"}})
        .add(writer.events_waiting, {{"queue", "writer_to_control"}})
        .add(all.signalling.events_waiting, {{"queue", "signalling_to_control"}})
        .add(all.sum(&WorkerStatistics::events_waiting), {{"queue", "workers_to_control"}});
}

void add_problems(Page& page, const std::map<std::string, Problem>& problems) {
    auto& gauge = page.gauge("spantape_problem", "1 for each part that has a problem, though the appliance goes on.");
    for (const auto& [what, problem] : problems) gauge.add(std::uint64_t{1}, {{"part", what}});
    page.gauge("spantape_problems", "How many parts have a problem.").add(problems.size());
}

void add_assurance(Page& page, const Assurance::Counts& counts) {
    page.counter(
            "spantape_assurance_total",
            "Ended calls and their recordings: whole; short, which lack something; not recorded by decision of the "
            "schedule; unanswered and without media.")
        .add(counts.whole, {{"verdict", "whole"}})
        .add(counts.short_of, {{"verdict", "short"}})
        .add(counts.by_decision, {{"verdict", "by_decision"}})
        .add(counts.unanswered, {{"verdict", "unanswered"}});
    std::string help = "What those that are short lack;";
    for (std::size_t reason = 0; reason < kShortfalls; ++reason) {
        const auto each = static_cast<Shortfall>(reason);
        help += fmt::format("{} {}: {}", reason == 0 ? "" : ";", name_of(each), description_of(each));
    }
    page.counter("spantape_assurance_shortfalls_total", help.c_str());
    for (std::size_t reason = 0; reason < kShortfalls; ++reason)
        page.add(counts.by_reason[reason], {{"reason", std::string(name_of(static_cast<Shortfall>(reason)))}});
}

void add_archive(Page& page, const ArchiveCounts& archive) {
    page.counter("spantape_archived_total", "Copies of recordings that archive actions made.").add(archive.archived);
    page.counter("spantape_archive_moved_total", "Of those, recordings that were taken from the store then.")
        .add(archive.moved);
    page.counter("spantape_archive_expired_total", "Copies removed from archives after their keep days.")
        .add(archive.expired);
    page.counter("spantape_archive_failures_total", "Attempts to archive a recording that failed; they are repeated.")
        .add(archive.failed);
    page.gauge("spantape_archive_waiting", "Recordings still to be archived, counted to 10,000 for each action.")
        .add(archive.waiting);
    page.gauge("spantape_archive_unknown_action", "Recordings that name an archive action that there is not.")
        .add(archive.unknown_action);
    page.gauge("spantape_archive_failing_targets", "Archive actions whose target cannot be written to.")
        .add(archive.failing_targets);
}

void add_control(Page& page, const Statistics& all) {
    const ControlStatistics& control = all.control;
    page.gauge("spantape_calls", "Calls going on, one for each of our devices in it.").add(control.calls);
    page.gauge("spantape_devices", "Devices known.").add(control.devices);
    page.gauge("spantape_channels_in_use", "Recording channels in use.").add(control.channels_in_use);
    page.gauge("spantape_channels", "Recording channels that there are (recording.channels).").add(control.channels);
    page.counter("spantape_recordings_completed_total", "Recordings complete, durable and indexed.")
        .add(control.recordings_completed);
    if (!all.servers) return;
    const api::ServerCounters& api = *all.servers;
    page.gauge("spantape_api_clients", "Connections to the XML API, the event stream and the WebAPI.").add(api.clients);
    page.gauge("spantape_api_subscribers", "Of them, those that take events.").add(api.subscribers);
    page.counter("spantape_api_requests_total", "Requests to the XML API and the WebAPI.").add(api.requests);
    page.counter("spantape_api_broken_requests_total", "Requests that could not be read.").add(api.broken_requests);
    page.counter("spantape_api_refused_total", "Connections refused because there were too many.").add(api.refused);
    page.counter("spantape_api_events_total", "Events published.").add(api.events);
    page.counter("spantape_api_subscribers_cut_total", "Subscribers cut off because they did not read.")
        .add(api.subscribers_cut);
}

// The names that Prometheus's own client libraries use.
void add_process(Page& page) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto time_s = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    page.counter("process_cpu_seconds_total", "Processor time of this process, user and system.")
        .add(time_s(usage.ru_utime) + time_s(usage.ru_stime));
    std::uint64_t virtual_pages = 0, resident_pages = 0;
    if (std::ifstream statm("/proc/self/statm"); statm >> virtual_pages >> resident_pages)
        page.gauge("process_resident_memory_bytes", "Memory of this process that is in RAM.")
            .add(resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
    std::error_code error;
    const std::filesystem::directory_iterator files("/proc/self/fd", error);
    if (!error)
        page.gauge("process_open_fds", "Files and sockets that this process has open.")
            .add(static_cast<std::uint64_t>(std::distance(begin(files), end(files))));
}

}  // namespace

std::string metrics_text(const Statistics& statistics) {
    Page page;
    page.gauge("spantape_build_info", "Always 1; says which version runs.")
        .add(std::uint64_t{1}, {{"version", SPANTAPE_VERSION}});
    page.gauge("spantape_uptime_seconds", "Time since the start.").add(statistics.uptime_s);
    add_packets(page, statistics);
    add_sources(page, statistics);
    add_streams(page, statistics);
    add_busy(page, statistics);
    page.histogram("spantape_decision_seconds", "From a SIP message to its media being claimed by a worker.",
                   statistics.decisions);
    add_signalling(page, statistics);
    add_writer(page, statistics);
    add_control(page, statistics);
    add_problems(page, statistics.problems);
    add_assurance(page, statistics.assurance);
    add_archive(page, statistics.archive);
    add_process(page);
    return page.text();
}

}  // namespace spantape
