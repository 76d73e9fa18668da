// SPDX-License-Identifier: AGPL-3.0-or-later
// Which media belongs to which session: the endpoints that signalling named (or a device's address), and the rule that
// decides for a new flow. One worker owns it; touched only when a decision comes or a new stream appears.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "capture/rtp/payload_clock.h"
#include "capture/rtp/srtp.h"
#include "capture/rtp/stream_handle.h"
#include "capture/sip/events.h"

namespace spantape {

// A flow's part in a session.
struct SessionMatch {
    std::uint64_t session = 0;
    CallParty sender = CallParty::caller;
    bool exact = false;  // both ends were named by the session
};

struct MediaSession {
    struct Watched {
        Endpoint endpoint;
        CallParty party = CallParty::caller;
        PayloadClocks clocks;
        SrtpProfile srtp = SrtpProfile::clear;
        SrtpContexts keys;  // with which the party sends from there; newest last
    };
    std::vector<Watched> endpoints;
    std::vector<std::uint32_t> streams;  // slots
    TimeNs from_ns = 0;                  // what look-back holds from before is left out
    bool secure = false;                 // some description of it spoke of SRTP
};

// What a session says of a flow's encryption.
struct SrtpTerms {
    SrtpProfile profile = SrtpProfile::clear;
    SrtpContexts keys;
};

class SessionTable {
public:
    // `party` of `session` receives (and most often sends) at `endpoint`; port 0: at any port of the address. `clocks`:
    // what it said of payload types; those that it named before and does not name again keep their meaning. Said again:
    // with this profile from now on.
    void watch(std::uint64_t session, const Endpoint& endpoint, CallParty party, const PayloadClocks& clocks = {},
               SrtpProfile srtp = SrtpProfile::clear);
    // A key with which `party` sends from `endpoint`; those that were told before stay, for what is under way.
    void add_key(std::uint64_t session, const Endpoint& endpoint, CallParty party, const SrtpKey& key);
    // Forgets the session's endpoints; the session itself stays until erase().
    void unwatch(std::uint64_t session);
    void erase(std::uint64_t session);
    [[nodiscard]] MediaSession* find(std::uint64_t session);
    [[nodiscard]] std::size_t size() const { return sessions_.size(); }

    // The sessions that a flow belongs to. All whose one party receives at its destination and whose other party sends
    // from its source (two dialogs of a back-to-back user agent may describe the same media); else the newest that
    // knows the destination; else the newest that knows the source (NAT, media that moved); else the same by address
    // alone for port 0. Empty: nobody's.
    [[nodiscard]] std::vector<SessionMatch> match(const FlowKey& flow) const;
    // RTP clock of a payload type of the flow in `session`, Hz: as its receiver said, else its sender, else anyone; 0:
    // nobody did.
    [[nodiscard]] std::uint32_t clock_rate_hz(std::uint64_t session, const FlowKey& flow,
                                              std::uint8_t payload_type) const;

    // One Call-ID may have two legs, one in clear and one not (a proxy with a media relay): the flow's own
    // endpoints say which it is on. Those of its source are the sender's words, keys included, for RTP is symmetric
    // (RFC 4961); else its destination tells the leg, and the keys are all that the sender's party has named.
    [[nodiscard]] SrtpTerms srtp_terms(const MediaSession& session, const FlowKey& flow, CallParty sender) const;

private:
    struct Watch {
        std::uint64_t session = 0;
        CallParty party = CallParty::caller;
    };
    MediaSession::Watched& watched(std::uint64_t session, const Endpoint& endpoint, CallParty party);
    [[nodiscard]] const std::vector<Watch>* watches_at(const Endpoint& endpoint) const;

    std::unordered_map<Endpoint, std::vector<Watch>, EndpointHash> watches_;
    std::unordered_map<std::uint64_t, MediaSession> sessions_;
};

}  // namespace spantape
