// SPDX-License-Identifier: AGPL-3.0-or-later
// What the signalling thread tells the control plane: calls as SIP shows them, and registrations.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <strings.h>

#include "capture/base/address.h"
#include "capture/base/clock.h"
#include "capture/rtp/srtp_key.h"

namespace spantape {

// One payload type of an SDP media description (RFC 8866 §5.14, §6.6).
struct PayloadMapping {
    std::uint8_t payload_type = 0;
    std::string encoding;             // upper case, as registered: "PCMU", "PCMA", "G722", "telephone-event" lower
    std::uint32_t clock_rate_hz = 0;  // RTP clock
    std::uint8_t channels = 1;
    std::string format;  // a=fmtp, verbatim
};

enum class CallParty : std::uint8_t { caller, callee };

// Whether frames of this type are audio itself, a steady stream of it: not tones, noise or redundancy.
[[nodiscard]] inline bool is_audio(const PayloadMapping& payload) {
    constexpr std::array kOthers{"telephone-event", "tone", "CN", "red"};
    return std::ranges::none_of(kOthers,
                                [&](const char* other) { return strcasecmp(payload.encoding.c_str(), other) == 0; });
}

// Whether its packets may carry, once more, audio of those before them (RED, RFC 2198; Opus with FEC); how far back.
[[nodiscard]] inline bool repeats_audio(const PayloadMapping& payload) {
    constexpr std::array kRepeating{"red", "opus"};
    return std::ranges::any_of(kRepeating,
                               [&](const char* one) { return strcasecmp(payload.encoding.c_str(), one) == 0; });
}
inline constexpr TimeNs kRepeatsNs = 200 * kNsPerMs;

// Where one party said (in an offer or an answer) that it wants to receive audio.
struct MediaDescription {
    CallParty party = CallParty::caller;
    Endpoint endpoint;  // receiving address and RTP port; ip unspecified = old-style hold (RFC 3264 §8.4)
    std::vector<PayloadMapping> payloads;
    bool on_hold = false;  // sendonly, inactive or 0.0.0.0
    bool srtp = false;     // RTP/SAVP or a=crypto
    SrtpProfile srtp_profile = SrtpProfile::clear;
    std::vector<SrtpKey> srtp_keys;  // with which this party sends, as offered or answered; for the workers alone
};

struct SipParty {
    std::string user;          // user part, unescaped; empty when the URI has none
    std::string host;          // host part
    std::string display_name;  // without quotes
};

// The first INVITE of a dialog (or, when the capture began later, the first message of it that was understood).
struct SipCallStarted {
    std::uint64_t call = 0;  // names the call in later events; rises, never reused by this process
    std::string call_id;     // RFC 3261 §8.1.1.4
    SipParty from;
    SipParty to;
    std::string request_user;  // user part of the Request-URI; empty when no INVITE was seen
    Endpoint caller_signalling;
    Endpoint callee_signalling;
    bool from_beginning = true;  // false: the call was going on already
};
// New or changed media addresses of a call: offers and answers in any message (INVITE, 18x, 200, PRACK, ACK, UPDATE,
// re-INVITE). Several audio m= lines come as several descriptions. Video and m= lines with port 0 are left out.
struct SipCallMedia {
    std::uint64_t call = 0;
    std::vector<MediaDescription> media;
};
struct SipCallAnswered {  // first 2xx to the INVITE
    std::uint64_t call = 0;
};
enum class SipCallEnd : std::uint8_t { bye, cancelled, failed };
struct SipCallEnded {
    std::uint64_t call = 0;
    SipCallEnd reason = SipCallEnd::bye;
    int status = 0;  // final SIP status for failed (e.g. 486), else 0
};
// A 2xx to a REGISTER bound `user` to an address, or unbound it (expires 0).
struct SipRegistered {
    std::string user;
    IpAddress address;  // the phone's, as its packets show it
    std::string contact_user;
    std::uint32_t expires_s = 0;
};

struct SipEvent {
    TimeNs time_ns = 0;  // capture time of the message that made it
    std::variant<SipCallStarted, SipCallMedia, SipCallAnswered, SipCallEnded, SipRegistered> what;
};

}  // namespace spantape
