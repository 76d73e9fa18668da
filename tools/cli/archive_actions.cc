// SPDX-License-Identifier: AGPL-3.0-or-later
// `archive-action`: the archive actions of a running appliance, listed and changed (ours: ARCHIVEACTIONSET).
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "tools/cli/api_request.h"
#include "tools/cli/commands.h"
#include "tools/cli/table.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {

int run(const ArchiveActionCommand& command, const Console& console) {
    ApiRequest request("ARCHIVEACTIONSET");
    request.add("ACTION", ApiRequest::parameter_of(command.action));
    if (!command.number.empty()) request.add("NUMBER", command.number);
    if (auto added = request.add_settings(command.settings); !added) return console.failed(added.error().message);
    const auto result = request.ask(command.server);
    if (!result) return console.failed(result.error().message);
    boost::json::array actions;
    Table table({{"#"}, {"NAME"}, {"PATH"}, {"MODE"}, {"FORMAT"}, {"KEEP DAYS"}, {"WAIT S"}, {"ORIGIN"}});
    for (const api::Element& action : children_of(*result, "ARCHIVEACTIONS")) {
        boost::json::object& object = actions.emplace_back(boost::json::object()).get_object();
        std::vector<std::string> cells;
        for (const api::Element& part : action.children) {
            object[part.name] = part.text;
            cells.push_back(part.text);
        }
        table.add(std::move(cells));
    }
    if (command.json)
        console.out << boost::json::serialize(actions) << "\n";
    else if (actions.empty())
        console.out << "No archive actions: nothing is archived.\n";
    else
        console.out << table.text(console.width);
    return kFine;
}

}  // namespace spantape::cli
