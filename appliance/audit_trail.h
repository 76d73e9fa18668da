// SPDX-License-Identifier: AGPL-3.0-or-later
// The daemon's lines in the audit log. Control thread; only queues.
#pragma once

#include <string>

#include <boost/json/object.hpp>

#include "api/functions/audit.h"
#include "capture/base/clock.h"
#include "storage/chained_log.h"

namespace spantape {

class AuditTrail {
public:
    explicit AuditTrail(ChainedLog* log) : log_(log) {}  // null: nothing is kept

    void request(api::AuditEntry&& entry) { note(members_of(entry)); }
    // A connection that the access rules refused. The first few of a minute have their line, the others are counted:
    // a flood of connections must not fill the disk.
    void refused(const std::string& address, const std::string& listener, TimeNs monotonic_now_ns);
    void tick(TimeNs monotonic_now_ns);

    [[nodiscard]] static boost::json::object members_of(const api::AuditEntry& entry);

private:
    void note(boost::json::object&& members);

    ChainedLog* log_;
    TimeNs minute_ns_ = 0;  // begin of the minute that is counted; 0: none
    std::uint64_t refused_ = 0;
};

}  // namespace spantape
