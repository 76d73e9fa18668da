// SPDX-License-Identifier: AGPL-3.0-or-later
// What is remembered of one call that SIP shows: whose tag is whose, which INVITEs are outstanding, which media
// descriptions were told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "capture/base/clock.h"
#include "capture/sip/events.h"
#include "capture/sip/invite_legs.h"
#include "capture/sip/message.h"

namespace spantape {

// Which party sent a message, by the tags of From and To. Several legs of one Call-ID may have tags of their own.
class PartyTags {
public:
    // From names the sender of the request, in its answers too.
    [[nodiscard]] CallParty requester(const SipMessage& message) const;
    void learn(CallParty party, const SipAddress& address);

private:
    struct Known {
        std::uint64_t tag = 0;
        CallParty party = CallParty::caller;
    };
    [[nodiscard]] std::optional<CallParty> find(const SipAddress& address) const;

    std::vector<Known> known_;
};

// A tag as a number; that of a peer without tags (RFC 2543) comes from its URI.
std::uint64_t identity_of(const SipAddress& address);

// Tells new or changed media from what was told already.
class ToldMedia {
public:
    // True when `media` (of one party, not empty) differs from what was last told of its endpoints, or when the party
    // held or resumed since; it counts as told then.
    bool is_news(const std::vector<MediaDescription>& media);

private:
    struct Told {
        std::uint64_t endpoints = 0;  // hash of party, addresses and ports
        std::uint64_t content = 0;    // hash of all the rest
    };
    std::vector<Told> told_;
    std::optional<bool> held_[2];  // by party: its last description was on hold
};

struct SipCall {
    std::uint64_t number = 0;
    std::string call_id;
    PartyTags tags;
    InviteLegs legs;  // while unanswered
    ToldMedia media;
    bool answered = false;
    bool response_seen = false;
    std::uint32_t highest_cseq = 0;  // of its INVITEs that are outside of a dialog
    int failure_status = 0;          // all legs failed with this, and one may be tried again until retry_until_ns
    std::optional<TimeNs> retry_until_ns;
    TimeNs last_message_ns = 0;
    std::optional<TimeNs> deadline_ns;  // kept by CallTable
};

}  // namespace spantape
