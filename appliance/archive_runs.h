// SPDX-License-Identifier: AGPL-3.0-or-later
// Archiving of a running daemon: asks the Archiver for what is due, once a second and one job after another, lets the
// pool make the copy, and has recordings that were moved purged, many at a time. Lives on the control thread.
//
// A recording is archived when its media session is over and nothing of a blackout is still to be taken off the disk:
// from then on no blackout of its call can reach it. One of its agent that does is taken out of the copy, too.
#pragma once

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "capture/base/clock.h"
#include "storage/archiver.h"
#include "storage/purge.h"

namespace spantape {

struct ArchiveRunTools {
    Index& index;
    SegmentStore segments;
    std::string identity;  // archive_identity() of the store
    boost::asio::io_context& control_thread;
    boost::asio::thread_pool& pool;
    std::function<bool(std::uint64_t session)> busy;  // streams of it may still be written or changed
    std::function<void(std::vector<std::uint64_t>, PurgeWish, std::function<void(const Result<PurgeSummary>&)>)> purge;
    std::function<void(boost::json::object entry, bool integrity)> note;  // as ArchiverTools::note
    std::function<void(const char* level, const std::string& line)> log;
};

class ArchiveRuns {
public:
    explicit ArchiveRuns(ArchiveRunTools tools);

    void tick(TimeNs monotonic_now_ns);
    // What is being copied is given up; nothing begins any more.
    void stop() { stopping_.store(true); }

    // Any thread.
    void set_actions(std::vector<ArchiveAction> actions, std::int64_t default_action);
    [[nodiscard]] ArchiveCounts counts() const { return archiver_.counts(); }
    // On the pool: as Archiver's.
    [[nodiscard]] std::set<std::uint64_t> still_to_archive(const std::vector<std::uint64_t>& idents) const {
        return archiver_.still_to_archive(idents);
    }

private:
    void step();
    void found(const std::optional<ArchiveJob>& job);
    void purge_moved();

    const ArchiveRunTools tools_;
    Archiver archiver_;  // used where the one thing is done that is done at a time
    std::atomic<bool> stopping_{false};
    std::atomic<bool> look_at_all_{true};  // survey and expiry are due at once: the actions are new
    bool working_ = false;
    TimeNs next_look_ns_ = 0, next_survey_ns_ = 0, next_expiry_ns_ = 0, next_purge_ns_ = 0;
};

}  // namespace spantape
