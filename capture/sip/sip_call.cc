// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/sip_call.h"

#include <algorithm>

#include "capture/sip/text.h"

namespace spantape {

using sip_text::hash_text;

namespace {

constexpr std::size_t kMaxTags = 32;
constexpr std::size_t kMaxTold = 32;

CallParty other(CallParty party) { return party == CallParty::caller ? CallParty::callee : CallParty::caller; }

std::uint64_t hash_endpoints(const std::vector<MediaDescription>& media) {
    auto hash = static_cast<std::uint64_t>(media.front().party);
    for (const MediaDescription& description : media) hash = mix_bits(hash + hash_of(description.endpoint));
    return hash;
}

std::uint64_t hash_content(const std::vector<MediaDescription>& media) {
    std::uint64_t hash = 0;
    for (const MediaDescription& description : media) {
        hash = mix_bits(hash * 4 + (description.on_hold ? 2 : 0) + (description.srtp ? 1 : 0));
        hash = mix_bits(hash + static_cast<std::uint64_t>(description.srtp_profile));
        for (const SrtpKey& key : description.srtp_keys) {
            hash = sip_text::hash_bytes(key.key_and_salt, hash + static_cast<std::uint64_t>(key.suite));
            hash = sip_text::hash_bytes(key.mki, hash + key.mki_bytes);
        }
        for (const PayloadMapping& payload : description.payloads) {
            hash = hash_text(payload.encoding, hash + payload.payload_type);
            hash = hash_text(payload.format, hash + payload.clock_rate_hz * 256ULL + payload.channels);
        }
    }
    return hash;
}

}  // namespace

std::uint64_t identity_of(const SipAddress& address) {
    if (!address.tag.empty()) return hash_text(address.tag, 1);
    return hash_text(address.party.host, hash_text(address.party.user, 2));
}

std::optional<CallParty> PartyTags::find(const SipAddress& address) const {
    const std::uint64_t tag = identity_of(address);
    for (const Known& known : known_)
        if (known.tag == tag) return known.party;
    return std::nullopt;
}

CallParty PartyTags::requester(const SipMessage& message) const {
    if (const auto party = find(message.from)) return *party;
    if (!message.to.tag.empty())
        if (const auto party = find(message.to)) return other(*party);
    return CallParty::caller;  // a further leg of the same call
}

void PartyTags::learn(CallParty party, const SipAddress& address) {
    if (known_.size() < kMaxTags && !find(address)) known_.push_back({identity_of(address), party});
}

bool ToldMedia::is_news(const std::vector<MediaDescription>& media) {
    const bool holds = std::any_of(media.begin(), media.end(), [](const auto& one) { return one.on_hold; });
    auto& held = held_[static_cast<std::size_t>(media.front().party)];
    const bool hold_changed = held != holds;
    held = holds;

    const Told now{hash_endpoints(media), hash_content(media)};
    const auto before =
        std::find_if(told_.begin(), told_.end(), [&](const Told& told) { return told.endpoints == now.endpoints; });
    if (before != told_.end()) {
        const bool changed = before->content != now.content;
        *before = now;
        return changed || hold_changed;
    }
    if (told_.size() >= kMaxTold) told_.erase(told_.begin());
    told_.push_back(now);
    return true;
}

}  // namespace spantape
