// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/session_table.h"

#include <algorithm>

namespace spantape {

namespace {
constexpr std::size_t kKeysPerEndpoint = 12;

CallParty other(CallParty party) { return party == CallParty::caller ? CallParty::callee : CallParty::caller; }
}  // namespace

void SessionTable::watch(std::uint64_t session, const Endpoint& endpoint, CallParty party, const PayloadClocks& clocks,
                         SrtpProfile srtp) {
    MediaSession::Watched& known = watched(session, endpoint, party);
    known.clocks.merge(clocks);
    known.srtp = srtp;
    sessions_[session].secure |= srtp != SrtpProfile::clear;
}

void SessionTable::add_key(std::uint64_t session, const Endpoint& endpoint, CallParty party, const SrtpKey& key) {
    SrtpContexts& keys = watched(session, endpoint, party).keys;
    if (std::any_of(keys.begin(), keys.end(), [&](const auto& known) { return known->key() == key; })) return;
    for (auto& context : SrtpContext::make(key)) {
        if (keys.size() >= kKeysPerEndpoint) keys.erase(keys.begin());
        keys.push_back(std::move(context));
    }
}

MediaSession::Watched& SessionTable::watched(std::uint64_t session, const Endpoint& endpoint, CallParty party) {
    MediaSession& media = sessions_[session];
    for (auto& known : media.endpoints)
        if (known.endpoint == endpoint && known.party == party) return known;
    media.endpoints.push_back({.endpoint = endpoint, .party = party});
    watches_[endpoint].push_back({session, party});  // newest last
    return media.endpoints.back();
}

SrtpTerms SessionTable::srtp_terms(const MediaSession& session, const FlowKey& flow, CallParty sender) const {
    SrtpTerms terms;
    if (!session.secure) return terms;
    const MediaSession::Watched* source = nullptr;
    const MediaSession::Watched* destination = nullptr;
    for (const auto& known : session.endpoints) {
        if (known.endpoint == flow.source && known.party == sender) source = &known;
        if (known.endpoint == flow.destination && known.party != sender) destination = &known;
        if (known.party != sender) continue;
        terms.profile = known.srtp;  // the newest
        terms.keys.insert(terms.keys.end(), known.keys.begin(), known.keys.end());
    }
    if (source != nullptr) terms = {source->srtp, source->keys};
    // An offer of either is settled by the other party's answer.
    if (destination != nullptr && (source == nullptr || source->srtp == SrtpProfile::offered))
        terms.profile = destination->srtp;
    return terms;
}

void SessionTable::unwatch(std::uint64_t session) {
    MediaSession* media = find(session);
    if (media == nullptr) return;
    for (const auto& known : media->endpoints) {
        const auto at = watches_.find(known.endpoint);
        if (at == watches_.end()) continue;
        std::erase_if(at->second, [session](const Watch& watch) { return watch.session == session; });
        if (at->second.empty()) watches_.erase(at);
    }
    media->endpoints.clear();
}

void SessionTable::erase(std::uint64_t session) {
    unwatch(session);
    sessions_.erase(session);
}

MediaSession* SessionTable::find(std::uint64_t session) {
    const auto at = sessions_.find(session);
    return at == sessions_.end() ? nullptr : &at->second;
}

const std::vector<SessionTable::Watch>* SessionTable::watches_at(const Endpoint& endpoint) const {
    const auto at = watches_.find(endpoint);
    return at == watches_.end() ? nullptr : &at->second;
}

std::vector<SessionMatch> SessionTable::match(const FlowKey& flow) const {
    const auto* to = watches_at(flow.destination);
    const auto* from = watches_at(flow.source);
    std::vector<SessionMatch> both;
    if (to != nullptr && from != nullptr) {
        for (const Watch& receiver : *to)
            for (const Watch& sender : *from)
                if (receiver.session == sender.session && receiver.party != sender.party)
                    both.push_back({receiver.session, sender.party, true});
    }
    if (!both.empty()) return both;
    if (to != nullptr) return {{to->back().session, other(to->back().party)}};
    if (from != nullptr) return {{from->back().session, from->back().party}};

    to = watches_at({flow.destination.ip, 0});
    from = watches_at({flow.source.ip, 0});
    if (from != nullptr) return {{from->back().session, from->back().party}};
    if (to != nullptr) return {{to->back().session, other(to->back().party)}};
    return {};
}

std::uint32_t SessionTable::clock_rate_hz(std::uint64_t session, const FlowKey& flow, std::uint8_t payload_type) const {
    const auto at = sessions_.find(session);
    if (at == sessions_.end()) return 0;
    std::uint32_t rates_hz[3] = {};  // receiver's, sender's, another's
    for (const auto& watched : at->second.endpoints) {
        const std::size_t who = watched.endpoint == flow.destination ? 0 : watched.endpoint == flow.source ? 1 : 2;
        if (rates_hz[who] == 0) rates_hz[who] = watched.clocks.rate_hz(payload_type);
    }
    for (const std::uint32_t rate_hz : rates_hz)
        if (rate_hz != 0) return rate_hz;
    return 0;
}

}  // namespace spantape
