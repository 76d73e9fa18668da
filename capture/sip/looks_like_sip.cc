// SPDX-License-Identifier: AGPL-3.0-or-later
// The worker's question to every UDP payload; apart from dialogs.cc, for it shares nothing with it.
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "capture/sip/dialogs.h"

namespace spantape {

bool looks_like_sip(std::span<const std::uint8_t> payload) {
    // RFC 3261, 3262 (PRACK), 3311 (UPDATE), 3428 (MESSAGE), 3515 (REFER), 3903 (PUBLISH), 6086 (INFO), 6665
    // (SUBSCRIBE, NOTIFY).
    static constexpr std::array<std::string_view, 15> kBeginnings{
        "SIP/2.0 ", "INVITE ", "ACK ",     "BYE ",   "CANCEL ",    "OPTIONS ", "REGISTER ", "PRACK ",
        "UPDATE ",  "INFO ",   "MESSAGE ", "REFER ", "SUBSCRIBE ", "NOTIFY ",  "PUBLISH "};
    std::string_view text(reinterpret_cast<const char*>(payload.data()), std::min<std::size_t>(payload.size(), 32));
    while (text.starts_with('\r') || text.starts_with('\n')) text.remove_prefix(1);  // RFC 3261 §7.5
    if (text.empty() || text.front() < 'A' || text.front() > 'U') return false;      // RTP leaves here
    return std::any_of(kBeginnings.begin(), kBeginnings.end(),
                       [&](std::string_view beginning) { return text.starts_with(beginning); });
}

}  // namespace spantape
