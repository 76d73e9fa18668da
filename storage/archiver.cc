// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/archiver.h"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>

namespace spantape {

namespace {

constexpr std::size_t kPage = 256;
constexpr std::size_t kMostRetries = 10'000;  // remembered; those beyond are tried with every pass
constexpr std::size_t kMostUnknown = 1000;    // numbers that name nothing, told or gone over
constexpr TimeNs kPutOffNs = 2 * kNsPerSecond;

std::string title_of(const ArchiveAction& action) {
    return fmt::format("archive action {} '{}'", action.number, action.name);
}

}  // namespace

const ArchiveAction* Archiver::Actions::of(std::int64_t named) const {
    if (named == -1) named = default_action;
    const auto found = by_number.find(named);
    return found == by_number.end() ? nullptr : &found->second;
}

void Archiver::set_actions(std::vector<ArchiveAction> actions, std::int64_t default_action) {
    Actions all;
    all.default_action = default_action;
    for (ArchiveAction& action : actions) {
        const std::int64_t number = action.number;
        all.by_number[number] = std::move(action);
    }
    const std::lock_guard lock(actions_mutex_);
    actions_ = std::move(all);
}

Archiver::Actions Archiver::actions() const {
    const std::lock_guard lock(actions_mutex_);
    return actions_;
}

ArchiveCounts Archiver::counts() const {
    return {.archived = archived_,
            .moved = moved_,
            .failed = failed_,
            .expired = expired_,
            .waiting = waiting_,
            .unknown_action = unknown_,
            .failing_targets = failing_};
}

std::optional<ArchiveJob> Archiver::next(TimeNs now_ns, TimeNs monotonic_now_ns) {
    const Actions all = actions();
    for (const auto& [number, action] : all.by_number) {
        const auto failing = targets_.find(number);
        if (failing != targets_.end() && failing->second.at_ns > monotonic_now_ns) continue;
        if (auto job = next_of(action, number, now_ns, monotonic_now_ns)) return job;
        if (number != all.default_action) continue;
        if (auto job = next_of(action, -1, now_ns, monotonic_now_ns)) return job;
    }
    return std::nullopt;
}

// Goes on behind what it gave last, so that recordings that fail do not hold up the others; at the end of the list it
// gives none, and begins anew with the next call.
std::optional<ArchiveJob> Archiver::next_of(const ArchiveAction& action, std::int64_t named, TimeNs now_ns,
                                            TimeNs monotonic_now_ns) {
    const ArchiveDue first{named, INT64_MIN, 0, false};
    const auto reached = behind_.find(named);
    ArchiveDue from = reached == behind_.end() ? first : reached->second;
    TimeNs ended_by_ns = 0;
    if (__builtin_sub_overflow(now_ns, action.wait_ns, &ended_by_ns)) return std::nullopt;
    for (;;) {
        const auto page = tools_.index.archive_due(from, kPage);
        if (!page) {
            tools_.log("error", "archive: " + page.error().message);
            return std::nullopt;
        }
        for (const ArchiveDue& due : *page) {
            if (due.action != named || due.stop_ns > ended_by_ns) {
                behind_.erase(named);
                return std::nullopt;
            }
            const auto failed = recordings_.find(due.ident);
            if (moving_.contains(due.ident) || (failed != recordings_.end() && failed->second.at_ns > monotonic_now_ns))
                continue;
            const auto recording = tools_.index.recording(due.ident);
            behind_[named] = {due.action, due.stop_ns, due.ident + 1, false};
            return ArchiveJob{due, action, recording && *recording ? (*recording)->session_id : 0};
        }
        if (page->size() < kPage) break;
        from = page->back();
        ++from.ident;
    }
    behind_.erase(named);
    return std::nullopt;
}

void Archiver::put_off(const ArchiveJob& job, TimeNs monotonic_now_ns) {
    if (recordings_.size() < kMostRetries)
        recordings_.try_emplace(job.due.ident).first->second.at_ns = monotonic_now_ns + kPutOffNs;
}

bool Archiver::carry_out(const ArchiveJob& job, TimeNs now_ns, TimeNs monotonic_now_ns) {
    const ArchiveAction& action = job.action;
    const auto recording = tools_.index.recording(job.due.ident);
    if (!recording) return recording_failed(job, recording.error().message, monotonic_now_ns), false;
    // Purged, or changed meanwhile: what is due of it now has an entry of its own.
    if (!*recording || archive_due_of(**recording) != job.due) return done(job.due), false;
    const auto copies = tools_.index.archived(job.due.ident);
    if (!copies) return recording_failed(job, copies.error().message, monotonic_now_ns), false;
    const auto before = std::ranges::find_if(
        *copies, [&](const ArchivedCopy& copy) { return copy.action == action.number && copy.target == action.path; });
    // Locked or unlocked since it was copied.
    const auto is_silent = [&] {
        const auto sidecar = read_sidecar(sidecar_path(action.path + "/" + before->name));
        return sidecar && *sidecar && (*sidecar)->holds((*recording)->blackouts);
    };
    if (before != copies->end() && action.mode == ArchiveMode::copy && ((*recording)->blackouts.empty() || is_silent()))
        return done(job.due), false;

    const auto file = copy_to_target(job, **recording, before == copies->end() ? "" : before->name, now_ns);
    if (!file) {
        if (file.error().of == ArchiveFailure::Of::target)
            target_failed(action, file.error().why, monotonic_now_ns);
        else if (file.error().of == ArchiveFailure::Of::recording)
            recording_failed(job, file.error().why, monotonic_now_ns);
        return false;
    }
    target_works(action);
    if (before == copies->end()) ++archived_;
    return settle(job, **recording, *file);
}

std::expected<ArchivedFile, ArchiveFailure> Archiver::copy_to_target(const ArchiveJob& job, const Recording& recording,
                                                                     const std::string& known_name, TimeNs now_ns) {
    using Of = ArchiveFailure::Of;
    const ArchiveAction& action = job.action;
    if (auto reachable = check_archive_target(action.path, tools_.index); !reachable)
        return std::unexpected(ArchiveFailure{Of::target, reachable.error().message});
    const ArchiveSource source{tools_.index, tools_.segments, tools_.identity};
    auto file = archive(source, recording, action, known_name, now_ns, tools_.go_on);
    if (!file) return file;
    if (auto put = tools_.index.put_archived({recording.ident, action.number, action.path, file->name}); !put)
        return std::unexpected(ArchiveFailure{Of::recording, put.error().message});
    const auto still = tools_.index.recording(recording.ident);
    if (!still) return file;
    if (*still) {
        if ((*still)->redacted == recording.redacted && (*still)->blackouts == recording.blackouts) return file;
        // A blackout reached back into it while it was being copied: made anew, of what is left.
        const ArchivedCopy copy{recording.ident, action.number, action.path, file->name};
        if (auto removed = remove_archived(copy, tools_.identity); !removed)
            return std::unexpected(ArchiveFailure{Of::target, removed.error().message});
        if (auto forgotten = tools_.index.forget_archived(copy); !forgotten)
            return std::unexpected(ArchiveFailure{Of::recording, forgotten.error().message});
        return std::unexpected(ArchiveFailure{Of::stopped, "a blackout reached back into it"});
    }
    // Erased while it was being copied: the copy, which that did not know of yet, goes as well.
    const auto erased = erase_archived(tools_.index, recording.ident, tools_.identity);
    for (const std::string& line : erased ? erased->left : std::vector<std::string>{erased.error().message})
        tools_.log("error", line);
    return std::unexpected(ArchiveFailure{Of::stopped, "erased"});
}

bool Archiver::settle(const ArchiveJob& job, const Recording& recording, const ArchivedFile& file) {
    const ArchiveAction& action = job.action;
    recordings_.erase(job.due.ident);
    const std::string kept = action.mode == ArchiveMode::move ? reason_to_keep(job, recording) : "";
    note("archive", action, kept.empty() ? "archived" : "archived, kept in the store: " + kept, true,
         {{"recordings", boost::json::array{job.due.ident}},
          {"file", action.path + "/" + file.name},
          {"bytes", file.bytes},
          {"sha256", file.sha256},
          {"was_there", file.was_there}});
    if (!kept.empty() && !job.due.locked)
        tools_.log("warning",
                   fmt::format("{}: recording {} is copied, not moved: {}", title_of(action), job.due.ident, kept));
    if (action.mode == ArchiveMode::copy || !kept.empty()) return done(job.due), false;
    moving_[job.due.ident] = job.due;
    return true;
}

std::string Archiver::reason_to_keep(const ArchiveJob& job, const Recording& recording) const {
    if (job.due.locked) return "it is locked";
    const auto missing = missing_from_export({tools_.index, tools_.segments, tools_.identity}, recording);
    return missing ? *missing : missing.error().message;
}

std::vector<std::uint64_t> Archiver::moving() const {
    std::vector<std::uint64_t> idents;
    for (const auto& [ident, due] : moving_) idents.push_back(ident);
    return idents;
}

std::string Archiver::keeps(const Recording& recording) const {
    const auto moving = moving_.find(recording.ident);
    if (moving == moving_.end()) return "is not being moved";
    return archive_due_of(recording) == moving->second ? "" : "its archive action was changed";
}

void Archiver::moved(const std::vector<std::uint64_t>& purged, TimeNs monotonic_now_ns) {
    moved_ += purged.size();
    for (const std::uint64_t ident : purged) moving_.erase(ident);
    for (const auto& [ident, due] : std::exchange(moving_, {}))
        recordings_[ident] = {monotonic_now_ns + kFirstRetryNs, kFirstRetryNs, ""};
}

void Archiver::done(const ArchiveDue& due) {
    recordings_.erase(due.ident);
    if (auto marked = tools_.index.done_archiving({due}); !marked)
        tools_.log("error", "archive: " + marked.error().message);
}

void Archiver::target_failed(const ArchiveAction& action, const std::string& why, TimeNs monotonic_now_ns) {
    ++failed_;
    Retry& retry = targets_[action.number];
    retry.pause_ns = retry.pause_ns == 0 ? kFirstRetryNs : std::min(retry.pause_ns * 2, kLastRetryNs);
    retry.at_ns = monotonic_now_ns + retry.pause_ns;
    failing_ = targets_.size();
    // The same reason may come with another file.
    const std::string reason = why.substr(why.rfind(": ") + 1);
    if (std::exchange(retry.why, reason) == reason) return;
    tools_.log("error", fmt::format("{}: {}; it is tried again", title_of(action), why));
    note("archive_target", action, why);
}

void Archiver::target_works(const ArchiveAction& action) {
    if (targets_.erase(action.number) == 0) return;
    failing_ = targets_.size();
    tools_.log("info", fmt::format("{}: {} can be written to again", title_of(action), action.path));
    note("archive_target", action, "can be written to again");
}

void Archiver::recording_failed(const ArchiveJob& job, const std::string& why, TimeNs monotonic_now_ns) {
    ++failed_;
    if (!recordings_.contains(job.due.ident) && recordings_.size() >= kMostRetries) return;
    Retry& retry = recordings_[job.due.ident];
    retry.pause_ns = retry.pause_ns == 0 ? kFirstRetryNs : std::min(retry.pause_ns * 2, kLastRetryNs);
    retry.at_ns = monotonic_now_ns + retry.pause_ns;
    if (std::exchange(retry.why, why) == why) return;
    tools_.log("error",
               fmt::format("{}: recording {}: {}; it is tried again", title_of(job.action), job.due.ident, why));
    note("archive", job.action, "failed: " + why, false, {{"recordings", boost::json::array{job.due.ident}}});
}

void Archiver::note(const char* what, const ArchiveAction& action, const std::string& result, bool integrity,
                    boost::json::object members) {
    boost::json::object entry{{"what", what},
                              {"action", action.number},
                              {"name", valid_utf8(action.name)},
                              {"mode", kArchiveModes[static_cast<int>(action.mode)]},
                              {"target", valid_utf8(action.path)}};
    for (auto& member : members) entry[member.key()] = std::move(member.value());
    entry["result"] = valid_utf8(result);
    tools_.note(std::move(entry), integrity);
}

// From one number that is named to the next.
void Archiver::survey() {
    const Actions all = actions();
    std::uint64_t waiting = 0, unknown = 0;
    ArchiveDue from = kFirstDue;
    for (std::size_t numbers = 0; numbers < kMostUnknown + all.by_number.size(); ++numbers) {
        auto page = tools_.index.archive_due(from, 1);
        if (!page || page->empty()) break;
        const std::int64_t named = page->front().action;
        const ArchiveAction* action = all.of(named);
        const bool none = named == -1 && all.default_action <= 0;  // as configured: not archived
        if (!none) page = tools_.index.archive_due(page->front(), kMostCounted);
        if (!page) break;
        const auto others = std::ranges::find_if(*page, [&](const ArchiveDue& due) { return due.action != named; });
        const auto count = static_cast<std::uint64_t>(others - page->begin());
        if (!none) (action != nullptr ? waiting : unknown) += count;
        if (!none && action == nullptr && unknown_told_.size() < kMostUnknown && unknown_told_.insert(named).second)
            tools_.log("warning", fmt::format("no such archive action: {}, of recording {}{}",
                                              named == -1 ? all.default_action : named, page->front().ident,
                                              count > 1 ? " and others" : ""));
        if (named == INT64_MAX) break;
        from = {named + 1, INT64_MIN, 0, false};
    }
    waiting_ = waiting;
    unknown_ = unknown;
}

void Archiver::remove_expired(TimeNs now_ns) {
    for (const auto& [number, action] : actions().by_number) {
        const auto problem = [&](const std::string& line) {
            tools_.log("error", fmt::format("{}: {}", title_of(action), line));
        };
        for (const ArchivedCopy& copy :
             spantape::remove_expired(action, tools_.identity, now_ns, tools_.go_on, problem)) {
            ++expired_;
            if (auto forgotten = tools_.index.forget_archived(copy); !forgotten) problem(forgotten.error().message);
            note("archive_expired", action, "removed", true,
                 {{"recordings", boost::json::array{copy.ident}}, {"file", copy.target + "/" + copy.name}});
        }
    }
}

std::set<std::uint64_t> Archiver::still_to_archive(const std::vector<std::uint64_t>& idents) const {
    std::set<std::uint64_t> waiting;
    const Actions all = actions();
    if (all.by_number.empty()) return waiting;
    for (const std::uint64_t ident : idents) {
        const auto recording = tools_.index.recording(ident);
        if (!recording || !*recording) continue;
        const auto due = archive_due_of(**recording);
        if (!due || all.of(due->action) == nullptr) continue;
        const auto entry = tools_.index.archive_due(*due, 1);
        if (entry && !entry->empty() && entry->front() == *due) waiting.insert(ident);
    }
    return waiting;
}

}  // namespace spantape
