// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/store_work.h"

#include <boost/json/array.hpp>

#include "storage/erasure.h"
#include "storage/integrity.h"

namespace spantape {

Result<PurgeSummary> StoreWork::purge(const std::vector<std::uint64_t>& idents, const PurgeWish& wish) {
    const std::lock_guard lock(mutex_);
    const auto watermark = tools_.index.watermark();
    if (!watermark) return std::unexpected(watermark.error());
    const PurgeTools tools{.index = tools_.index,
                           .segment_directory = tools_.segments.directory,
                           .put_record = tools_.put_purge_record,
                           .forget_keys = forget_in(tools_.keyring),
                           .refuse = wish.refuse,
                           .first_open_segment = watermark->segment};
    auto purged =
        wish.copies ? erase_recordings(tools, tools_.archive_identity, idents) : spantape::purge(tools, idents);
    // Who asked for it, if it was not retention, is in that request's line.
    if (purged && !(purged->purged.empty() && purged->copies_left.empty())) note(purge_entry(*purged));
    return purged;
}

Result<RedactionSummary> StoreWork::redact(const RedactionWindow& window) {
    const std::lock_guard lock(mutex_);
    auto redacted = tools_.redact(window);
    if (redacted && redacted->chunks + redacted->wiped > 0) note(redaction_entry(window, *redacted));
    return redacted;
}

Result<ReachedBack> StoreWork::reach_back(const PastBlackout& blackout) {
    return spantape::reach_back(tools_.index, blackout,
                                [this](const RedactionWindow& window) { return redact(window); });
}

Result<SilencedCopies> StoreWork::silence_copies(const PastBlackout& blackout,
                                                 const std::vector<std::uint64_t>& idents) {
    const std::lock_guard lock(copies_mutex_);
    auto silenced = spantape::silence_copies(tools_.index, blackout, idents, tools_.archive_identity);
    if (!silenced || silenced->silenced.empty()) return silenced;
    boost::json::array copies;
    for (const std::string& path : silenced->silenced) copies.emplace_back(valid_utf8(path));
    note({{"what", "copies_silenced"},
          {"copies", std::move(copies)},
          {"from_ns", blackout.window.from_ns},
          {"to_ns", blackout.window.to_ns}});
    return silenced;
}

void StoreWork::seal(std::uint64_t ident) {
    if (tools_.integrity == nullptr) return;
    const auto recording = tools_.index.recording(ident);
    if (recording && *recording)
        if (auto noted = tools_.integrity->append(integrity_entry(**recording)); noted) return;
    tools_.log("error", fmt::format("recording {}: it has no line in the integrity log", ident));
}

void StoreWork::note(boost::json::object entry, bool integrity) {
    for (ChainedLog* log : {tools_.integrity, tools_.audit}) {
        if (log == nullptr || (log == tools_.integrity && !integrity)) continue;
        if (log == tools_.audit) entry["by"] = "daemon";
        if (auto noted = log->append(entry, true); !noted) tools_.log("error", noted.error().message);
    }
}

}  // namespace spantape
