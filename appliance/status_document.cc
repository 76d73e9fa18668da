// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/status_document.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "api/functions/manual_time.h"

namespace spantape {

namespace {

using Elements = std::vector<api::Element>;

void add(Elements& to, std::string name, std::uint64_t value) {
    to.push_back({std::move(name), fmt::to_string(value), {}});
}

void add_drops(Elements& to, const Drops& drops, bool all) {
    for (std::size_t reason = 1; reason < kDropReasons; ++reason) {
        if (!all && drops[reason] == 0) continue;
        std::string name = "DROP_" + std::string(name_of(static_cast<DropReason>(reason)));
        std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
        add(to, std::move(name), drops[reason]);
    }
}

void add_sums(Elements& to, const Statistics& all) {
    using W = WorkerStatistics;
    to.push_back({"VERSION", SPANTAPE_VERSION, {}});
    add(to, "UPTIMESECONDS", static_cast<std::uint64_t>(all.uptime_s));
    add(to, "WORKERS", all.workers.size());
    add(to, "PACKETS", all.sum(&W::packets));
    add(to, "RTPFRAMES", all.sum(&W::frames));
    add(to, "FRAMESSTORED", all.sum(&W::stored));
    add(to, "FRAMESHELD", all.sum(&W::held));
    add(to, "SIPMESSAGES", all.sum(&W::sip_messages));
    add(to, "RTCPREPORTS", all.sum(&W::rtcp_reports));
    add(to, "SIPTCPSEGMENTS", all.sum(&W::sip_segments));
    add(to, "FRAGMENTSHELD", all.sum(&W::fragments_held));
    add(to, "STREAMS", all.sum(&W::streams_opened));
    add(to, "STREAMSLOOKBACK", all.sum(&W::look_back));
    add(to, "STREAMSBOUND", all.sum(&W::bound));
    add(to, "STREAMSCLOSING", all.sum(&W::closing));
    add(to, "STREAMSLOTS", all.sum(&W::slots));
    add_drops(to, all.drops(), true);
    add(to, "DECISIONP50US", all.decisions.quantile_us(0.5));
    add(to, "DECISIONP99US", all.decisions.quantile_us(0.99));
}

void add_signalling_and_writer(Elements& to, const Statistics& all) {
    add(to, "SIPUNDERSTOOD", all.signalling.messages);
    add(to, "SIPMALFORMED", all.signalling.malformed);
    add(to, "SIPDUPLICATES", all.signalling.duplicates);
    add(to, "SIPOUTOFDIALOG", all.signalling.out_of_dialog);
    add(to, "SIPTCPCONNECTIONS", all.signalling.tcp_connections);
    add(to, "SIPTCPGAPS", all.signalling.tcp_gaps);
    add(to, "SIPTCPRESYNCS", all.signalling.tcp_resyncs);
    add(to, "SIPTCPEVICTED", all.signalling.tcp_evicted);
    add(to, "SIPCALLS", all.signalling.calls);
    add(to, "SIPCALLSEVICTED", all.signalling.calls_evicted);
    add(to, "SIPBACKLOGBYTES", all.sum(&WorkerStatistics::signalling_used_bytes));
    add(to, "SIPBACKLOGEVENTS", all.signalling.events_waiting);
    const WriterStatistics& writer = all.writer;
    add(to, "CHUNKSWRITTEN", writer.chunks);
    add(to, "FRAMESWRITTEN", writer.frames);
    add(to, "BYTESWRITTEN", writer.bytes);
    add(to, "DOCUMENTSWRITTEN", writer.recordings);
    add(to, "STORAGEFAILURES", writer.failures);
    add(to, "WRITERBACKLOGCOMMANDS", writer.commands_waiting);
    add(to, "RINGSUSEDBYTES", writer.used_bytes);
    add(to, "RINGSCAPACITYBYTES", writer.capacity_bytes);
    add(to, "RINGFILLMAXPERMILLE", writer.fullest_permille);
    add(to, "RINGFILLWORSTPERMILLE", writer.worst_permille);
}

void add_control(Elements& to, const Statistics& all) {
    add(to, "CALLSACTIVE", all.control.calls);
    add(to, "DEVICES", all.control.devices);
    add(to, "CHANNELSINUSE", all.control.channels_in_use);
    add(to, "CHANNELS", all.control.channels);
    add(to, "RECORDINGSCOMPLETED", all.control.recordings_completed);
    add(to, "RECORDINGSWHOLE", all.assurance.whole);
    add(to, "RECORDINGSSHORT", all.assurance.short_of);
    add(to, "ARCHIVED", all.archive.archived);
    add(to, "ARCHIVEMOVED", all.archive.moved);
    add(to, "ARCHIVEEXPIRED", all.archive.expired);
    add(to, "ARCHIVEFAILURES", all.archive.failed);
    add(to, "ARCHIVEWAITING", all.archive.waiting);
    add(to, "ARCHIVEUNKNOWNACTION", all.archive.unknown_action);
    add(to, "ARCHIVEFAILINGTARGETS", all.archive.failing_targets);
    if (!all.servers) return;
    add(to, "APICLIENTS", all.servers->clients);
    add(to, "APISUBSCRIBERS", all.servers->subscribers);
    add(to, "APIREQUESTS", all.servers->requests);
    add(to, "APIBROKENREQUESTS", all.servers->broken_requests);
    add(to, "APIREFUSED", all.servers->refused);
    add(to, "APIEVENTS", all.servers->events);
    add(to, "APISUBSCRIBERSCUT", all.servers->subscribers_cut);
}

api::Element worker_section(std::size_t number, const WorkerStatistics& worker, const Rates::WorkerRates& rates) {
    api::Element section{"WORKER", {}, {}};
    Elements& to = section.children;
    add(to, "NUMBER", number);
    add(to, "PACKETS", worker.packets);
    add(to, "PACKETRATE", static_cast<std::uint64_t>(std::llround(rates.packets_per_s)));
    add(to, "BUSYPERCENT", static_cast<std::uint64_t>(std::llround(rates.busy_share * 100)));
    add(to, "RTPFRAMES", worker.frames);
    add(to, "FRAMESSTORED", worker.stored);
    add(to, "FRAMESHELD", worker.held);
    add(to, "SIPMESSAGES", worker.sip_messages);
    add(to, "STREAMSLOOKBACK", worker.look_back);
    add(to, "STREAMSBOUND", worker.bound);
    add(to, "STREAMSCLOSING", worker.closing);
    add(to, "STREAMSLOTS", worker.slots);
    add_drops(to, worker.drops, false);
    return section;
}

api::Element source_section(const SourceStatistics& source) {
    api::Element section{"SOURCE", {}, {{"NAME", source.name, {}}}};
    add(section.children, "WORKER", source.worker);
    add(section.children, "PACKETS", source.counters.packets);
    add(section.children, "BYTES", source.counters.bytes);
    add(section.children, "DROPPEDKERNEL", source.counters.dropped_kernel);
    add(section.children, "DROPPEDCARD", source.counters.dropped_card);
    add(section.children, "DROPPEDSPREAD", source.counters.dropped_spread);
    section.children.push_back({"ERROR", source.error, {}});
    return section;
}

}  // namespace

std::vector<api::Element> problem_sections(const std::map<std::string, Problem>& problems) {
    Elements out;
    for (const auto& [what, problem] : problems)
        out.push_back({"PROBLEM",
                       {},
                       {{"NAME", what, {}},
                        {"SINCE", api::manual_time_with_offset(problem.since_ns), {}},
                        {"MESSAGE", problem.message, {}}}});
    return out;
}

std::vector<api::Element> status_document(const Statistics& statistics, const Rates& rates) {
    Elements out;
    add_sums(out, statistics);
    add_signalling_and_writer(out, statistics);
    add_control(out, statistics);
    std::ranges::move(problem_sections(statistics.problems), std::back_inserter(out));
    for (std::size_t worker = 0; worker < statistics.workers.size(); ++worker)
        out.push_back(worker_section(worker, statistics.workers[worker], rates.of(worker)));
    for (const SourceStatistics& source : statistics.sources) out.push_back(source_section(source));
    for (const SourceDrops& source : statistics.source_drops) {
        api::Element section{"SOURCEDROPS", {}, {{"NAME", source.name, {}}}};
        add_drops(section.children, source.drops, false);
        if (section.children.size() > 1) out.push_back(std::move(section));
    }
    return out;
}

}  // namespace spantape
