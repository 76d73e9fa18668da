// SPDX-License-Identifier: AGPL-3.0-or-later
// Bytes -> SIP message (RFC 3261 §7), as far as following calls and registrations needs it. The lines are taken
// apart here, so that one broken header costs no more than itself; URIs and name-addr headers are read by libosip2,
// which only message.cc knows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "capture/sip/events.h"

namespace spantape {

enum class SipMethod : std::uint8_t { invite, ack, bye, cancel, prack, update, register_, other };

// From or To.
struct SipAddress {
    SipParty party;
    std::string tag;  // RFC 3261 §19.3; empty when there is none
};

struct SipContact {
    std::string user;
    std::string host_port;                   // as one text, only to be compared
    std::optional<std::uint32_t> expires_s;  // RFC 3261 §10.2.1.1
    bool all = false;                        // "*"
};

struct SipMessage {
    int status = 0;                       // 0: a request
    SipMethod method = SipMethod::other;  // of the request, or of the request that is answered (CSeq)
    std::string request_user;             // user part of the Request-URI
    std::string call_id;
    std::uint32_t cseq = 0;
    SipAddress from;
    SipAddress to;
    std::string via_branch;  // of the topmost Via; empty when it has none
    std::vector<SipContact> contacts;
    std::optional<std::uint32_t> expires_s;  // Expires header
    std::string content_type;
    std::string_view body;  // within the bytes that were parsed

    [[nodiscard]] bool is_request() const { return status == 0; }
};

// Takes one datagram. Understood all the same: junk or blank lines before the start line, bare LF, folded and compact
// headers (RFC 3261 §7.3.3), NUL bytes, broken headers among good ones. Content-Length is not looked at: the
// datagram's end ends the body (RFC 3261 §18.3). Nothing when there is no start line, no Call-ID, or, in a response,
// no CSeq. Any thread.
std::optional<SipMessage> parse_sip_message(std::span<const std::uint8_t> bytes);

}  // namespace spantape
