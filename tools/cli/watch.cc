// SPDX-License-Identifier: AGPL-3.0-or-later
// `watch`: subscribes to the event stream (manual: Event Interface) and prints a line for each event.
#include <boost/json/serialize.hpp>

#include "api/protocol/xml_text.h"
#include "tools/cli/commands.h"
#include "tools/cli/terminal_text.h"
#include "tools/cli/times.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {
namespace {

namespace json = boost::json;

std::string subscription(const WatchCommand& command) {
    std::string request =
        fmt::format("<REQUEST><TYPE>EVENTS</TYPE><REQUESTID>1</REQUESTID><EVENTCLASS>{}</EVENTCLASS><EVENTVALUE>",
                    command.event_class);
    api::append_escaped(request, command.device);
    return request + "</EVENTVALUE></REQUEST>\r\n";
}

// "2026-03-01 14:05:09 CALLSTART 1001 GLOBALCALLID=00010000000007 ANI=…"; fields without a value are left out.
std::string event_line(const api::Element& event, TimeNs now_ns) {
    std::string line = fmt::format("{} {}", time_text(now_ns), child_text(event, "EVENTTYPE"));
    const api::Element* data = child(event, "EVENTDATA");
    if (data == nullptr) return line;
    line += ' ' + child_text(*data, "DEVICEID");
    for (const api::Element& field : data->children) {
        if (field.text.empty() || field.name == "DEVICEID") continue;
        const char* quote = field.text.find_first_of(" \t") != std::string::npos ? "\"" : "";
        line += fmt::format(" {0}={2}{1}{2}", field.name, field.text, quote);
    }
    return printable(line);
}

std::string event_json(const api::Element& event, TimeNs now_ns) {
    json::object data;
    if (const api::Element* fields = child(event, "EVENTDATA")) {
        for (const api::Element& field : fields->children) data[field.name] = field.text;
    }
    // A double of this size would be written as 1.7E9.
    const std::string rest = json::serialize(json::object{{"class", child_text(event, "EVENTCLASS")},
                                                          {"type", child_text(event, "EVENTTYPE")},
                                                          {"data", std::move(data)}});
    return fmt::format("{{\"received\":{}.{:06},{}", now_ns / kNsPerSecond, now_ns % kNsPerSecond / 1000,
                       rest.substr(1));
}

// Waits for the answer to the subscription; events may not come before it.
Result<> subscribe(XmlClient& client, const WatchCommand& command) {
    client.send(subscription(command), false);
    const auto document = client.read(XmlClient::kAnswerLimit);
    if (!document) return std::unexpected(document.error());
    if (client.connection().interrupted()) return {};
    if (!*document) return fail("{} closed the connection without an answer", command.server);
    const auto result = read_document(**document);
    if (!result) return std::unexpected(result.error());
    if (!is_ok(*result)) return fail("{} answered {}", command.server, failure_text(*result));
    return {};
}

}  // namespace

int run(const WatchCommand& command, const Console& console) {
    auto client = XmlClient::connect(command.server);
    if (!client) return console.failed(client.error().message);
    (*client)->connection().stop_on_signals();
    if (auto subscribed = subscribe(**client, command); !subscribed) return console.failed(subscribed.error().message);
    while (!(*client)->connection().interrupted()) {
        const auto document = (*client)->read(std::nullopt);
        if (!document) return console.failed(document.error().message);
        if ((*client)->connection().interrupted()) break;
        if (!*document) return console.failed(fmt::format("{} closed the connection", command.server));
        const auto event = read_document(**document);
        if (!event) return console.failed(event.error().message);
        if (event->name != "CALLCOPYEVENT") continue;
        const TimeNs now_ns = wall_clock_ns();
        console.out << (command.json ? event_json(*event, now_ns) : event_line(*event, now_ns)) << std::endl;
        if (!console.out) return console.failed("standard output cannot be written");
    }
    return kFine;
}

}  // namespace spantape::cli
