// SPDX-License-Identifier: AGPL-3.0-or-later
// `verify` and `rebuild`: a store as a whole, against itself.
#include "storage/verify.h"

#include <boost/json.hpp>

#include "storage/rebuild.h"
#include "storage/segment/format.h"
#include "tools/cli/commands.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"

namespace spantape::cli {
namespace {

namespace json = boost::json;

std::string joined(const std::vector<std::uint64_t>& numbers) { return fmt::to_string(fmt::join(numbers, " ")); }

std::string place_of(const Damage& damage) {
    return damage.segment == 0 ? "" : fmt::format("{:08}.seg at {}", damage.segment, damage.offset);
}

Table damage_table(const VerifyReport& report) {
    Table table({{"WHAT"}, {"RECORDING"}, {"STREAM"}, {"CHUNK", Align::right}, {"PLACE"}, {"REASON"}});
    for (const Damage& damage : report.damage) {
        table.add({name_of(damage.what), joined(damage.recordings),
                   damage.stream_id == 0 ? "" : fmt::format("{:#x}", damage.stream_id),
                   damage.chunk_number ? fmt::to_string(*damage.chunk_number) : "", place_of(damage), damage.reason});
    }
    return table;
}

json::object to_json(const Damage& damage) {
    json::object object{{"what", name_of(damage.what)}, {"reason", damage.reason}};
    object["recordings"] = json::array(damage.recordings.begin(), damage.recordings.end());
    if (damage.stream_id != 0) object["stream"] = fmt::format("{:#x}", damage.stream_id);
    if (damage.chunk_number) object["chunk"] = *damage.chunk_number;
    if (damage.segment != 0) {
        object["segment"] = damage.segment;
        object["offset"] = damage.offset;
    }
    return object;
}

json::object to_json(const VerifyReport& report) {
    json::object object{{"whole", report.whole()},
                        {"segments", report.segments},
                        {"bytes", report.bytes},
                        {"recordings", report.recordings},
                        {"streams", report.streams},
                        {"chunks", report.chunks},
                        {"frames", report.frames},
                        {"purged", report.purged},
                        {"not_indexed", report.not_indexed},
                        {"superseded", report.superseded},
                        {"gaps", report.gaps},
                        {"remnants", report.remnants},
                        {"damage_in_all", report.damage_in_all}};
    json::array damage;
    for (const Damage& each : report.damage) damage.push_back(to_json(each));
    object["damage"] = std::move(damage);
    return object;
}

void print(const VerifyReport& report, const Console& console) {
    if (!report.whole()) console.out << damage_table(report).text(console.width);
    if (report.damage_in_all > report.damage.size())
        console.out << fmt::format("and {} more\n", report.damage_in_all - report.damage.size());
    console.out << fmt::format("{} recordings, {} streams, {} chunks, {} frames in {} segments of {:.1f} MB\n",
                               report.recordings, report.streams, report.chunks, report.frames, report.segments,
                               static_cast<double>(report.bytes) / 1e6);
    if (report.not_indexed > 0)
        console.out << fmt::format("{} chunks are not indexed yet: the daemon is about to, or its next start will\n",
                                   report.not_indexed);
    if (report.superseded > 0)
        console.out << fmt::format("{} chunks are earlier copies, from before a write error\n", report.superseded);
    if (report.gaps > 0)
        console.out << fmt::format("{} streams have a gap: what was not announced when the power went\n", report.gaps);
    if (report.remnants > 0)
        console.out << fmt::format("{} places hold torn writes that nothing refers to\n", report.remnants);
    console.out << (report.whole() ? "the store is whole\n" : fmt::format("{} damaged\n", report.damage_in_all));
}

}  // namespace

int run(const VerifyCommand& command, const Console& console) {
    Progress progress(console);
    VerifyOptions options{.master_key = command.master_key};
    options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.bar("verifying", done, total); };
    const auto report = verify_store(command.store, options);
    progress.clear();
    if (!report) {
        console.warn(report.error().message);
        return kCannotBeRead;
    }
    if (command.json) {
        console.out << json::serialize(to_json(*report)) << '\n';
    } else {
        print(*report, console);
    }
    return report->whole() ? kFine : kFailed;
}

int run(const RebuildCommand& command, const Console& console) {
    Progress progress(console);
    RebuildOptions options;
    options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.bar("rebuilding", done, total); };
    const auto summary = rebuild_index(command.store, options);
    progress.clear();
    if (!summary) return console.failed(summary.error().message);
    if (command.json) {
        console.out << json::serialize(json::object{{"segments", summary->segments},
                                                    {"chunks", summary->chunks},
                                                    {"documents", summary->recordings},
                                                    {"damaged", summary->damaged_records}})
                    << '\n';
    } else {
        console.out << fmt::format("index made anew from {} segments: {} chunks, {} documents; {} damaged places\n",
                                   summary->segments, summary->chunks, summary->recordings, summary->damaged_records);
    }
    return kFine;
}

}  // namespace spantape::cli
