// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/erasure.h"

#include <set>

#include <boost/json/array.hpp>

#include "storage/archive_target.h"
#include "storage/integrity.h"

namespace spantape {

namespace {

class Erasure {
public:
    Erasure(const PurgeTools& tools, const std::string& identity) : tools_(tools), identity_(identity) {}

    Result<PurgeSummary> run(const std::vector<std::uint64_t>& idents) {
        // The copies go first: were it the other way round, a crash in between would leave them with nobody to ask for.
        std::vector<std::uint64_t> in_store, gone;
        for (const std::uint64_t ident : std::set<std::uint64_t>(idents.begin(), idents.end())) {
            const auto recording = tools_.index.recording(ident);
            if (!recording) return std::unexpected(recording.error());
            const bool there = recording->has_value();
            const bool spared = there && ((*recording)->locked || (*recording)->state == RecordingState::recording);
            const auto erased = spared ? Result<std::size_t>(0) : erase_copies(ident);
            if (!erased) return std::unexpected(erased.error());
            (!there && *erased > 0 ? gone : in_store).push_back(ident);
        }
        auto summary = purge(tools_, in_store);
        if (!summary) return summary;
        // What was being archived at this moment.
        for (const std::uint64_t ident : summary->purged)
            if (auto erased = erase_copies(ident); !erased) return std::unexpected(erased.error());
        if (!gone.empty())  // their names lie in the index's files
            if (auto forgotten = tools_.index.erase_purged(); !forgotten) return std::unexpected(forgotten.error());
        summary->purged.insert(summary->purged.end(), gone.begin(), gone.end());
        summary->copies_removed = std::move(removed_);
        summary->copies_left.assign(left_.begin(), left_.end());
        return summary;
    }

private:
    Result<std::size_t> erase_copies(std::uint64_t ident) {
        auto copies = erase_archived(tools_.index, ident, identity_);
        if (!copies) return std::unexpected(copies.error());
        for (const ArchivedCopy& copy : copies->erased) removed_.push_back(copy.target + "/" + copy.name);
        left_.insert(copies->left.begin(), copies->left.end());
        return copies->erased.size();
    }

    const PurgeTools& tools_;
    const std::string& identity_;
    std::vector<std::string> removed_;
    std::set<std::string> left_;
};

}  // namespace

Result<PurgeSummary> erase_recordings(const PurgeTools& tools, const std::string& identity,
                                      const std::vector<std::uint64_t>& idents) {
    return Erasure(tools, identity).run(idents);
}

boost::json::object purge_entry(const PurgeSummary& summary) {
    boost::json::object entry = purge_entry(summary.purged);
    const auto add = [&](const char* name, const std::vector<std::string>& lines) {
        if (lines.empty()) return;
        boost::json::array texts;
        for (const std::string& line : lines) texts.emplace_back(valid_utf8(line));
        entry[name] = std::move(texts);
    };
    add("copies_removed", summary.copies_removed);
    add("copies_left", summary.copies_left);
    return entry;
}

}  // namespace spantape
