// SPDX-License-Identifier: AGPL-3.0-or-later
// One line a call, so that it can be read by eye and by line.
#include "tools/gen/manifest.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

namespace spantape::gen {
namespace {

namespace json = boost::json;

// UNIX seconds with all nanoseconds, which a double does not hold.
std::string unix_time(TimeNs ns) { return fmt::format("{}.{:09}", ns / kNsPerSecond, ns % kNsPerSecond); }

json::object stream_json(const GenStream& stream, const AudioSource& audio) {
    json::object out;
    out["number"] = stream.number;
    out["ssrc"] = fmt::format("0x{:08X}", stream.ssrc);
    out["source"] = fmt::format("{}:{}", dotted(stream.from.ip), stream.from.port);
    out["destination"] = fmt::format("{}:{}", dotted(stream.to.ip), stream.to.port);
    out["packets"] = stream.sent;
    out["duplicates"] = stream.duplicates;
    out["reordered"] = stream.reordered;
    out["lost"] = json::value_from(stream.lost);
    out["first_sequence"] = stream.first_sequence;
    out["first_timestamp"] = stream.first_timestamp;
    out["first_time"] = unix_time(stream.first_ns);
    const std::string file = audio.file_of(stream.number);
    out["audio"] = file.empty() ? std::string(kFormula) : file;
    return out;
}

}  // namespace

Result<Manifest> Manifest::open(const GenOptions& options) {
    Manifest manifest;
    manifest.path_ = options.manifest;
    if (options.manifest.empty()) return manifest;
    manifest.file_.open(options.manifest);
    if (!manifest.file_) return fail("{}: cannot be created: {}", options.manifest, std::strerror(errno));
    manifest.file_ << fmt::format(
        "{{\"codec\":\"{}\",\"payload_type\":{},\"clock_rate\":{},\"ptime\":{},\"samples_per_packet\":{},"
        "\"packets_due\":{},\"seed\":{},\"calls\":[",
        options.encoding(), options.payload_type(), options.sample_rate_hz(), options.ptime_ms,
        options.samples_per_packet(), options.packets(), options.seed);
    return manifest;
}

void Manifest::add(const GenCall& call, const AudioSource& audio) {
    if (path_.empty()) return;
    json::object out;
    out["call_id"] = call.call_id;
    out["from"] = call.from_user;
    out["to"] = call.to_user;
    out["start"] = unix_time(call.start_ns);
    out["answer"] = unix_time(call.answer_ns);
    out["bye"] = call.bye_ns != 0 ? json::value(unix_time(call.bye_ns)) : json::value();
    out["caller"] = stream_json(call.streams[0], audio);
    out["callee"] = stream_json(call.streams[1], audio);
    file_ << (std::exchange(first_, false) ? "\n" : ",\n") << json::serialize(out);
}

Result<> Manifest::finish() {
    if (path_.empty()) return {};
    file_ << "\n]}\n";
    file_.close();
    if (!file_) return fail("{}: cannot be written: {}", path_, std::strerror(errno));
    return {};
}

}  // namespace spantape::gen
