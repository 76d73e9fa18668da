// SPDX-License-Identifier: AGPL-3.0-or-later
// `devices`, `channels`, `status`: one question to the XML API each (manual: DEVICELIST, CHANNELS; ours:
// APPLIANCESTATUS).
#include <algorithm>
#include <charconv>
#include <set>

#include <boost/json/serialize.hpp>

#include "tools/cli/commands.h"
#include "tools/cli/status_text.h"
#include "tools/cli/table.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {
namespace {

namespace json = boost::json;

const std::set<std::string_view> kHeadOfResult{"REQUESTTYPE", "REQUESTID", "RESULTTYPE", "RESULTCODE", "RESULTMSG"};

Result<api::Element> ask(const std::string& server, std::string_view type) {
    auto client = XmlClient::connect(server);
    if (!client) return std::unexpected(client.error());
    return (*client)->ask(type);
}

std::string lower_case(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

// A section as an object, every value as the string that it is.
json::object to_json(const api::Element& section) {
    json::object object;
    for (const api::Element& each : section.children) {
        if (each.children.empty()) {
            object[lower_case(each.name)] = each.text;
        } else {
            object[lower_case(each.name)] = to_json(each);
        }
    }
    return object;
}

// The members of a list section, e.g. the DEVICE ones of DEVICES.
std::vector<const api::Element*> members(const api::Element& result, std::string_view list, std::string_view member) {
    std::vector<const api::Element*> found;
    const api::Element* section = child(result, list);
    if (section == nullptr) return found;
    for (const api::Element& each : section->children) {
        if (each.name == member) found.push_back(&each);
    }
    return found;
}

void print_json_list(const std::vector<const api::Element*>& elements, const Console& console) {
    console.out << '[';
    const char* between = "";
    for (const api::Element* each : elements) {
        console.out << between << json::serialize(to_json(*each));
        between = ",\n ";
    }
    console.out << "]\n";
}

// Counters are numbers; everything else is text.
json::value counter_or_text(const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{} && end == text.data() + text.size() && fmt::to_string(number) == text) return number;
    return json::string(text);
}

// Sections (one for each source, say) become arrays under their name, however many there are.
json::object status_json(const api::Element& status) {
    json::object object;
    for (const api::Element& each : status.children) {
        const std::string name = lower_case(each.name);
        if (kHeadOfResult.contains(each.name)) continue;
        if (each.children.empty()) {
            object[name] = counter_or_text(each.text);
            continue;
        }
        if (!object.contains(name)) object[name] = json::array();
        object[name].as_array().push_back(status_json(each));
    }
    return object;
}

}  // namespace

int run(const DevicesCommand& command, const Console& console) {
    const auto result = ask(command.server, "DEVICELIST");
    if (!result) return console.failed(result.error().message);
    const auto devices = members(*result, "DEVICES", "DEVICE");
    if (command.json) {
        print_json_list(devices, console);
        return kFine;
    }
    Table table({{"DEVICE", Align::left},
                 {"ALIAS", Align::left},
                 {"USER", Align::left},
                 {"RECORDING", Align::left},
                 {"ANI", Align::left},
                 {"DNIS", Align::left},
                 {"DIR", Align::left},
                 {"START", Align::left},
                 {"STOP", Align::left},
                 {"FILE", Align::left}});
    for (const api::Element* device : devices) {
        const api::Element* recording = child(*device, "RECORDING");
        const api::Element none;
        const auto of_recording = [&](const char* name) {
            return child_text(recording != nullptr ? *recording : none, name);
        };
        const std::string user = child_text(*device, "SYS_USER");
        table.add({child_text(*device, "DEVICEID"), child_text(*device, "DEVICEALIAS"),
                   user.empty() ? child_text(*device, "CRM_USER") : user, of_recording("ISRECORDING"),
                   child_text(*device, "ANI"), child_text(*device, "DNIS"), child_text(*device, "CALLDIRECTION"),
                   child_text(*device, "STARTTIME"), child_text(*device, "STOPTIME"), of_recording("FILENAME")});
    }
    console.out << (table.empty() ? "no devices known yet\n" : table.text(console.width));
    return kFine;
}

int run(const ChannelsCommand& command, const Console& console) {
    const auto result = ask(command.server, "CHANNELS");
    if (!result) return console.failed(result.error().message);
    const auto channels = members(*result, "CHANNELS", "CHANNEL");
    if (command.json) {
        print_json_list(channels, console);
        return kFine;
    }
    Table table({{"CHANNEL", Align::right},
                 {"STATE", Align::left},
                 {"SINCE", Align::left},
                 {"DEVICE", Align::left},
                 {"ALIAS", Align::left}});
    std::size_t idle = 0;
    for (const api::Element* channel : channels) {
        const std::string state = child_text(*channel, "STATE");
        if (state == "Idle") ++idle;
        if (state == "Idle" && !command.all) continue;
        table.add({child_text(*channel, "ID"), state, child_text(*channel, "LASTSTATECHANGE"),
                   child_text(*channel, "RECORDINGDEVICE"), child_text(*channel, "RECORDINGDEVICEALIAS")});
    }
    if (!table.empty()) console.out << table.text(console.width);
    console.out << fmt::format("{} channels, {} idle\n", channels.size(), idle);
    return kFine;
}

int run(const StatusCommand& command, const Console& console) {
    const auto result = ask(command.server, "APPLIANCESTATUS");
    if (!result) return console.failed(result.error().message);
    if (command.json) {
        console.out << json::serialize(status_json(*result)) << '\n';
        return kFine;
    }
    console.out << status_text(*result, console.width);
    return kFine;
}

}  // namespace spantape::cli
