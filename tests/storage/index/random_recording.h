// SPDX-License-Identifier: AGPL-3.0-or-later
// Recordings with anything in them, and whether two are the same member by member.
#pragma once

#include <limits>
#include <random>
#include <string>
#include <tuple>

#include "storage/recording.h"

namespace spantape::index_test {

using Random = std::mt19937_64;

template <class Integer>
Integer any_integer(Random& random) {
    constexpr Integer kLow = std::numeric_limits<Integer>::min();
    constexpr Integer kHigh = std::numeric_limits<Integer>::max();
    switch (random() % 4) {
        case 0:
            return kLow;
        case 1:
            return kHigh;
        case 2:
            return static_cast<Integer>(random() % 100);
        default:
            return static_cast<Integer>(random());
    }
}

// Valid UTF-8 with what needs care in JSON: quotes, controls, NUL, several bytes a character.
inline std::string any_text(Random& random) {
    constexpr std::string_view kPieces[] = {"a", "Z", "0", " ", "\"", "\\", "/", "\n", "\x7f", "ü", "漢", "😀", "&<>"};
    std::string text;
    for (std::size_t length = random() % 12; length > 0; --length) text += kPieces[random() % std::size(kPieces)];
    if (random() % 8 == 0) text.push_back('\0');
    return text;
}

inline Endpoint any_endpoint(Random& random) {
    std::array<std::uint8_t, 16> bytes{};
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return {random() % 2 == 0 ? IpAddress::from_v4(bytes.data()) : IpAddress::from_v6(bytes.data()),
            any_integer<std::uint16_t>(random)};
}

inline RecordedStream any_stream(Random& random) {
    RecordedStream stream;
    stream.stream_id = any_integer<std::uint64_t>(random);
    stream.flow = {any_endpoint(random), any_endpoint(random), any_integer<std::uint32_t>(random)};
    stream.side = random() % 2 == 0 ? Side::device : Side::far;
    stream.relay_copy = random() % 2 == 0;
    stream.encryption = static_cast<StreamEncryption>(random() % 3);
    for (std::size_t count = random() % 4; count > 0; --count)
        stream.payloads.push_back({any_integer<std::uint8_t>(random), any_text(random),
                                   any_integer<std::uint32_t>(random), any_integer<std::uint8_t>(random),
                                   any_text(random)});
    stream.start_ns = any_integer<TimeNs>(random);
    stream.duration_ns = any_integer<TimeNs>(random);
    for (auto* counter : {&stream.counters.stored, &stream.counters.lost_before, &stream.counters.dropped_us,
                          &stream.counters.duplicates, &stream.counters.blacked_out, &stream.counters.payload_bytes,
                          &stream.counters.undecryptable})
        *counter = any_integer<std::uint64_t>(random);
    StreamQuality& quality = stream.quality;
    quality.jitter_known = random() % 2 == 0;
    quality.far_lost = any_integer<std::int32_t>(random);
    quality.far_fraction = any_integer<std::uint8_t>(random);
    for (auto* count : {&quality.loss_bursts, &quality.lost_capture}) *count = any_integer<std::uint64_t>(random);
    for (auto* value : {&quality.jitter_us, &quality.max_jitter_us, &quality.far_reports, &quality.far_jitter_units,
                        &quality.round_trip_us})
        *value = any_integer<std::uint32_t>(random);
    return stream;
}

inline Recording any_recording(Random& random) {
    Recording recording;
    recording.ident = any_integer<std::uint64_t>(random);
    recording.core_id = any_integer<std::uint32_t>(random);
    recording.session_id = any_integer<std::uint64_t>(random);
    recording.state = static_cast<RecordingState>(random() % 3);
    recording.start_ns = any_integer<TimeNs>(random);
    recording.stop_ns = any_integer<TimeNs>(random);
    for (std::string* text : {&recording.global_call_id, &recording.ended_by, &recording.device_id,
                              &recording.device_alias, &recording.sys_user, &recording.crm_user, &recording.station,
                              &recording.group, &recording.gate, &recording.ani, &recording.dnis, &recording.call_id,
                              &recording.call_instance, &recording.direction, &recording.filename})
        *text = any_text(random);
    for (std::string& user : recording.user) user = any_text(random);
    recording.agent_id = any_integer<std::int64_t>(random);
    recording.priority = any_integer<std::int32_t>(random);
    recording.keep_days = any_integer<std::int32_t>(random);
    recording.archive_action = any_integer<std::int64_t>(random);
    recording.channel = any_integer<std::uint32_t>(random);
    recording.agent_initiated = random() % 2 == 0;
    recording.cti_initiated = random() % 2 == 0;
    for (std::size_t count = random() % 4; count > 0; --count) recording.streams.push_back(any_stream(random));
    for (std::size_t count = random() % 3; count > 0; --count)
        recording.blackouts.push_back({any_integer<TimeNs>(random), any_integer<TimeNs>(random)});
    recording.redacted = any_integer<std::uint64_t>(random);
    recording.dropped_kernel = any_integer<std::uint64_t>(random);
    return recording;
}

inline bool same(const PayloadMapping& a, const PayloadMapping& b) {
    const auto members = [](const PayloadMapping& p) {
        return std::tie(p.payload_type, p.encoding, p.clock_rate_hz, p.channels, p.format);
    };
    return members(a) == members(b);
}

inline bool same(const RecordedStream& a, const RecordedStream& b) {
    const auto members = [](const RecordedStream& s) {
        const StreamCounters& c = s.counters;
        return std::tie(s.stream_id, s.flow, s.side, s.relay_copy, s.start_ns, s.duration_ns, c.stored, c.lost_before,
                        c.dropped_us, c.duplicates, c.blacked_out, c.payload_bytes, c.undecryptable, s.encryption);
    };
    return members(a) == members(b) && a.quality == b.quality &&
           std::equal(a.payloads.begin(), a.payloads.end(), b.payloads.begin(), b.payloads.end(),
                      [](const auto& x, const auto& y) { return same(x, y); });
}

inline bool same(const Recording& a, const Recording& b) {
    const auto members = [](const Recording& r) {
        return std::tie(r.ident, r.global_call_id, r.core_id, r.session_id, r.state, r.ended_by, r.start_ns, r.stop_ns,
                        r.device_id, r.device_alias, r.sys_user, r.crm_user, r.station, r.group, r.gate, r.ani, r.dnis,
                        r.call_id, r.call_instance, r.user, r.direction, r.filename, r.agent_id, r.priority,
                        r.keep_days, r.archive_action, r.channel, r.agent_initiated, r.cti_initiated, r.dropped_kernel,
                        r.blackouts, r.redacted);
    };
    return members(a) == members(b) &&
           std::equal(a.streams.begin(), a.streams.end(), b.streams.begin(), b.streams.end(),
                      [](const auto& x, const auto& y) { return same(x, y); });
}

}  // namespace spantape::index_test
