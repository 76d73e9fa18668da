// SPDX-License-Identifier: AGPL-3.0-or-later
// Media that is explained, though no session watches for it: calls that SIP described, to be recorded or not, and what
// was recorded until somebody ended that.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "capture/base/address.h"
#include "capture/base/clock.h"
#include "capture/rtp/stream_handle.h"

namespace spantape {

class ExplainedMedia {
public:
    // A call of SIP has media at `endpoint`.
    void described(std::uint64_t sip_call, const Endpoint& endpoint);
    // It is over; what is still sent to its endpoints, or from them, is explained for a while.
    void call_over(std::uint64_t sip_call, TimeNs now_ns);
    // Nothing more of what goes on between the two is to be recorded.
    void refuse(const FlowKey& flow, TimeNs now_ns);
    // A stream of which nobody watches began at `first_ns` and goes on: is it of a call that is known, or was refused?
    // Something that began later, between the same two, is something new.
    [[nodiscard]] bool explains(const FlowKey& flow, TimeNs first_ns, TimeNs now_ns);
    void expire(TimeNs now_ns);

private:
    struct Refused {
        TimeNs at_ns = 0;
        TimeNs heard_ns = 0;  // it was still there
    };
    using Ends = std::pair<Endpoint, Endpoint>;  // the lower first
    struct EndsHash {
        std::size_t operator()(const Ends& ends) const { return hash_of(ends.first) * 31 + hash_of(ends.second); }
    };
    [[nodiscard]] static Ends ends_of(const FlowKey& flow);
    void let_go(const std::vector<Endpoint>& endpoints);

    std::unordered_map<Endpoint, std::uint32_t, EndpointHash> calls_at_;  // how many calls are there, or were just now
    std::unordered_map<std::uint64_t, std::vector<Endpoint>> of_call_;
    std::deque<std::pair<TimeNs, std::vector<Endpoint>>> over_;  // oldest first
    std::unordered_map<Ends, Refused, EndsHash> refused_;
    std::deque<std::pair<TimeNs, Ends>> refused_order_;  // Refused::heard_ns of each, as it was; about oldest first
};

}  // namespace spantape
