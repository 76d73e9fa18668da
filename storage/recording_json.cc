// SPDX-License-Identifier: AGPL-3.0-or-later
// The document of a recording as the segments and the index hold it: one JSON object with every member of Recording,
// integers exact to 64 bits, times in nanoseconds. Read back without trust: disks and tools can hand us anything.
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include <boost/json.hpp>

#include "storage/recording.h"

namespace spantape {

namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 8;  // ours nests 5 deep

using StateName = std::pair<RecordingState, std::string_view>;
constexpr StateName kStates[] = {{RecordingState::recording, "recording"},
                                 {RecordingState::stored, "stored"},
                                 {RecordingState::interrupted, "interrupted"}};

constexpr std::pair<StreamEncryption, std::string_view> kEncryptions[] = {
    {StreamEncryption::none, "none"}, {StreamEncryption::srtp, "srtp"}, {StreamEncryption::srtp_no_key, "srtp_no_key"}};

json::string json_text(std::string_view text) { return json::string(valid_utf8(text)); }

// ---- writing

json::object json_of(const PayloadMapping& payload) {
    return {{"payload_type", payload.payload_type},
            {"encoding", json_text(payload.encoding)},
            {"clock_rate_hz", payload.clock_rate_hz},
            {"channels", payload.channels},
            {"format", json_text(payload.format)}};
}

json::object json_of(const StreamCounters& counters) {
    return {{"stored", counters.stored},
            {"lost_before", counters.lost_before},
            {"dropped_us", counters.dropped_us},
            {"duplicates", counters.duplicates},
            {"blacked_out", counters.blacked_out},
            {"payload_bytes", counters.payload_bytes},
            {"undecryptable", counters.undecryptable}};
}

json::object json_of(const StreamQuality& quality) {
    return {{"jitter_known", quality.jitter_known},
            {"jitter_us", quality.jitter_us},
            {"max_jitter_us", quality.max_jitter_us},
            {"loss_bursts", quality.loss_bursts},
            {"lost_capture", quality.lost_capture},
            {"far_reports", quality.far_reports},
            {"far_lost", quality.far_lost},
            {"far_fraction", quality.far_fraction},
            {"far_jitter_units", quality.far_jitter_units},
            {"round_trip_us", quality.round_trip_us}};
}

json::object json_of(const FlowKey& flow) {
    return {{"source", flow.source.to_string()}, {"destination", flow.destination.to_string()}, {"ssrc", flow.ssrc}};
}

std::string_view name_of(StreamEncryption encryption) {
    for (const auto& [value, name] : kEncryptions)
        if (value == encryption) return name;
    return "none";
}

json::object json_of(const RecordedStream& stream) {
    json::array payloads;
    for (const PayloadMapping& payload : stream.payloads) payloads.emplace_back(json_of(payload));
    return {{"stream_id", stream.stream_id},
            {"flow", json_of(stream.flow)},
            {"side", stream.side == Side::device ? "device" : "far"},
            {"relay_copy", stream.relay_copy},
            {"encryption", name_of(stream.encryption)},
            {"payloads", std::move(payloads)},
            {"start_ns", stream.start_ns},
            {"duration_ns", stream.duration_ns},
            {"counters", json_of(stream.counters)},
            {"quality", json_of(stream.quality)},
            {"chunks", stream.chunks},
            {"seal", json_text(stream.seal)}};
}

std::string_view name_of(RecordingState state) {
    for (const auto& [value, name] : kStates)
        if (value == state) return name;
    return "recording";
}

// ---- reading

// The endpoint that Endpoint::to_string() wrote.
std::optional<Endpoint> endpoint_of(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
    Endpoint endpoint;
    const auto address = IpAddress::parse(host);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (!address || error != std::errc() || end != port.data() + port.size()) return std::nullopt;
    endpoint.ip = *address;
    return endpoint;
}

// Reads the members of one object. A member that is absent keeps its default (older writers); the first one that is
// wrong is kept as the error, with its path, and all others are then left alone.
class Members {
public:
    Members(const json::object& object, std::string path, std::optional<Error>& error)
        : object_(object), path_(std::move(path)), error_(error) {}

    template <class Integer>
    void integer(std::string_view name, Integer& out) {
        const json::value* value = find(name);
        if (value == nullptr) return;
        if (value->is_int64() && std::in_range<Integer>(value->get_int64()))
            out = static_cast<Integer>(value->get_int64());
        else if (value->is_uint64() && std::in_range<Integer>(value->get_uint64()))
            out = static_cast<Integer>(value->get_uint64());
        else
            wrong(name, fmt::format("an integer from {} to {}", +std::numeric_limits<Integer>::min(),
                                    +std::numeric_limits<Integer>::max()));
    }

    void text(std::string_view name, std::string& out) {
        const json::value* value = find(name);
        if (value == nullptr) return;
        if (value->is_string())
            out = value->get_string();
        else
            wrong(name, "a string");
    }

    void flag(std::string_view name, bool& out) {
        const json::value* value = find(name);
        if (value == nullptr) return;
        if (value->is_bool())
            out = value->get_bool();
        else
            wrong(name, "true or false");
    }

    void endpoint(std::string_view name, Endpoint& out) {
        const json::value* value = find(name);
        if (value == nullptr) return;
        const auto endpoint = value->is_string() ? endpoint_of(value->get_string()) : std::nullopt;
        if (endpoint)
            out = *endpoint;
        else
            wrong(name, "an address and port");
    }

    template <class Enum, std::size_t kCount>
    void one_of(std::string_view name, const std::pair<Enum, std::string_view> (&names)[kCount], Enum& out) {
        const json::value* value = find(name);
        if (value == nullptr) return;
        for (const auto& [each, spelled] : names) {
            if (value->is_string() && std::string_view(value->get_string()) == spelled) {
                out = each;
                return;
            }
        }
        wrong(name, "one of the known names");
    }

    // read(Members of the object called `name`)
    template <class Read>
    void object(std::string_view name, Read read) {
        const json::value* value = find(name);
        if (value == nullptr) return;
        if (value->is_object())
            read(Members(value->get_object(), path_of(name), error_));
        else
            wrong(name, "an object");
    }

    // read(value, its position, its path) for each element of the array called `name`
    template <class Read>
    void array(std::string_view name, Read read) {
        const json::value* value = find(name);
        if (value == nullptr) return;
        if (!value->is_array()) return wrong(name, "an array");
        std::size_t position = 0;
        for (const json::value& element : value->get_array()) {
            read(element, position, fmt::format("{}[{}]", path_of(name), position));
            if (error_) return;
            ++position;
        }
    }

    // array() of objects, each read into a new element of `out`
    template <class Element, class Read>
    void objects(std::string_view name, std::vector<Element>& out, Read read) {
        array(name, [&](const json::value& element, std::size_t, const std::string& path) {
            if (!element.is_object()) return report(path, "an object");
            read(Members(element.get_object(), path, error_), out.emplace_back());
        });
    }

    void require(std::string_view name) {
        if (!error_ && !object_.contains(name)) error_ = Error{fmt::format("member '{}' is missing", path_of(name))};
    }

    void report(std::string_view path, std::string_view wanted) {
        if (!error_) error_ = Error{fmt::format("member '{}' must be {}", path, wanted)};
    }

private:
    const json::value* find(std::string_view name) const { return error_ ? nullptr : object_.if_contains(name); }
    std::string path_of(std::string_view name) const {
        return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
    }
    void wrong(std::string_view name, std::string_view wanted) { report(path_of(name), wanted); }

    const json::object& object_;
    std::string path_;
    std::optional<Error>& error_;
};

void read_payload(Members members, PayloadMapping& payload) {
    members.integer("payload_type", payload.payload_type);
    members.text("encoding", payload.encoding);
    members.integer("clock_rate_hz", payload.clock_rate_hz);
    members.integer("channels", payload.channels);
    members.text("format", payload.format);
}

void read_counters(Members members, StreamCounters& counters) {
    members.integer("stored", counters.stored);
    members.integer("lost_before", counters.lost_before);
    members.integer("dropped_us", counters.dropped_us);
    members.integer("duplicates", counters.duplicates);
    members.integer("blacked_out", counters.blacked_out);
    members.integer("payload_bytes", counters.payload_bytes);
    members.integer("undecryptable", counters.undecryptable);
}

void read_quality(Members members, StreamQuality& quality) {
    members.flag("jitter_known", quality.jitter_known);
    members.integer("jitter_us", quality.jitter_us);
    members.integer("max_jitter_us", quality.max_jitter_us);
    members.integer("loss_bursts", quality.loss_bursts);
    members.integer("lost_capture", quality.lost_capture);
    members.integer("far_reports", quality.far_reports);
    members.integer("far_lost", quality.far_lost);
    members.integer("far_fraction", quality.far_fraction);
    members.integer("far_jitter_units", quality.far_jitter_units);
    members.integer("round_trip_us", quality.round_trip_us);
}

void read_stream(Members members, RecordedStream& stream) {
    constexpr std::pair<Side, std::string_view> kSides[] = {{Side::device, "device"}, {Side::far, "far"}};
    members.require("stream_id");  // without it there is no way to the media
    members.integer("stream_id", stream.stream_id);
    members.object("flow", [&](Members flow) {
        flow.endpoint("source", stream.flow.source);
        flow.endpoint("destination", stream.flow.destination);
        flow.integer("ssrc", stream.flow.ssrc);
    });
    members.one_of("side", kSides, stream.side);
    members.flag("relay_copy", stream.relay_copy);
    members.one_of("encryption", kEncryptions, stream.encryption);
    members.objects("payloads", stream.payloads, read_payload);
    members.integer("start_ns", stream.start_ns);
    members.integer("duration_ns", stream.duration_ns);
    members.object("counters", [&](Members counters) { read_counters(std::move(counters), stream.counters); });
    members.object("quality", [&](Members quality) { read_quality(std::move(quality), stream.quality); });
    members.integer("chunks", stream.chunks);
    members.text("seal", stream.seal);
}

void read_users(Members& members, Recording& recording) {
    members.array("user", [&](const json::value& element, std::size_t position, const std::string& path) {
        if (position >= recording.user.size())
            members.report(path, "one of 15");
        else if (!element.is_string())
            members.report(path, "a string");
        else
            recording.user[position] = element.get_string();
    });
}

void read_fields(Members& members, Recording& recording) {
    members.text("device_id", recording.device_id);
    members.text("device_alias", recording.device_alias);
    members.text("sys_user", recording.sys_user);
    members.text("crm_user", recording.crm_user);
    members.text("station", recording.station);
    members.text("group", recording.group);
    members.text("gate", recording.gate);
    members.text("ani", recording.ani);
    members.text("dnis", recording.dnis);
    members.text("call_id", recording.call_id);
    members.text("call_instance", recording.call_instance);
    read_users(members, recording);
    members.text("direction", recording.direction);
    members.text("filename", recording.filename);
    members.integer("agent_id", recording.agent_id);
    members.integer("priority", recording.priority);
    members.integer("keep_days", recording.keep_days);
    members.integer("archive_action", recording.archive_action);
    members.integer("channel", recording.channel);
    members.flag("agent_initiated", recording.agent_initiated);
    members.flag("cti_initiated", recording.cti_initiated);
    members.text("schedule_rule", recording.schedule_rule);
    members.flag("locked", recording.locked);
    members.text("lock_reason", recording.lock_reason);
}

void read_recording(Members members, Recording& recording) {
    members.require("ident");
    members.integer("ident", recording.ident);
    members.text("global_call_id", recording.global_call_id);
    members.integer("core_id", recording.core_id);
    members.integer("session_id", recording.session_id);
    members.one_of("state", kStates, recording.state);
    members.text("ended_by", recording.ended_by);
    members.integer("start_ns", recording.start_ns);
    members.integer("stop_ns", recording.stop_ns);
    read_fields(members, recording);
    members.objects("streams", recording.streams, read_stream);
    members.objects("blackouts", recording.blackouts, [](Members window, BlackoutWindow& out) {
        window.integer("from_ns", out.from_ns);
        window.integer("to_ns", out.to_ns);
    });
    members.integer("redacted", recording.redacted);
    members.integer("dropped_kernel", recording.dropped_kernel);
}

}  // namespace

std::string to_json(const Recording& recording) {
    json::array users;
    for (const std::string& user : recording.user) users.emplace_back(json_text(user));
    json::array streams;
    for (const RecordedStream& stream : recording.streams) streams.emplace_back(json_of(stream));
    json::array blackouts;
    for (const BlackoutWindow& window : recording.blackouts)
        blackouts.emplace_back(json::object{{"from_ns", window.from_ns}, {"to_ns", window.to_ns}});
    return json::serialize(json::object{
        {"ident", recording.ident},
        {"global_call_id", json_text(recording.global_call_id)},
        {"core_id", recording.core_id},
        {"session_id", recording.session_id},
        {"state", name_of(recording.state)},
        {"ended_by", json_text(recording.ended_by)},
        {"start_ns", recording.start_ns},
        {"stop_ns", recording.stop_ns},
        {"device_id", json_text(recording.device_id)},
        {"device_alias", json_text(recording.device_alias)},
        {"sys_user", json_text(recording.sys_user)},
        {"crm_user", json_text(recording.crm_user)},
        {"station", json_text(recording.station)},
        {"group", json_text(recording.group)},
        {"gate", json_text(recording.gate)},
        {"ani", json_text(recording.ani)},
        {"dnis", json_text(recording.dnis)},
        {"call_id", json_text(recording.call_id)},
        {"call_instance", json_text(recording.call_instance)},
        {"user", std::move(users)},
        {"direction", json_text(recording.direction)},
        {"filename", json_text(recording.filename)},
        {"agent_id", recording.agent_id},
        {"priority", recording.priority},
        {"keep_days", recording.keep_days},
        {"archive_action", recording.archive_action},
        {"channel", recording.channel},
        {"agent_initiated", recording.agent_initiated},
        {"cti_initiated", recording.cti_initiated},
        {"schedule_rule", json_text(recording.schedule_rule)},
        {"locked", recording.locked},
        {"lock_reason", json_text(recording.lock_reason)},
        {"streams", std::move(streams)},
        {"blackouts", std::move(blackouts)},
        {"redacted", recording.redacted},
        {"dropped_kernel", recording.dropped_kernel},
    });
}

Result<Recording> recording_from_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = kMaxDepth;
    json::error_code parse_error;
    // A listing reads a hundred of them: their parts are not allocated one by one.
    std::array<unsigned char, 16u << 10> room;
    json::monotonic_resource memory(room.data(), room.size());
    const json::value document = json::parse(text, parse_error, &memory, options);
    if (parse_error) return fail("recording document of {} bytes: {}", text.size(), parse_error.message());
    if (!document.is_object()) return fail("recording document of {} bytes: not a JSON object", text.size());

    Recording recording;
    std::optional<Error> error;
    read_recording(Members(document.get_object(), "", error), recording);
    if (error) return fail("recording document: {}", error->message);
    return recording;
}

}  // namespace spantape
