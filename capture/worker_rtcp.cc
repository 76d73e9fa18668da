// SPDX-License-Identifier: AGPL-3.0-or-later
// RTCP on the worker: what the far end says of a stream goes to that stream's quality.
#include "capture/worker.h"

namespace spantape {

namespace {

// A report travels from where a stream is received (the same port, RFC 5761, or the next one, RFC 3550 §11) …
bool comes_from_receiver(const FlowKey& stream, const Datagram& rtcp) {
    const auto port = rtcp.source.port;
    return stream.destination.ip == rtcp.source.ip &&
           (stream.destination.port == port || stream.destination.port + 1 == port);
}

// … to where it is sent from.
bool goes_to_sender(const FlowKey& stream, const Datagram& rtcp) { return stream.source.ip == rtcp.destination.ip; }

std::uint32_t middle_bits(std::uint64_t ntp_time) { return static_cast<std::uint32_t>(ntp_time >> 16); }

// From a sender report's coming by to that of the answer to it, without the time the receiver took; 0: not to be told.
std::uint32_t round_trip_us(const Stream& stream, const RtcpReportBlock& block, TimeNs now_ns) {
    constexpr std::uint64_t kLongestNs = 60 * std::uint64_t{kNsPerSecond};
    if (block.last_sr == 0 || block.last_sr != stream.sender_report) return 0;
    const auto passed_ns = static_cast<std::uint64_t>(now_ns) - static_cast<std::uint64_t>(stream.sender_report_ns);
    const std::uint64_t held_ns = std::uint64_t{block.delay_since_last_sr} * kNsPerSecond >> 16;
    if (passed_ns > kLongestNs || held_ns > passed_ns) return 0;
    return static_cast<std::uint32_t>((passed_ns - held_ns) / 1000);
}

}  // namespace

void Worker::take_rtcp(const Datagram& datagram) {
    RtcpReports reports;
    if (!read_rtcp(datagram.payload, reports)) return drop(DropReason::bad_rtcp, datagram.source_index);
    bool used = false;
    for (const RtcpReportBlock& block : reports.blocks()) used |= take_report(block, datagram);
    for (const RtcpSenderInfo& sender : reports.senders()) used |= take_sender(sender, datagram);
    if (!used) return drop(DropReason::rtcp, datagram.source_index);
    counters_.rtcp_reports.add();
}

// The stream that a block is about: the one that is sent to the reporter, the newest where several are; failing that
// (NAT, other ports) the only one of that SSRC from where the report goes.
bool Worker::take_report(const RtcpReportBlock& block, const Datagram& datagram) {
    Stream* exact = nullptr;
    Stream* likely = nullptr;
    std::size_t likely_count = 0;
    pool_.for_each_ssrc(block.ssrc, [&](std::uint32_t slot) {
        Stream& stream = pool_.at(slot);
        if (stream.key.ssrc != block.ssrc) return;
        if (comes_from_receiver(stream.key, datagram)) {
            if (exact == nullptr || stream.last_arrival_ns > exact->last_arrival_ns) exact = &stream;
        } else if (goes_to_sender(stream.key, datagram)) {
            likely = &stream;
            ++likely_count;
        }
    });
    Stream* stream = exact != nullptr ? exact : likely_count == 1 ? likely : nullptr;
    if (stream == nullptr) return false;
    StreamQuality& quality = stream->quality;
    ++quality.far_reports;
    quality.far_lost = block.cumulative_lost;
    quality.far_fraction = block.fraction_lost;
    quality.far_jitter_units = block.jitter_units;
    if (const std::uint32_t us = round_trip_us(*stream, block, datagram.time_ns)) quality.round_trip_us = us;
    return true;
}

bool Worker::take_sender(const RtcpSenderInfo& sender, const Datagram& datagram) {
    bool found = false;
    pool_.for_each_ssrc(sender.ssrc, [&](std::uint32_t slot) {
        Stream& stream = pool_.at(slot);
        if (stream.key.ssrc != sender.ssrc || stream.key.source.ip != datagram.source.ip ||
            stream.key.destination.ip != datagram.destination.ip)
            return;
        stream.sender_report = middle_bits(sender.ntp_time);
        stream.sender_report_ns = datagram.time_ns;
        found = true;
    });
    return found;
}

}  // namespace spantape
