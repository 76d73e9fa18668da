// SPDX-License-Identifier: AGPL-3.0-or-later
// One generated call: its addresses, its SIP messages in order, its two streams.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/gen/options.h"
#include "tools/gen/packet.h"

namespace spantape::gen {

struct SipMessage {
    TimeNs time_ns = 0;
    bool from_caller = true;
    std::string text;
};

struct GenStream {
    std::uint32_t number = 0;  // 2 * call, + 1 for the callee's
    std::uint32_t ssrc = 0;
    Peer from, to;
    std::uint16_t first_sequence = 0;
    std::uint32_t first_timestamp = 0;
    TimeNs first_ns = 0;  // when its first packet is due
    TimeNs last_ns = 0;   // when its last packet was sent
    PacketBuffer packet;  // headers in place

    std::uint32_t sent = 0;  // without duplicates
    std::uint32_t duplicates = 0;
    std::uint32_t reordered = 0;
    std::vector<std::uint32_t> lost;  // packet numbers

    GenStream(const GenOptions& options, std::uint32_t number, const Peer& from, const Peer& to, TimeNs first_ns);
    // RTP header for one packet; the payload follows it.
    std::uint8_t* begin_packet(const GenOptions& options, std::uint32_t packet_number);
};

struct GenCall {
    std::uint32_t number = 0;
    std::string call_id, from_user, to_user;
    Peer caller_sip, callee_sip;
    TimeNs start_ns = 0, answer_ns = 0;
    TimeNs bye_ns = 0;                 // 0: none
    std::vector<SipMessage> messages;  // in order of time
    std::array<GenStream, 2> streams;  // caller's, callee's
    int outstanding = 0;               // events to come

    GenCall(const GenOptions& options, std::uint32_t number, TimeNs start_ns);
};

}  // namespace spantape::gen
