// SPDX-License-Identifier: AGPL-3.0-or-later
// Archives what is due: which recording is next, the copy, and what is remembered of it. Does one thing at a time when
// it is asked to, with the time that it is given; who asks, and when, is the daemon's business.
//
// Remembered durably is in the index what is still to be archived (Index::archive_due) and which copies were made
// (Index::archived); beside each copy lies whose it is. So a restart neither repeats nor forgets anything, whenever it
// comes. In memory only: which targets and recordings failed lately, and which recordings wait to be taken from the
// store because they were moved.
//
// set_actions() and counts() are for any thread; the rest for one at a time, on the pool.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "storage/archive.h"

namespace spantape {

struct ArchiverTools {
    Index& index;
    SegmentStore segments;
    std::string identity;  // archive_identity() of the store
    // A line of the audit log, and, where it tells of what was made or removed, of the integrity log; durable.
    std::function<void(boost::json::object entry, bool integrity)> note;
    std::function<void(const char* level, const std::string& line)> log;
    std::function<bool()> go_on;  // false: give up what takes long
};

struct ArchiveJob {
    ArchiveDue due;
    ArchiveAction action;
    std::uint64_t session = 0;  // of the recording
};

struct ArchiveCounts {
    std::uint64_t archived = 0, moved = 0;  // copies made; of those, recordings taken from the store
    std::uint64_t failed = 0;               // attempts
    std::uint64_t expired = 0;              // copies removed from targets after their keep days
    // When last looked; each no more than kMostCounted.
    std::uint64_t waiting = 0;         // to be archived, their wait over or not
    std::uint64_t unknown_action = 0;  // that name no action there is
    std::uint64_t failing_targets = 0;
};

class Archiver {
public:
    static constexpr std::size_t kMostCounted = 10'000;  // of an action
    static constexpr TimeNs kFirstRetryNs = 5 * kNsPerSecond, kLastRetryNs = 600 * kNsPerSecond;

    explicit Archiver(ArchiverTools tools) : tools_(std::move(tools)) {}

    // default_action: of recordings that name none; 0 or less: they are not archived. What is under way is finished
    // by the old ones.
    void set_actions(std::vector<ArchiveAction> actions, std::int64_t default_action);
    [[nodiscard]] ArchiveCounts counts() const;

    // What is due at now_ns (wall clock) and was not tried lately; monotonic_now_ns is what attempts are spaced by.
    std::optional<ArchiveJob> next(TimeNs now_ns, TimeNs monotonic_now_ns);
    // Something else has the recording: again, a little later.
    void put_off(const ArchiveJob& job, TimeNs monotonic_now_ns);
    // True: the copy is there, and the recording is to be taken from the store; moving() has it until moved().
    bool carry_out(const ArchiveJob& job, TimeNs now_ns, TimeNs monotonic_now_ns);
    [[nodiscard]] std::vector<std::uint64_t> moving() const;
    // Asked for each, with its document, by those that take recordings from the store: why not after all; "": it may
    // go.
    [[nodiscard]] std::string keeps(const Recording& recording) const;
    // Those that were purged are done; the others are looked at again later.
    void moved(const std::vector<std::uint64_t>& purged, TimeNs monotonic_now_ns);

    // Counts what waits, and tells of recordings that name an action that there is not.
    void survey();
    // Removes copies that are past their keep days.
    void remove_expired(TimeNs now_ns);
    // Of these recordings, those that an action is still to archive: retention waits for it.
    [[nodiscard]] std::set<std::uint64_t> still_to_archive(const std::vector<std::uint64_t>& idents) const;

private:
    struct Actions {
        std::map<std::int64_t, ArchiveAction> by_number;
        std::int64_t default_action = 0;
        // The action that a recording's own number means; nullptr: none.
        [[nodiscard]] const ArchiveAction* of(std::int64_t named) const;
    };
    struct Retry {
        TimeNs at_ns = 0, pause_ns = 0;
        std::string why;
    };
    [[nodiscard]] Actions actions() const;
    std::optional<ArchiveJob> next_of(const ArchiveAction& action, std::int64_t named, TimeNs now_ns,
                                      TimeNs monotonic_now_ns);
    std::expected<ArchivedFile, ArchiveFailure> copy_to_target(const ArchiveJob& job, const Recording& recording,
                                                               const std::string& known_name, TimeNs now_ns);
    // The copy is there: whether the recording is to be taken from the store.
    bool settle(const ArchiveJob& job, const Recording& recording, const ArchivedFile& file);
    void target_failed(const ArchiveAction& action, const std::string& why, TimeNs monotonic_now_ns);
    void target_works(const ArchiveAction& action);
    void recording_failed(const ArchiveJob& job, const std::string& why, TimeNs monotonic_now_ns);
    // What the copy does not stand for, so that the recording stays in the store; "": nothing.
    std::string reason_to_keep(const ArchiveJob& job, const Recording& recording) const;
    void done(const ArchiveDue& due);
    void note(const char* what, const ArchiveAction& action, const std::string& result, bool integrity = false,
              boost::json::object members = {});

    const ArchiverTools tools_;
    mutable std::mutex actions_mutex_;
    Actions actions_;
    std::map<std::int64_t, Retry> targets_;      // that fail, by action
    std::map<std::uint64_t, Retry> recordings_;  // that fail or are put off
    std::map<std::int64_t, ArchiveDue> behind_;  // how far the list was gone through, by the number that is named
    std::map<std::uint64_t, ArchiveDue> moving_;
    std::set<std::int64_t> unknown_told_;
    std::atomic<std::uint64_t> archived_{0}, moved_{0}, failed_{0}, expired_{0}, waiting_{0}, unknown_{0}, failing_{0};
};

}  // namespace spantape
