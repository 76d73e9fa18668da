// SPDX-License-Identifier: AGPL-3.0-or-later
// `assurance`: which calls have no full recording, and why: of a running appliance (ours: ASSURANCE), or of what a
// store holds.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/control/event_document.h"
#include "storage/assurance.h"
#include "storage/index/index.h"
#include "tools/cli/commands.h"
#include "tools/cli/table.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {

namespace {

constexpr std::size_t kMostOfStore = 100'000;

struct Listing {
    boost::json::object counts;
    boost::json::array calls;
    Table table{{{"TIME"}, {"RECORDING"}, {"CALL"}, {"DEVICE"}, {"LACKS"}}};

    void add(const std::string& time, const std::string& ident, const std::string& call, const std::string& device,
             const std::string& lacks) {
        calls.push_back(boost::json::object{
            {"time", time}, {"recordid", ident}, {"globalcallid", call}, {"deviceid", device}, {"lacks", lacks}});
        table.add({time, ident == "0" ? "-" : ident, call, device, lacks});
    }
};

int show(const Listing& listing, bool json, const Console& console) {
    if (json) {
        boost::json::object all = listing.counts;
        all["calls"] = listing.calls;
        console.out << boost::json::serialize(all) << "\n";
    } else {
        for (const auto& [name, count] : listing.counts)
            if (!count.is_object()) console.out << name << " " << count << "\n";
        console.out << (listing.calls.empty() ? std::string("Every recording is whole.\n")
                                              : listing.table.text(console.width));
    }
    return listing.calls.empty() ? kFine : kFailed;
}

int of_store(const AssuranceCommand& command, const Console& console) {
    const auto index = Index::open_read_only(command.store + "/index");
    if (!index) return console.failed(index.error().message);
    Listing listing;
    std::uint64_t whole = 0;
    RecordingQuery query;
    query.limit = kMostOfStore;
    query.keep = [&](const Recording& recording) {
        if (recording.state == RecordingState::recording) return false;
        const auto lacks = shortfalls_of(recording);
        whole += lacks.empty() ? 1 : 0;
        return !lacks.empty();
    };
    const auto found = (*index)->search(query);
    if (!found) return console.failed(found.error().message);
    listing.counts["whole"] = whole;
    listing.counts["short"] = found->size();
    for (const Recording& recording : *found) {
        std::string lacks;
        for (const Shortfall each : shortfalls_of(recording))
            lacks += std::string(lacks.empty() ? "" : ",") + std::string(name_of(each));
        listing.add(manual_time(recording.start_ns), std::to_string(recording.ident), recording.global_call_id,
                    recording.device_id, lacks);
    }
    return show(listing, command.json, console);
}

}  // namespace

int run(const AssuranceCommand& command, const Console& console) {
    if (!command.store.empty()) return of_store(command, console);
    auto client = XmlClient::connect(command.server);
    if (!client) return console.failed(client.error().message);
    const auto result = (*client)->ask("ASSURANCE");
    if (!result) return console.failed(result.error().message);
    Listing listing;
    for (const char* name : {"WHOLE", "SHORT", "BYDECISION", "UNANSWERED"}) {
        std::string lower(name);
        for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        listing.counts[lower] = std::stoull("0" + child_text(*result, name));
    }
    if (const api::Element* reasons = child(*result, "REASONS")) {
        boost::json::object& by = (listing.counts["reasons"] = boost::json::object()).get_object();
        for (const api::Element& each : reasons->children)
            by[child_text(each, "NAME")] = std::stoull("0" + child_text(each, "COUNT"));
    }
    if (const api::Element* calls = child(*result, "CALLS"))
        for (const api::Element& each : calls->children)
            listing.add(child_text(each, "TIME"), child_text(each, "RECORDID"), child_text(each, "GLOBALCALLID"),
                        child_text(each, "DEVICEID"), child_text(each, "LACKS"));
    return show(listing, command.json, console);
}

}  // namespace spantape::cli
