// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/recordings.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "storage/recording.h"
#include "tools/cli/times.h"

namespace spantape::cli {
namespace {

namespace json = boost::json;

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr) return {};
    return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

double number_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    boost::system::error_code error;
    const double number = value != nullptr ? value->to_number<double>(error) : 0;
    return error ? 0 : number;
}

// "2 PCMU", "1 PCMA, 1 PCMU"; copies of media seen on another leg are not counted.
std::string streams_text(const json::object& recording) {
    const json::value* streams = recording.if_contains("streams");
    std::vector<std::pair<std::string, int>> codecs;  // in the order in which they first appear
    if (streams == nullptr || !streams->is_array()) return "none";
    for (const json::value& each : streams->get_array()) {
        if (!each.is_object() || each.get_object().contains("relay_copy")) continue;
        const std::string codec = text_of(each.get_object(), "codec");
        const auto same =
            std::find_if(codecs.begin(), codecs.end(), [&](const auto& known) { return known.first == codec; });
        if (same == codecs.end()) {
            codecs.emplace_back(codec, 1);
        } else {
            ++same->second;
        }
    }
    std::string text;
    for (const auto& [codec, count] : codecs) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, codec);
    return text.empty() ? "none" : text;
}

// Of its worst stream; empty: nothing is known of the codec.
std::string mos_text(const json::object& recording) {
    const json::value* streams = recording.if_contains("streams");
    double worst = 5;
    if (streams == nullptr || !streams->is_array()) return {};
    for (const json::value& each : streams->get_array())
        if (each.is_object() && each.get_object().contains("mos") && !each.get_object().contains("relay_copy"))
            worst = std::min(worst, number_of(each.get_object(), "mos"));
    return worst < 5 ? fmt::format("{:.1f}", worst) : "";
}

// What was sent and is not stored: lost on its way, in the kernel or card, or by us.
std::string lost_text(const json::object& recording) {
    const json::value* ledger = recording.if_contains("ledger");
    if (ledger == nullptr || !ledger->is_object()) return {};
    double lost = 0;
    for (const char* name : {"lost_before", "dropped_kernel", "dropped_us"})
        lost += number_of(ledger->get_object(), name);
    return fmt::format("{:.0f}", lost);
}

}  // namespace

Result<Table> recordings_table(const std::vector<ListedRecording>& recordings, ListFiles files) {
    Table table({{"ID", Align::right},
                 {"START", Align::left},
                 {"DEVICE", Align::left},
                 {"ANI", Align::left},
                 {"DNIS", Align::left},
                 {"DIR", Align::left},
                 {"DURATION", Align::right},
                 {"STREAMS", Align::left},
                 {"LOST", Align::right},
                 {"MOS", Align::right},
                 {files == ListFiles::yes ? "FILE" : "STATE", Align::left}});
    for (const ListedRecording& listed : recordings) {
        boost::system::error_code error;
        const json::value parsed = json::parse(listed.public_json, error);
        if (error || !parsed.is_object()) return fail("a recording cannot be shown: {}", error.message());
        const json::object& recording = parsed.get_object();
        const auto start_ns = static_cast<TimeNs>(number_of(recording, "recording_time") * 1e9);
        table.add({text_of(recording, "ident"), time_text(start_ns), text_of(recording, "device_id"),
                   text_of(recording, "ani"), text_of(recording, "dnis"), text_of(recording, "calldirection"),
                   duration_text(number_of(recording, "duration")), streams_text(recording), lost_text(recording),
                   mos_text(recording), files == ListFiles::yes ? listed.file : text_of(recording, "state")});
    }
    return table;
}

std::string recordings_json(const std::vector<ListedRecording>& recordings, ListFiles files) {
    std::string text = "[";
    for (const ListedRecording& listed : recordings) {
        text += text.size() > 1 ? ",\n " : "";
        if (files == ListFiles::no) {
            text += listed.public_json;
            continue;
        }
        const std::string file = listed.file.empty() ? "null" : json::serialize(json::string(valid_utf8(listed.file)));
        text += fmt::format("{},\"file\":{}}}",
                            std::string_view(listed.public_json).substr(0, listed.public_json.size() - 1), file);
    }
    return text + "]\n";
}

}  // namespace spantape::cli
