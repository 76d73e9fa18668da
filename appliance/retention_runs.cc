// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/retention_runs.h"

#include <utility>

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <boost/asio/post.hpp>

namespace spantape {

namespace {

namespace asio = boost::asio;

// A purge rewrites the files of the index: not for every recording that expires, unless room is short.
constexpr TimeNs kExpiryNs = 3600 * kNsPerSecond;
constexpr TimeNs kUrgentExpiryNs = 60 * kNsPerSecond;
constexpr TimeNs kLookNs = kNsPerSecond;
constexpr std::size_t kAtOnce = 10'000;

const char* text_of(Space space) {
    switch (space) {
        case Space::enough:
            return "";
        case Space::low:
            return "it is below storage.reserve: only recordings with a PRIORITY above 0 begin";
        case Space::none:
            return "it is below half of storage.reserve: no recording begins";
    }
    return "";
}

}  // namespace

void RetentionRuns::tick(TimeNs monotonic_now_ns) {
    now_ns_ = monotonic_now_ns;
    if (now_ns_ >= next_look_ns_ && !looking_ && tools_.reserve_percent > 0) look_at_disk();
    if (now_ns_ >= next_expiry_ns_ && !expiring_) purge_expired();
}

void RetentionRuns::purge_expired() {
    expiring_ = true;
    next_expiry_ns_ = now_ns_ + (wanted_ == Space::enough ? kExpiryNs : kUrgentExpiryNs);
    // Those that wait stand in front of the list each time.
    asio::post(tools_.pool, [this, limit = kAtOnce + waiting_] {
        auto found = tools_.index.expired(wall_clock_ns(), tools_.keep_days, limit);
        std::set<std::uint64_t> waiting;
        if (found && tools_.wait_for) waiting = tools_.wait_for(*found);
        if (found) std::erase_if(*found, [&](std::uint64_t ident) { return waiting.contains(ident); });
        asio::post(tools_.control_thread,
                   [this, found = std::move(found), count = waiting.size()] { expired(found, count); });
    });
}

void RetentionRuns::expired(const Result<std::vector<std::uint64_t>>& found, std::size_t waiting) {
    if (!found) {
        tools_.log("error", "retention: " + found.error().message);
        return purged(false, PurgeSummary{});
    }
    if (std::exchange(waiting_, waiting) == 0 && waiting > 0)
        tools_.log("warning",
                   fmt::format("retention: {} recordings are past their keep days, but still to be archived: "
                               "they stay until they are",
                               waiting));
    if (found->empty()) return purged(false, PurgeSummary{});
    tools_.purge(*found, [this, more = found->size() >= kAtOnce](const Result<PurgeSummary>& summary) {
        purged(more, summary);
    });
}

void RetentionRuns::purged(bool more, const Result<PurgeSummary>& summary) {
    expiring_ = false;
    if (!summary) tools_.log("error", "retention: " + summary.error().message);
    if (summary && !summary->purged.empty()) {
        tools_.log("info",
                   fmt::format("retention: purged {} recordings, {} bytes", summary->purged.size(), summary->bytes));
        if (more) next_expiry_ns_ = now_ns_;  // there are more
        next_look_ns_ = now_ns_;
        return;  // the disk is looked at before anything is refused
    }
    if (std::exchange(space_, wanted_) == wanted_) return;
    tools_.space_changed(space_, text_of(space_));
}

void RetentionRuns::look_at_disk() {
    looking_ = true;
    next_look_ns_ = now_ns_ + kLookNs;
    asio::post(tools_.pool, [this] {
        struct statvfs disk{};
        const bool known = statvfs(tools_.store.c_str(), &disk) == 0;
        const std::uint64_t free_bytes = known ? std::uint64_t{disk.f_bavail} * disk.f_frsize : 0;
        const std::uint64_t total_bytes = known ? std::uint64_t{disk.f_blocks} * disk.f_frsize : 0;
        asio::post(tools_.control_thread, [this, free_bytes, total_bytes] { disk_seen(free_bytes, total_bytes); });
    });
}

void RetentionRuns::disk_seen(std::uint64_t free_bytes, std::uint64_t total_bytes) {
    looking_ = false;
    wanted_ = space_of(free_bytes, total_bytes, tools_.reserve_percent, space_);
    if (wanted_ != space_) next_expiry_ns_ = now_ns_;  // what has expired goes first; purged() tells the rest
}

}  // namespace spantape
