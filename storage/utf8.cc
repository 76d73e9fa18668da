// SPDX-License-Identifier: AGPL-3.0-or-later
// valid_utf8(): texts of a recording come from the wire and must end as valid JSON and XML.
#include <cstdint>

#include "storage/recording.h"

namespace spantape {

namespace {

struct LeadByte {
    int length = 0;                                      // of the sequence; 0: no lead byte
    std::uint8_t second_low = 0x80, second_high = 0xbf;  // excludes overlong forms, surrogates and beyond U+10FFFF
};

// RFC 3629 §4.
LeadByte lead_byte(std::uint8_t byte) {
    if (byte < 0x80) return {1};
    if (byte >= 0xc2 && byte <= 0xdf) return {2};
    if (byte == 0xe0) return {3, 0xa0, 0xbf};
    if (byte == 0xed) return {3, 0x80, 0x9f};
    if (byte >= 0xe1 && byte <= 0xef) return {3};
    if (byte == 0xf0) return {4, 0x90, 0xbf};
    if (byte >= 0xf1 && byte <= 0xf3) return {4};
    if (byte == 0xf4) return {4, 0x80, 0x8f};
    return {};
}

// Bytes of the valid sequence that begins `text`, 0 when there is none.
std::size_t sequence_bytes(std::string_view text) {
    const LeadByte lead = lead_byte(static_cast<std::uint8_t>(text[0]));
    const auto length = static_cast<std::size_t>(lead.length);
    if (length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        const auto byte = static_cast<std::uint8_t>(text[i]);
        const bool fits = i == 1 ? byte >= lead.second_low && byte <= lead.second_high : (byte & 0xc0) == 0x80;
        if (!fits) return 0;
    }
    return length;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
    std::string valid;
    valid.reserve(text.size());
    while (!text.empty()) {
        const std::size_t bytes = sequence_bytes(text);
        if (bytes == 0)
            valid += "\xef\xbf\xbd";
        else
            valid += text.substr(0, bytes);
        text.remove_prefix(bytes == 0 ? 1 : bytes);
    }
    return valid;
}

}  // namespace spantape
