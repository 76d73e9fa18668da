// SPDX-License-Identifier: AGPL-3.0-or-later
// The public form of a recording: what `spantape record|calls --json` print. Times are plain decimals with up to six
// digits after the point; a JSON library would print a double of this size as 1.7E9.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "storage/e_model.h"
#include "storage/recording.h"

namespace spantape {

namespace {

std::string quoted(std::string_view text) { return boost::json::serialize(boost::json::string(valid_utf8(text))); }

// Seconds to the microsecond, at least one digit after the point: "1700000000.25", "12.0", "-0.5".
std::string plain_seconds(TimeNs time_ns) {
    constexpr std::uint64_t kNsPerUs = 1000;
    constexpr std::uint64_t kUsPerSecond = 1'000'000;
    const bool negative = time_ns < 0;
    const std::uint64_t absolute_ns =
        negative ? ~static_cast<std::uint64_t>(time_ns) + 1 : static_cast<std::uint64_t>(time_ns);
    const std::uint64_t us = (absolute_ns + kNsPerUs / 2) / kNsPerUs;
    std::string digits = fmt::format("{}{}.{:06}", negative && us > 0 ? "-" : "", us / kUsPerSecond, us % kUsPerSecond);
    while (digits.ends_with('0') && !digits.ends_with(".0")) digits.pop_back();
    return digits;
}

// One JSON object, member by member.
class ObjectText {
public:
    void member(std::string_view name, std::string_view value) {
        text_ += fmt::format("{}\"{}\":{}", text_.empty() ? "{" : ",", name, value);
    }
    void member(std::string_view name, std::uint64_t value) { member(name, fmt::to_string(value)); }
    void text(std::string_view name, std::string_view value) { member(name, quoted(value)); }
    [[nodiscard]] std::string take() && { return std::move(text_) + "}"; }

private:
    std::string text_;
};

std::string_view name_of(RecordingState state) {
    switch (state) {
        case RecordingState::recording:
            return "recording";
        case RecordingState::stored:
            return "stored";
        case RecordingState::interrupted:
            return "interrupted";
    }
    return "recording";
}

std::string_view name_of(StreamEncryption encryption) {
    switch (encryption) {
        case StreamEncryption::none:
            return "none";
        case StreamEncryption::srtp:
            return "srtp";
        case StreamEncryption::srtp_no_key:
            return "srtp, no key";
    }
    return "none";
}

// What the stream's audio is coded with.
const PayloadMapping* audio_payload(const RecordedStream& stream) {
    const auto found = std::ranges::find_if(stream.payloads, is_audio);
    return found == stream.payloads.end() ? nullptr : &*found;
}

std::string plain_ms(double ms) { return fmt::format("{:.3f}", ms); }

// What was lost of everyone's, and how it sounded: each member only where it is known.
void put_quality(const RecordedStream& stream, const PayloadMapping* payload, ObjectText& object) {
    const StreamQuality& quality = stream.quality;
    if (arrived(stream.counters) != 0) object.member("lost", stream.counters.lost_before);
    if (quality.jitter_known) {
        object.member("jitter_ms", plain_ms(quality.jitter_us / 1000.0));
        object.member("max_jitter_ms", plain_ms(quality.max_jitter_us / 1000.0));
    }
    if (payload != nullptr)
        if (const auto mos = mean_opinion_score(payload->encoding, stream.counters, quality))
            object.member("mos", fmt::format("{:.2f}", *mos));
    if (quality.far_reports != 0) object.member("far_lost", fmt::to_string(quality.far_lost));
    if (quality.far_reports != 0 && payload != nullptr && payload->clock_rate_hz != 0)
        object.member("far_jitter_ms", plain_ms(quality.far_jitter_units * 1000.0 / payload->clock_rate_hz));
    if (quality.round_trip_us != 0) object.member("round_trip_ms", plain_ms(quality.round_trip_us / 1000.0));
}

std::string public_json(const RecordedStream& stream) {
    ObjectText object;
    object.text("ssrc", fmt::format("0x{:08X}", stream.flow.ssrc));
    object.text("source", stream.flow.source.to_string());
    object.text("destination", stream.flow.destination.to_string());
    const PayloadMapping* payload = audio_payload(stream);
    object.text("codec", payload != nullptr ? std::string_view(payload->encoding) : "unknown");
    if (payload != nullptr) object.member("clock_rate", payload->clock_rate_hz);
    object.text("encryption", name_of(stream.encryption));
    object.text("side", stream.side == Side::device ? "device" : "far");
    if (stream.relay_copy) object.member("relay_copy", "true");
    object.member("packets", stream.counters.stored);
    put_quality(stream, payload, object);
    object.member("start", plain_seconds(stream.start_ns));
    object.member("duration", plain_seconds(stream.duration_ns));
    return std::move(object).take();
}

std::string ledger(const Recording& recording) {
    StreamCounters sum;
    std::uint64_t lost_capture = 0;
    for (const RecordedStream& stream : recording.streams) {
        sum.stored += stream.counters.stored;
        const std::uint64_t ours = std::min(stream.quality.lost_capture, stream.counters.lost_before);
        sum.lost_before += stream.counters.lost_before - ours;
        lost_capture += ours;
        sum.dropped_us += stream.counters.dropped_us;
        sum.duplicates += stream.counters.duplicates;
        sum.blacked_out += stream.counters.blacked_out;
        sum.undecryptable += stream.counters.undecryptable;
    }
    // What was taken off the disk again had been counted as stored.
    sum.stored -= std::min(sum.stored, recording.redacted);
    sum.blacked_out += recording.redacted;
    ObjectText object;
    object.member("stored", sum.stored);
    object.member("lost_before", sum.lost_before);
    object.member("dropped_kernel", lost_capture);
    object.member("dropped_us", sum.dropped_us);
    object.member("duplicates", sum.duplicates);
    object.member("blacked_out", sum.blacked_out);
    object.member("undecryptable", sum.undecryptable);
    return std::move(object).take();
}

// Columns that are numbers in the manual's table; the others are texts.
bool is_numeric(std::string_view name) {
    constexpr std::array kNumeric{"agent_id", "archive_action_id", "channel", "ident", "keepdays", "priority"};
    return std::ranges::find(kNumeric, name) != kNumeric.end();
}

void put_columns(const Recording& recording, ObjectText& object) {
    for (const std::string_view name : column_names()) {
        if (name == "ident" || name == "recording_time" || name == "duration") continue;  // given in their own form
        const std::string value = column(recording, name).value;
        if (!is_numeric(name))
            object.text(name, value);
        else if (!value.empty())  // a number that the recording does not have is left out
            object.member(name, value);
    }
}

}  // namespace

std::string to_public_json(const Recording& recording) {
    ObjectText object;
    object.member("ident", recording.ident);
    put_columns(recording, object);
    object.member("recording_time", plain_seconds(recording.start_ns));
    object.member("duration", plain_seconds(recording.duration_ns()));
    object.text("state", name_of(recording.state));
    object.text("ended_by", recording.ended_by);
    object.text("schedule_rule", recording.schedule_rule);
    object.member("ledger", ledger(recording));
    object.member("source_drops", recording.dropped_kernel);
    std::string blackouts;
    for (const BlackoutWindow& window : recording.blackouts) {
        ObjectText each;
        each.member("from", plain_seconds(window.from_ns));
        if (window.to_ns != INT64_MAX) each.member("to", plain_seconds(window.to_ns));
        blackouts += fmt::format("{}{}", blackouts.empty() ? "" : ",", std::move(each).take());
    }
    object.member("blackouts", fmt::format("[{}]", blackouts));
    std::string streams;
    for (const RecordedStream& stream : recording.streams)
        streams += fmt::format("{}{}", streams.empty() ? "" : ",", public_json(stream));
    object.member("streams", fmt::format("[{}]", streams));
    return std::move(object).take();
}

}  // namespace spantape
