// SPDX-License-Identifier: AGPL-3.0-or-later
// The INVITE transactions that may still bring a call about: retries after a challenge, branches of a fork, hops of a
// proxy, all under one Call-ID. The call has failed when none of them is left.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "capture/base/address.h"
#include "capture/base/clock.h"
#include "capture/sip/message.h"

namespace spantape {

// How a transaction is told, in requests and in their answers alike: the topmost Via's branch (RFC 3261 §17.1.3), or,
// where there is none, the two addresses between which it runs; and the CSeq number.
struct LegKey {
    std::uint64_t branch = 0;  // hash; 0: none
    std::uint64_t path = 0;    // hash of both addresses, without direction
    std::uint32_t cseq = 0;

    [[nodiscard]] bool matches(const LegKey& other) const {
        if (cseq != other.cseq) return false;
        return branch != 0 && other.branch != 0 ? branch == other.branch : path == other.path;
    }
};
LegKey leg_key_of(const SipMessage& message, const Endpoint& source, const Endpoint& destination);

class InviteLegs {
public:
    // An INVITE. One with a higher CSeq of the same sender replaces what that sender had outstanding: a client starts
    // no second INVITE before the first is done (RFC 3261 §14.1).
    void open(const LegKey& key, std::uint64_t sender);
    // A final failure. True when the leg was outstanding.
    bool fail(const LegKey& key);
    // A CANCEL, which has the CSeq and branch of its INVITE (RFC 3261 §9.1); one of an unknown leg concerns all.
    void cancel(const LegKey& key, TimeNs time_ns);
    // Cancelled legs that stayed without answer until now count as failed; true when there was one.
    bool fail_cancelled_before(TimeNs time_ns);
    void clear() { legs_.clear(); }

    [[nodiscard]] bool known(const LegKey& key) const;
    [[nodiscard]] bool none_outstanding() const;
    [[nodiscard]] std::optional<TimeNs> first_cancel_ns() const;

private:
    struct Leg {
        LegKey key;
        std::uint64_t sender = 0;  // hash of the From tag
        bool failed = false;
        std::optional<TimeNs> cancelled_ns;
    };

    void make_room();

    std::vector<Leg> legs_;
};

}  // namespace spantape
