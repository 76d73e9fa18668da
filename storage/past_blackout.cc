// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/past_blackout.h"

#include <algorithm>
#include <set>

#include "storage/archive_target.h"

namespace spantape {

namespace {

constexpr TimeNs kLongestCallNs = 7 * 86'400 * kNsPerSecond;  // recordings that began earlier are not looked at
constexpr std::size_t kMost = 100'000;

BlackoutWindow within(const BlackoutWindow& window, const Recording& recording) {
    return {std::max(window.from_ns, recording.start_ns), std::min(window.to_ns, recording.stop_ns)};
}

// What comes behind the window, for another recording of the same media, may carry what was spoken within it once more.
TimeNs behind_repeats(const Recording& recording, TimeNs to_ns) {
    const bool repeats = std::ranges::any_of(recording.streams, [](const RecordedStream& stream) {
        return std::ranges::any_of(stream.payloads, repeats_audio);
    });
    return repeats ? to_ns + kRepeatsNs : to_ns;
}

// Finished, of the same media, and within the window: the recording itself, or another.
struct Sharing {
    std::uint64_t ident = 0;
    BlackoutWindow window;  // within it
    bool locked = false;
    std::string lock_reason;
};

// Also gives the recording's streams.
Result<std::vector<Sharing>> sharing_of(const Index& index, const Recording& recording, const BlackoutWindow& window,
                                        std::vector<std::uint64_t>& streams) {
    std::set<std::uint64_t> idents{recording.ident};
    for (const RecordedStream& stream : recording.streams) {
        streams.push_back(stream.stream_id);
        const auto others = index.recordings_of(stream.stream_id);
        if (!others) return std::unexpected(others.error());
        idents.insert(others->begin(), others->end());
    }
    std::vector<Sharing> sharing;
    for (const std::uint64_t ident : idents) {
        const auto other = index.recording(ident);
        if (!other) return std::unexpected(other.error());
        if (!*other || (*other)->state == RecordingState::recording) continue;
        const BlackoutWindow part = within(window, **other);
        if (!part.empty()) sharing.push_back({ident, part, (*other)->locked, (*other)->lock_reason});
    }
    return sharing;
}

}  // namespace

bool PastBlackout::is_of(const Recording& recording) const {
    return !whose.empty() && std::ranges::all_of(whose, [&](const auto& each) {
        return column(recording, each.first).value == each.second;
    });
}

bool PastBlackout::reaches(const Recording& recording) const {
    return recording.state != RecordingState::recording && !within(window, recording).empty() && is_of(recording);
}

void ReachedRecording::apply(Recording& document) const {
    document.blackouts.push_back(window);
    document.blackouts = merged(std::move(document.blackouts));
    document.redacted += frames;
}

Result<ReachedBack> reach_back(const Index& index, const PastBlackout& blackout,
                               const std::function<Result<RedactionSummary>(const RedactionWindow&)>& redact) {
    RecordingQuery query;
    query.equal = blackout.whose;
    query.from_ns = blackout.window.from_ns - kLongestCallNs;
    query.to_ns = blackout.window.to_ns;
    query.limit = kMost;
    query.keep = [&](const Recording& recording) { return blackout.reaches(recording); };
    const auto found = index.search(query);
    if (!found) return std::unexpected(found.error());
    ReachedBack reached;
    if (found->size() >= kMost)
        reached.left.push_back(
            fmt::format("the oldest of more than {} recordings: a shorter TIMEOFFSET is needed", kMost));
    for (const Recording& recording : *found) {
        const BlackoutWindow window = within(blackout.window, recording);
        RedactionWindow take_out{
            .streams = {}, .from_ns = window.from_ns, .to_ns = behind_repeats(recording, window.to_ns)};
        const auto sharing = sharing_of(index, recording, window, take_out.streams);
        if (!sharing) return std::unexpected(sharing.error());
        const auto locked = std::ranges::find(*sharing, true, &Sharing::locked);
        if (locked != sharing->end()) {
            reached.left.push_back(fmt::format("recording {} is locked ({}): {} stays as it is", locked->ident,
                                               locked->lock_reason, recording.ident));
            continue;
        }
        const auto redacted = redact(take_out);
        if (!redacted) {
            reached.left.push_back(fmt::format("recording {}: {}", recording.ident, redacted.error().message));
            continue;
        }
        for (const Sharing& each : *sharing) reached.recordings.push_back({each.ident, each.window, redacted->frames});
    }
    return reached;
}

Result<SilencedCopies> silence_copies(const Index& index, const PastBlackout& blackout,
                                      const std::vector<std::uint64_t>& idents, const std::string& identity) {
    SilencedCopies result;
    std::set<std::string> streams;  // that were reached in some copy
    const auto silence = [&](const ArchivedCopy& copy, const Concerned& concerns) {
        const auto silenced = silence_archived(copy, identity, blackout.window, concerns);
        if (!silenced)
            result.left.push_back(
                fmt::format("recording {}: its archived copy: {}", copy.ident, silenced.error().message));
        if (!silenced || !*silenced) return;
        result.silenced.push_back(copy.target + "/" + copy.name);
        streams.insert((*silenced)->begin(), (*silenced)->end());
    };
    const std::set<std::uint64_t> reached(idents.begin(), idents.end());
    for (const std::uint64_t ident : reached) {
        const auto copies = index.archived(ident);
        if (!copies) return std::unexpected(copies.error());
        for (const ArchivedCopy& copy : *copies) silence(copy, [](const auto&, const auto&) { return true; });
    }
    // Those that were moved are known by their copies alone.
    std::vector<ArchivedCopy> moved;
    auto walked = index.for_each_archived([&](const ArchivedCopy& copy) -> Result<> {
        if (reached.contains(copy.ident) || !may_hold(copy, blackout.window.from_ns - kLongestCallNs, blackout.window))
            return {};
        const auto in_store = index.recording(copy.ident);
        if (!in_store) return std::unexpected(in_store.error());
        if (!*in_store) moved.push_back(copy);
        return {};
    });
    if (!walked) return std::unexpected(walked.error());
    std::set<std::uint64_t> theirs;
    for (const ArchivedCopy& copy : moved)
        silence(copy, [&](const Recording& recording, const auto&) {
            const bool is = blackout.reaches(recording);
            if (is) theirs.insert(recording.ident);
            return is;
        });
    // The other side of a call between two phones of ours holds the same media.
    const std::set<std::string> of_theirs = streams;
    for (const ArchivedCopy& copy : of_theirs.empty() ? std::vector<ArchivedCopy>{} : moved)
        silence(copy, [&](const Recording& recording, const std::set<std::string>& its) {
            return !theirs.contains(recording.ident) &&
                   std::ranges::any_of(its, [&](const std::string& stream) { return of_theirs.contains(stream); });
        });
    return result;
}

}  // namespace spantape
