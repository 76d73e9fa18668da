// SPDX-License-Identifier: AGPL-3.0-or-later
// Retention of a running daemon: purges what is past its keep days, and watches how full the disk is. Lives on the
// control thread; looks at disk and index on the pool.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "capture/base/clock.h"
#include "storage/index/index.h"
#include "storage/purge.h"
#include "storage/retention.h"

namespace spantape {

struct RetentionTools {
    std::string store;
    std::int32_t keep_days = 0;
    double reserve_percent = 0;  // 0: the disk is not watched
    Index& index;
    boost::asio::io_context& control_thread;
    boost::asio::thread_pool& pool;
    std::function<void(std::vector<std::uint64_t>, std::function<void(const Result<PurgeSummary>&)>)> purge;
    // Of those that have expired, which are still to be archived and stay until they are; on the pool. May be empty.
    std::function<std::set<std::uint64_t>(const std::vector<std::uint64_t>&)> wait_for;
    std::function<void(Space, const std::string& shortage)> space_changed;  // shortage: in words; "" for enough
    std::function<void(const char* level, const std::string& line)> log;
};

class RetentionRuns {
public:
    explicit RetentionRuns(RetentionTools tools) : tools_(std::move(tools)) {}
    void tick(TimeNs monotonic_now_ns);

private:
    void purge_expired();
    void expired(const Result<std::vector<std::uint64_t>>& found, std::size_t waiting);
    void purged(bool more, const Result<PurgeSummary>& summary);
    void look_at_disk();
    void disk_seen(std::uint64_t free_bytes, std::uint64_t total_bytes);

    const RetentionTools tools_;
    TimeNs now_ns_ = 0;
    TimeNs next_expiry_ns_ = 0, next_look_ns_ = 0;  // 0: at once
    bool expiring_ = false, looking_ = false;
    std::size_t waiting_ = 0;       // have expired, but are still to be archived
    Space space_ = Space::enough;   // as it was told
    Space wanted_ = Space::enough;  // as the disk is; told when what has expired is gone
};

}  // namespace spantape
