// SPDX-License-Identifier: AGPL-3.0-or-later
// `terminology`: shows what a running appliance calls its fields, or changes it (manual: FETCHTERMINOLOGY; ours:
// TERMINOLOGYSET).
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "tools/cli/api_request.h"
#include "tools/cli/commands.h"
#include "tools/cli/table.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {

namespace {

// NAME=VALUE; without a value the name has the configuration's again.
Result<> change(const TerminologyCommand& command, const std::string& text) {
    const std::size_t equals = text.find('=');
    ApiRequest request("TERMINOLOGYSET");
    request.add("NAME", text.substr(0, equals));
    request.add("VALUE", text.substr(equals + 1));
    const auto result = request.ask(command.server);
    if (!result) return fail("{}: {}", text, result.error().message);
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
