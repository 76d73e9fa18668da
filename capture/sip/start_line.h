// SPDX-License-Identifier: AGPL-3.0-or-later
// The first line of a SIP message (RFC 3261 §7.1, §7.2), told from any other line: what a byte stream is searched for
// where its messages' borders are not known. Any thread; no allocation.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace spantape {

// line: one whole line without its ending. True for METHOD SP URI SP "SIP/2.0" and "SIP/2.0" SP 3 digits; stricter
// than looks_like_sip(), for HTTP and RTSP have methods of the same names.
[[nodiscard]] bool is_sip_start_line(std::string_view line);

// Where in a line a start line of a known method or an answer begins and lasts to the line's end: a body that lacks its
// line end may stand before it. npos: nowhere.
[[nodiscard]] std::size_t find_sip_start_line(std::string_view line);

// True when `bytes` begin with a whole start line; blank lines before it do not count (RFC 3261 §7.5).
[[nodiscard]] bool begins_with_sip_start_line(std::span<const std::uint8_t> bytes);

// True when `bytes` are nothing but CR and LF: keep-alives (RFC 5626 §3.5.1).
[[nodiscard]] bool only_line_ends(std::span<const std::uint8_t> bytes);

}  // namespace spantape
