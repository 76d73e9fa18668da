// SPDX-License-Identifier: AGPL-3.0-or-later
// SDES: the SRTP keys of an SDP's a=crypto lines (RFC 4568). A party's lines name the keys with which it sends.
#pragma once

#include <string_view>
#include <vector>

#include "capture/rtp/srtp_key.h"

namespace spantape {

// The keys of one line, `value` being what follows "a=crypto:"; several when it has MKIs. None when the line is broken,
// its suite is none of ours, or it asks for what we cannot do: a key derivation rate, SRTP that is not encrypted or not
// authenticated, or a parameter that we do not know and that must be known (RFC 4568 §6.3.7). What does not concern a
// listener is passed over: the lifetime, UNENCRYPTED_SRTCP, WSH (how far a receiver should look back), and FEC_ORDER
// and FEC_KEY, which are about a stream of its own. Any thread.
std::vector<SrtpKey> parse_sdp_crypto(std::string_view value);

}  // namespace spantape
