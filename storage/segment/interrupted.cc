// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/interrupted.h"

#include <algorithm>

#include "capture/rtp/payload_clock.h"

namespace spantape {

namespace {

constexpr TimeNs kUsualPacketNs = 20 * kNsPerMs;

FlowKey flow_of(const ChunkHeader& header) {
    FlowKey flow;
    flow.source = {{header.source_ip}, header.source_port};
    flow.destination = {{header.destination_ip}, header.destination_port};
    flow.ssrc = header.ssrc;
    return flow;
}

// Capture times can be anything: sums and differences stop at the ends of time.
TimeNs plus(TimeNs time, TimeNs ns) {
    TimeNs sum = 0;
    return __builtin_add_overflow(time, ns, &sum) ? (ns < 0 ? INT64_MIN : INT64_MAX) : sum;
}
TimeNs minus(TimeNs time, TimeNs earlier) {
    TimeNs difference = 0;
    return __builtin_sub_overflow(time, earlier, &difference) ? (earlier > 0 ? INT64_MIN : INT64_MAX) : difference;
}

Side opposite(Side side) { return side == Side::device ? Side::far : Side::device; }

Side guess_side(const std::vector<RecordedStream>& known, const FlowKey& flow) {
    for (const RecordedStream& other : known) {
        if (other.flow.source == flow.destination && other.flow.destination == flow.source) return opposite(other.side);
    }
    for (const RecordedStream& other : known) {
        if (other.flow.source.ip == flow.source.ip) return other.side;
    }
    return known.empty() ? Side::device : opposite(known.front().side);
}

// RTP clock of a payload type: as the call said, else by RFC 3551 §6; 0 when unknown.
std::uint32_t clock_rate_hz(const RecordedStream& stream, std::uint8_t payload_type) {
    const auto mapped = std::ranges::find(stream.payloads, payload_type, &PayloadMapping::payload_type);
    if (mapped != stream.payloads.end()) return mapped->clock_rate_hz;
    return static_clock_rate_hz(payload_type);
}

TimeNs to_ns(std::uint32_t units, std::uint32_t rate_hz) {
    return static_cast<TimeNs>(units * static_cast<std::uint64_t>(kNsPerSecond) / rate_hz);
}

// How much audio one packet holds: the mean spacing in the last chunk, if it is one that phones use.
TimeNs packet_ns(const ChunkHeader& last, std::uint32_t rate_hz) {
    if (rate_hz == 0 || last.frames < 2) return kUsualPacketNs;
    const TimeNs spacing = to_ns((last.last_timestamp - last.first_timestamp) / (last.frames - 1), rate_hz);
    return spacing >= 5 * kNsPerMs && spacing <= 120 * kNsPerMs ? spacing : kUsualPacketNs;
}

TimeNs extent_ns(const ChunkHeader& last, std::uint32_t rate_hz, TimeNs packet) {
    const TimeNs by_arrival = plus(std::max<TimeNs>(minus(last.last_ns, last.stream_first_ns), 0), packet);
    if (rate_hz == 0) return by_arrival;
    const TimeNs by_timestamp = to_ns(last.last_timestamp - last.stream_first_timestamp, rate_hz) + packet;
    // Timestamps that restarted or stood still over a silence say nothing of the stream as a whole.
    const bool plausible = by_timestamp <= plus(by_arrival, kNsPerSecond) && by_timestamp >= by_arrival / 2;
    return plausible ? by_timestamp : by_arrival;
}

void take_larger(StreamCounters& counters, const ChunkCounters& other) {
    counters.stored = std::max(counters.stored, other.stored);
    counters.lost_before = std::max(counters.lost_before, other.lost_before);
    counters.dropped_us = std::max(counters.dropped_us, other.dropped_us);
    counters.duplicates = std::max(counters.duplicates, other.duplicates);
    counters.blacked_out = std::max(counters.blacked_out, other.blacked_out);
    counters.payload_bytes = std::max(counters.payload_bytes, other.payload_bytes);
}

}  // namespace

void add_missing_streams(Recording& recording, std::vector<const ChunkHeader*> found) {
    std::ranges::sort(found, {},
                      [](const ChunkHeader* header) { return std::pair(header->stream_first_ns, header->stream_id); });
    for (const ChunkHeader* header : found) {
        if (std::ranges::count(recording.streams, header->stream_id, &RecordedStream::stream_id) > 0) continue;
        RecordedStream stream;
        stream.stream_id = header->stream_id;
        stream.flow = flow_of(*header);
        stream.side = guess_side(recording.streams, stream.flow);
        // The same call: its payload types most likely mean the same.
        if (!recording.streams.empty()) stream.payloads = recording.streams.front().payloads;
        recording.streams.push_back(std::move(stream));
    }
}

void update_from_tail(Recording& recording, RecordedStream& stream, const ChunkHeader& last) {
    take_larger(stream.counters, last.counters);
    if (last.counters.stored == 0) return;  // marks only
    const std::uint32_t rate_hz = clock_rate_hz(stream, last.last_payload_type);
    const TimeNs packet = packet_ns(last, rate_hz);
    if (stream.start_ns == 0) stream.start_ns = last.stream_first_ns;
    if (stream.duration_ns == 0) stream.duration_ns = extent_ns(last, rate_hz, packet);
    recording.stop_ns = std::max(recording.stop_ns, plus(last.last_ns, packet));
}

void mark_interrupted(Recording& recording) {
    if (recording.start_ns == 0) {
        for (const RecordedStream& stream : recording.streams) {
            if (stream.start_ns == 0) continue;
            recording.start_ns =
                recording.start_ns == 0 ? stream.start_ns : std::min(recording.start_ns, stream.start_ns);
        }
    }
    recording.stop_ns = std::max(recording.stop_ns, recording.start_ns);
    for (BlackoutWindow& window : recording.blackouts) window.to_ns = std::min(window.to_ns, recording.stop_ns);
    for (RecordedStream& stream : recording.streams) {  // sealed with more than is there, if at all
        stream.chunks = 0;
        stream.seal.clear();
    }
    recording.state = RecordingState::interrupted;
    recording.ended_by = "crash";
}

}  // namespace spantape
