// SPDX-License-Identifier: AGPL-3.0-or-later
// Small helpers for line-based text from outside (SIP, SDP): views in, views out, nothing is assumed of the bytes.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace spantape::sip_text {

// Takes one line off the front of `rest`. A line ends at LF, CR LF or the end of the text; the ending is left out.
std::string_view take_line(std::string_view& rest);

// Takes the text before `separator` off the front of `rest`, and the separator; all of it when there is none.
std::string_view take_until(std::string_view& rest, char separator);

// Takes the next run of characters other than blanks; empty at the end.
std::string_view take_word(std::string_view& rest);

// Without blanks and control characters (NUL too: some senders count the terminating one) at both ends.
std::string_view trim(std::string_view text);

bool equal_ignoring_case(std::string_view left, std::string_view right);
bool begins_ignoring_case(std::string_view text, std::string_view prefix);
bool contains_ignoring_case(std::string_view text, std::string_view part);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);

// Text fit to be shown and to stand in XML and JSON: control characters left out, bytes that are no UTF-8 read as
// Latin-1, no longer than max_bytes or a little more.
std::string printable(std::string_view text, std::size_t max_bytes = 256);

// The number at the front of the text; nothing when it does not begin with a digit. One too large is the largest.
template <class T>
std::optional<T> leading_number(std::string_view text) {
    T value{};
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec == std::errc::result_out_of_range) return std::numeric_limits<T>::max();
    if (parsed.ec != std::errc{}) return std::nullopt;
    return value;
}

// Not cryptographic; for tables whose worst case under collision is a lost message.
std::uint64_t hash_bytes(std::span<const std::uint8_t> bytes, std::uint64_t seed = 0);
std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0);

}  // namespace spantape::sip_text
