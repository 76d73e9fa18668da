// SPDX-License-Identifier: AGPL-3.0-or-later
// `rekey`: another master key for a store. The index's lock keeps a daemon away meanwhile.
#include "storage/keyring.h"
#include "tools/cli/audit.h"
#include "tools/cli/commands.h"

namespace spantape::cli {

int run(const RekeyCommand& command, const Console& console) {
    if (!Keyring::exists(command.store)) return console.failed(fmt::format("{} has no keyring", command.store));
    const auto index = Index::open(command.store + "/index");
    if (!index) return console.failed(index.error().message);
    const std::string path = master_key_of(command.store, command.master_key);
    const auto next = MasterKey::random();
    if (!next) return console.failed(next.error().message);
    const auto keys = rekey(command.store, path, *next);
    if (!keys) return console.failed(keys.error().message);
    if (auto noted = note_in_audit_log(command.store, {{"what", "rekey"}, {"keys", *keys}}); !noted)
        return console.failed(noted.error().message);
    console.out << fmt::format("{} keys are under the new master key in {}; the old one opens nothing any more\n",
                               *keys, path);
    return kFine;
}

}  // namespace spantape::cli
