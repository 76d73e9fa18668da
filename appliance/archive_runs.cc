// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/archive_runs.h"

#include <utility>

#include <boost/asio/post.hpp>

namespace spantape {

namespace {

namespace asio = boost::asio;

constexpr TimeNs kLookNs = kNsPerSecond;
constexpr TimeNs kSurveyNs = 10 * kNsPerSecond;
constexpr TimeNs kExpiryNs = 3600 * kNsPerSecond;
// A purge rewrites the files of the index: many recordings at a time, and no more than a small part of all time.
constexpr std::size_t kPurgeAtOnce = 1000;
constexpr TimeNs kPurgePause = 20;  // times as long as the last one took

}  // namespace

ArchiveRuns::ArchiveRuns(ArchiveRunTools tools)
    : tools_(std::move(tools)),
      archiver_({.index = tools_.index,
                 .segments = tools_.segments,
                 .identity = tools_.identity,
                 .note = tools_.note,
                 .log = tools_.log,
                 .go_on = [this] { return !stopping_.load(); }}) {}

void ArchiveRuns::set_actions(std::vector<ArchiveAction> actions, std::int64_t default_action) {
    archiver_.set_actions(std::move(actions), default_action);
    look_at_all_.store(true);
}

void ArchiveRuns::tick(TimeNs monotonic_now_ns) {
    if (working_ || monotonic_now_ns < next_look_ns_) return;
    working_ = true;
    step();
}

void ArchiveRuns::step() {
    const TimeNs now_ns = monotonic_ns();
    next_look_ns_ = now_ns + kLookNs;
    if (stopping_.load()) return;  // for good: working_ stays
    if (look_at_all_.exchange(false)) next_survey_ns_ = next_expiry_ns_ = now_ns;
    const bool survey = now_ns >= next_survey_ns_, expire = now_ns >= next_expiry_ns_;
    if (survey) next_survey_ns_ = now_ns + kSurveyNs;
    if (expire) next_expiry_ns_ = now_ns + kExpiryNs;
    asio::post(tools_.pool, [this, survey, expire] {
        if (survey) archiver_.survey();
        if (expire) archiver_.remove_expired(wall_clock_ns());
        asio::post(tools_.control_thread,
                   [this, job = archiver_.next(wall_clock_ns(), monotonic_ns())] { found(job); });
    });
}

void ArchiveRuns::found(const std::optional<ArchiveJob>& job) {
    const TimeNs now_ns = monotonic_ns();
    const std::size_t moving = archiver_.moving().size();
    if (moving > 0 && now_ns >= next_purge_ns_ && (!job || moving >= kPurgeAtOnce)) return purge_moved();
    if (!job) {
        working_ = false;
        return;
    }
    if (tools_.busy(job->session)) {
        archiver_.put_off(*job, now_ns);
        return step();
    }
    asio::post(tools_.pool, [this, job = *job] {
        if (!stopping_.load()) archiver_.carry_out(job, wall_clock_ns(), monotonic_ns());
        asio::post(tools_.control_thread, [this] { step(); });
    });
}

// The job that was found meanwhile is found again.
void ArchiveRuns::purge_moved() {
    const auto refuse = [this](const Recording& recording) { return archiver_.keeps(recording); };
    tools_.purge(archiver_.moving(), {.copies = false, .refuse = refuse},
                 [this, began_ns = monotonic_ns()](const Result<PurgeSummary>& summary) {
                     const TimeNs now_ns = monotonic_ns();
                     next_purge_ns_ = now_ns + (now_ns - began_ns) * kPurgePause;
                     if (!summary) tools_.log("error", "archive: " + summary.error().message);
                     archiver_.moved(summary ? summary->purged : std::vector<std::uint64_t>(), now_ns);
                     if (summary && !summary->purged.empty())
                         tools_.log("info", fmt::format("archive: {} recordings were moved", summary->purged.size()));
                     step();
                 });
}

}  // namespace spantape
