// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/invite_legs.h"

#include <algorithm>

#include "capture/sip/text.h"

namespace spantape {

namespace {
constexpr std::size_t kMaxLegs = 64;  // a call, however often it is forked
}

LegKey leg_key_of(const SipMessage& message, const Endpoint& source, const Endpoint& destination) {
    LegKey key;
    if (!message.via_branch.empty()) key.branch = sip_text::hash_text(message.via_branch) | 1;
    key.path = hash_of(source) + hash_of(destination);
    key.cseq = message.cseq;
    return key;
}

bool InviteLegs::known(const LegKey& key) const {
    return std::any_of(legs_.begin(), legs_.end(), [&](const Leg& leg) { return leg.key.matches(key); });
}

void InviteLegs::open(const LegKey& key, std::uint64_t sender) {
    if (known(key)) return;
    std::erase_if(legs_, [&](const Leg& leg) { return leg.sender == sender && leg.key.cseq < key.cseq; });
    make_room();
    legs_.push_back({key, sender, false, std::nullopt});
}

void InviteLegs::make_room() {
    if (legs_.size() < kMaxLegs) return;
    const auto done = std::find_if(legs_.begin(), legs_.end(), [](const Leg& leg) { return leg.failed; });
    legs_.erase(done != legs_.end() ? done : legs_.begin());
}

bool InviteLegs::fail(const LegKey& key) {
    for (Leg& leg : legs_)
        if (!leg.failed && leg.key.matches(key)) return leg.failed = true;
    return false;
}

void InviteLegs::cancel(const LegKey& key, TimeNs time_ns) {
    const bool one = known(key);
    for (Leg& leg : legs_)
        if (!leg.failed && !leg.cancelled_ns && (!one || leg.key.matches(key))) leg.cancelled_ns = time_ns;
}

bool InviteLegs::fail_cancelled_before(TimeNs time_ns) {
    bool any = false;
    for (Leg& leg : legs_) {
        if (leg.failed || !leg.cancelled_ns || *leg.cancelled_ns > time_ns) continue;
        leg.failed = any = true;
    }
    return any;
}

bool InviteLegs::none_outstanding() const {
    return std::all_of(legs_.begin(), legs_.end(), [](const Leg& leg) { return leg.failed; });
}

std::optional<TimeNs> InviteLegs::first_cancel_ns() const {
    std::optional<TimeNs> first;
    for (const Leg& leg : legs_)
        if (!leg.failed && leg.cancelled_ns) first = std::min(first.value_or(*leg.cancelled_ns), *leg.cancelled_ns);
    return first;
}

}  // namespace spantape
