// SPDX-License-Identifier: AGPL-3.0-or-later
// `calls`: the recordings of a store. The index is opened for reading only, so its daemon may run meanwhile.
#include "tools/cli/commands.h"
#include "tools/cli/recordings.h"

namespace spantape::cli {

int run(const CallsCommand& command, const Console& console) {
    const auto index = Index::open_read_only(command.store + "/index");
    if (!index) return console.failed(index.error().message);
    const auto found = (*index)->search(command.query);
    if (!found) return console.failed(found.error().message);
    std::vector<ListedRecording> listed;
    for (const Recording& recording : *found) listed.push_back({to_public_json(recording), ""});
    if (command.json) {
        console.out << recordings_json(listed, ListFiles::no);
        return kFine;
    }
    const auto table = recordings_table(listed, ListFiles::no);
    if (!table) return console.failed(table.error().message);
    console.out << (table->empty() ? "no recordings found\n" : table->text(console.width));
    if (found->size() == command.query.limit)
        console.warn(fmt::format("only the newest {} are shown (--limit)", command.query.limit));
    return kFine;
}

}  // namespace spantape::cli
