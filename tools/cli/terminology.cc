// SPDX-License-Identifier: AGPL-3.0-or-later
// `terminology`: shows what a running appliance calls its fields, or changes it (manual: FETCHTERMINOLOGY; ours:
// TERMINOLOGYSET).
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/protocol/xml_text.h"
#include "tools/cli/commands.h"
#include "tools/cli/table.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {

namespace {

// NAME=VALUE; without a value the name has the configuration's again.
Result<> change(const TerminologyCommand& command, const std::string& text) {
    const std::size_t equals = text.find('=');
    std::string request = "<REQUEST><TYPE>TERMINOLOGYSET</TYPE><REQUESTID>1</REQUESTID><NAME>";
    api::append_escaped(request, text.substr(0, equals));
    request += "</NAME><VALUE>";
    api::append_escaped(request, text.substr(equals + 1));
    const auto client = XmlClient::connect(command.server);
    if (!client) return std::unexpected(client.error());
    (*client)->send(request + "</VALUE></REQUEST>\r\n", false);
    const auto document = (*client)->read(XmlClient::kAnswerLimit);
    if (!document) return std::unexpected(document.error());
    if (!*document) return fail("{} closed the connection without an answer", command.server);
    const auto result = read_document(**document);
    if (!result) return std::unexpected(result.error());
    if (!is_ok(*result)) return fail("{}: {}", text, failure_text(*result));
    return {};
}

}  // namespace

int run(const TerminologyCommand& command, const Console& console) {
    for (const std::string& text : command.changes)
        if (auto changed = change(command, text); !changed) return console.failed(changed.error().message);
    auto client = XmlClient::connect(command.server);
    if (!client) return console.failed(client.error().message);
    const auto result = (*client)->ask("FETCHTERMINOLOGY");
    if (!result) return console.failed(result.error().message);
    const api::Element* settings = child(*result, "SETTINGS");
    boost::json::object object;
    Table table({{"NAME"}, {"VALUE"}});
    for (const api::Element& term : settings != nullptr ? settings->children : std::vector<api::Element>()) {
        object[child_text(term, "NAME")] = child_text(term, "VALUE");
        table.add({child_text(term, "NAME"), child_text(term, "VALUE")});
    }
    console.out << (command.json ? boost::json::serialize(object) + "\n" : table.text(console.width));
    return kFine;
}

}  // namespace spantape::cli
