// SPDX-License-Identifier: AGPL-3.0-or-later
// SDP (RFC 8866) -> where and how one party wants to receive audio.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "capture/sip/events.h"

namespace spantape {

// The audio media descriptions of `sdp`, all for `party`. Left out: media other than audio, transports other than RTP,
// port 0, and audio whose address is missing or no IP address. An m= line with several c= addresses gives one
// description each. Payload types without a=rtpmap are filled in from RFC 3551 §6; dynamic ones without are left out.
// Lenient: lines that are not understood are skipped. Any thread.
std::vector<MediaDescription> parse_sdp(std::string_view sdp, CallParty party);

// The static assignment of an audio payload type (RFC 3551 §6); nullopt when it has none.
std::optional<PayloadMapping> static_payload(std::uint8_t payload_type);

}  // namespace spantape
