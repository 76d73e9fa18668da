// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/explained_media.h"

#include <algorithm>

namespace spantape {

namespace {
constexpr std::size_t kEndpointsPerCall = 16;
constexpr std::size_t kCallsOver = 200'000;  // of a flood, the oldest are forgotten early
constexpr TimeNs kOverNs = 60 * kNsPerSecond;
constexpr TimeNs kRefusedNs = 60 * kNsPerSecond;  // workers tell of what goes on more often
constexpr TimeNs kUnderWayNs = 2 * kNsPerSecond;
}  // namespace

ExplainedMedia::Ends ExplainedMedia::ends_of(const FlowKey& flow) { return std::minmax(flow.source, flow.destination); }

void ExplainedMedia::described(std::uint64_t sip_call, const Endpoint& endpoint) {
    auto& known = of_call_[sip_call];
    if (known.size() >= kEndpointsPerCall || std::ranges::find(known, endpoint) != known.end()) return;
    known.push_back(endpoint);
    ++calls_at_[endpoint];
}

void ExplainedMedia::call_over(std::uint64_t sip_call, TimeNs now_ns) {
    auto call = of_call_.extract(sip_call);
    if (call.empty()) return;
    over_.emplace_back(now_ns, std::move(call.mapped()));
    if (over_.size() <= kCallsOver) return;
    let_go(over_.front().second);
    over_.pop_front();
}

void ExplainedMedia::let_go(const std::vector<Endpoint>& endpoints) {
    for (const Endpoint& endpoint : endpoints)
        if (const auto at = calls_at_.find(endpoint); --at->second == 0) calls_at_.erase(at);
}

void ExplainedMedia::refuse(const FlowKey& flow, TimeNs now_ns) {
    const Ends ends = ends_of(flow);
    const auto [refused, is_new] = refused_.try_emplace(ends);
    refused->second = {now_ns, now_ns};
    if (is_new) refused_order_.emplace_back(now_ns, ends);
}

bool ExplainedMedia::explains(const FlowKey& flow, TimeNs first_ns, TimeNs now_ns) {
    if (calls_at_.contains(flow.source) || calls_at_.contains(flow.destination)) return true;
    const auto refused = refused_.find(ends_of(flow));
    if (refused == refused_.end() || first_ns > refused->second.at_ns + kUnderWayNs) return false;
    refused->second.heard_ns = now_ns;
    return true;
}

void ExplainedMedia::expire(TimeNs now_ns) {
    for (; !over_.empty() && now_ns - over_.front().first >= kOverNs; over_.pop_front()) let_go(over_.front().second);
    while (!refused_order_.empty() && now_ns - refused_order_.front().first >= kRefusedNs) {
        const Ends ends = refused_order_.front().second;
        refused_order_.pop_front();
        const auto refused = refused_.find(ends);
        if (now_ns - refused->second.heard_ns >= kRefusedNs)
            refused_.erase(refused);
        else
            refused_order_.emplace_back(refused->second.heard_ns, ends);
    }
}

}  // namespace spantape
