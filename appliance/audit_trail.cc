// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/audit_trail.h"

#include <utility>

#include <boost/json/array.hpp>

#include "storage/recording.h"

namespace spantape {

namespace {
constexpr TimeNs kMinuteNs = 60 * kNsPerSecond;
constexpr std::uint64_t kLinesAMinute = 10;
constexpr std::size_t kMostDeviceBytes = 200;
}  // namespace

boost::json::object AuditTrail::members_of(const api::AuditEntry& entry) {
    boost::json::object members{{"what", entry.what}, {"by", entry.listener}, {"from", entry.from}};
    if (!entry.user.empty()) members["user"] = entry.user;
    if (!entry.device.empty()) members["device"] = entry.device.substr(0, kMostDeviceBytes);
    if (!entry.reason.empty()) members["reason"] = entry.reason;
    if (!entry.recordings.empty())
        members["recordings"] = boost::json::array(entry.recordings.begin(), entry.recordings.end());
    if (entry.found > 0) members["found"] = entry.found;
    if (!entry.parameters.empty())
        members["parameters"] = boost::json::array(entry.parameters.begin(), entry.parameters.end());
    if (!entry.about.empty()) {
        boost::json::object about;
        for (const auto& [name, value] : entry.about) about[name] = valid_utf8(value);
        members["about"] = std::move(about);
    }
    members["result"] = api::label_of(entry.result);
    members["code"] = static_cast<int>(entry.result);
    return members;
}

void AuditTrail::refused(const std::string& address, const std::string& listener, TimeNs monotonic_now_ns) {
    tick(monotonic_now_ns);
    if (minute_ns_ == 0) minute_ns_ = monotonic_now_ns;
    if (++refused_ <= kLinesAMinute) note({{"what", "refused"}, {"by", listener}, {"from", address}});
}

void AuditTrail::tick(TimeNs monotonic_now_ns) {
    if (minute_ns_ == 0 || monotonic_now_ns - minute_ns_ < kMinuteNs) return;
    if (refused_ > kLinesAMinute) note({{"what", "refused_more"}, {"count", refused_ - kLinesAMinute}});
    minute_ns_ = 0;
    refused_ = 0;
}

void AuditTrail::note(boost::json::object&& members) {
    // What finds no room in the log's queue is counted there, and told when there is room.
    if (log_ != nullptr) static_cast<void>(log_->append(std::move(members)));
}

}  // namespace spantape
