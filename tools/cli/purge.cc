// SPDX-License-Identifier: AGPL-3.0-or-later
// `purge`, `lock`, `unlock`: a running appliance is asked; a store without one is changed here.
#include <algorithm>
#include <memory>

#include <boost/json/array.hpp>

#include "api/protocol/xml_text.h"
#include "storage/archive_target.h"
#include "storage/erasure.h"
#include "storage/purge.h"
#include "storage/segment/reader.h"
#include "storage/store_logs.h"
#include "tools/cli/audit.h"
#include "tools/cli/commands.h"
#include "tools/cli/xml_client.h"

namespace spantape::cli {

namespace {

using Act = KeepCommand::Act;

std::string_view type_of(Act act) {
    return act == Act::purge ? "RECORDINGPURGE" : act == Act::lock ? "RECORDINGLOCK" : "RECORDINGUNLOCK";
}

std::string request_of(const KeepCommand& command, std::uint64_t ident) {
    std::string text = fmt::format("<REQUEST><TYPE>{}</TYPE><REQUESTID>1</REQUESTID><RECORDID>{}</RECORDID><REASON>",
                                   type_of(command.act), ident);
    api::append_escaped(text, command.reason);
    return text + "</REASON></REQUEST>\r\n";
}

int through_daemon(const KeepCommand& command, const Console& console) {
    int status = kFine;
    for (const std::uint64_t ident : command.idents) {
        const auto client = XmlClient::connect(command.server);
        if (!client) return console.failed(client.error().message);
        (*client)->send(request_of(command, ident), false);
        constexpr std::chrono::minutes kLimit{30};  // a purge rewrites the files of the index
        const auto document = (*client)->read(kLimit);
        if (!document) return console.failed(document.error().message);
        if (!*document) return console.failed(command.server + " closed the connection without an answer");
        const auto result = read_document(**document);
        if (!result) return console.failed(result.error().message);
        if (is_ok(*result))
            console.out << fmt::format("recording {}: {}\n", ident, child_text(*result, "RESULTMSG"));
        else
            status = console.failed(fmt::format("recording {}: {}", ident, failure_text(*result)));
    }
    return status;
}

// The store as a daemon finds it: what a crash left is put in order first, or its audio would stay behind.
struct OpenStore {
    StoreLogs logs;
    std::unique_ptr<Index> index;
    std::string segments;
    std::shared_ptr<Keyring> keyring;

    [[nodiscard]] PurgeTools tools() const {
        return {.index = *index,
                .segment_directory = segments,
                .put_record = records_in_own_segments(segments, *index),
                .forget_keys = forget_in(keyring)};
    }
    static Result<OpenStore> open(const std::string& store, const std::string& master_key) {
        auto index = Index::open(store + "/index");
        if (!index) return std::unexpected(index.error());
        auto logs = StoreLogs::open(store);
        if (!logs) return std::unexpected(logs.error());
        std::shared_ptr<Keyring> keyring;
        if (Keyring::exists(store)) {
            const auto master = MasterKey::load(master_key_of(store, master_key));
            if (!master) return std::unexpected(master.error());
            auto ring = Keyring::open(store, *master);
            if (!ring) return std::unexpected(ring.error());
            keyring = std::move(*ring);
        }
        OpenStore opened{std::move(*logs), std::move(*index), store + "/segments", std::move(keyring)};
        if (auto resumed = resume_purge(opened.tools()); !resumed) return std::unexpected(resumed.error());
        if (auto recovered = recover(opened.segments, *opened.index); !recovered)
            return std::unexpected(recovered.error());
        return opened;
    }
};

int purge_here(const KeepCommand& command, OpenStore& store, const Console& console) {
    const auto identity = archive_identity(command.store);
    if (!identity) return console.failed(identity.error().message);
    const auto purged = erase_recordings(store.tools(), *identity, command.idents);
    if (!purged) return console.failed(purged.error().message);
    for (const std::string& line : purged->refused) console.warn(line);
    for (const std::string& line : purged->copies_left) console.warn(line);
    for (const std::uint64_t ident : purged->purged) console.out << fmt::format("recording {}: purged\n", ident);
    if (!purged->purged.empty() || !purged->copies_left.empty()) {
        boost::json::object entry = purge_entry(*purged);
        if (auto noted = store.logs.integrity->append(entry, true); !noted)
            return console.failed(noted.error().message);
        entry["by"] = "spantape";
        entry["user"] = user_name();
        if (!command.reason.empty()) entry["reason"] = command.reason;
        if (auto noted = store.logs.audit->append(entry, true); !noted) return console.failed(noted.error().message);
    }
    return purged->refused.empty() && purged->copies_left.empty() ? kFine : kFailed;
}

Result<> lock_here(const KeepCommand& command, OpenStore& store, std::uint64_t ident) {
    auto recording = store.index->recording(ident);
    if (!recording) return std::unexpected(recording.error());
    if (!*recording) return fail("there is none");
    (*recording)->locked = command.act == Act::lock;
    (*recording)->lock_reason = (*recording)->locked ? command.reason : "";
    auto noted = store.logs.audit->append({{"what", type_of(command.act)},
                                           {"by", "spantape"},
                                           {"user", user_name()},
                                           {"recordings", boost::json::array{ident}},
                                           {"reason", command.reason}},
                                          true);
    if (!noted) return noted;
    return put_document(store.segments, *store.index, **recording);
}

}  // namespace

int run(const KeepCommand& command, const Console& console) {
    if (command.store.empty()) return through_daemon(command, console);
    auto store = OpenStore::open(command.store, command.master_key);
    if (!store) return console.failed(store.error().message);
    if (command.act == Act::purge) return purge_here(command, *store, console);
    int status = kFine;
    for (const std::uint64_t ident : command.idents) {
        const auto done = lock_here(command, *store, ident);
        if (done)
            console.out << fmt::format("recording {}: {}\n", ident, command.act == Act::lock ? "locked" : "unlocked");
        else
            status = console.failed(fmt::format("recording {}: {}", ident, done.error().message));
    }
    return status;
}

}  // namespace spantape::cli
