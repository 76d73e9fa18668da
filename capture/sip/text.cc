// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/text.h"

#include <algorithm>
#include <cstring>

#include "capture/base/address.h"

namespace spantape::sip_text {

namespace {

// Locale-free on purpose: protocol text is ASCII.
constexpr char lower(char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}
constexpr char upper(char letter) {
    return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
}
constexpr bool is_blank_or_control(char letter) { return static_cast<unsigned char>(letter) <= ' ' || letter == 0x7f; }
constexpr bool same_letter(char left, char right) { return lower(left) == lower(right); }

// Length of the well-formed UTF-8 sequence (RFC 3629 §4) at the front of the text, 0 when there is none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
    const bool surrogate = lead == 0xed && byte(1) >= 0xa0;
    const bool beyond = lead == 0xf4 && byte(1) >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

void append_latin1(std::string& out, char letter) {
    const auto byte = static_cast<unsigned char>(letter);
    out += static_cast<char>(0xc0 | byte >> 6);
    out += static_cast<char>(0x80 | (byte & 0x3f));
}

}  // namespace

std::string_view take_line(std::string_view& rest) {
    std::string_view line = take_until(rest, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::string_view take_until(std::string_view& rest, char separator) {
    const std::size_t end = rest.find(separator);
    const std::string_view taken = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return taken;
}

std::string_view take_word(std::string_view& rest) {
    const auto* begin = std::find_if_not(rest.begin(), rest.end(), is_blank_or_control);
    const auto* end = std::find_if(begin, rest.end(), is_blank_or_control);
    const std::string_view word(begin, end);
    rest = std::string_view(end, rest.end());
    return word;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank_or_control(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank_or_control(text.back())) text.remove_suffix(1);
    return text;
}

bool equal_ignoring_case(std::string_view left, std::string_view right) {
    return left.size() == right.size() && std::equal(left.begin(), left.end(), right.begin(), same_letter);
}

bool begins_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() && equal_ignoring_case(text.substr(0, prefix.size()), prefix);
}

bool contains_ignoring_case(std::string_view text, std::string_view part) {
    return std::search(text.begin(), text.end(), part.begin(), part.end(), same_letter) != text.end();
}

std::string to_upper(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), upper);
    return result;
}

std::string to_lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(), lower);
    return result;
}

std::string printable(std::string_view text, std::size_t max_bytes) {
    std::string result;
    while (!text.empty() && result.size() < max_bytes) {
        const std::size_t length = utf8_length(text);
        const bool control = length == 1 && (static_cast<unsigned char>(text[0]) < ' ' || text[0] == 0x7f);
        if (length == 0)
            append_latin1(result, text[0]);
        else if (!control)
            result += text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return result;
}

std::uint64_t hash_bytes(std::span<const std::uint8_t> bytes, std::uint64_t seed) {
    std::uint64_t hash = mix_bits(seed ^ (bytes.size() + 0x9e3779b97f4a7c15ULL));
    while (bytes.size() >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        hash = mix_bits(hash ^ word);
        bytes = bytes.subspan(8);
    }
    std::uint64_t last = 0;
    if (!bytes.empty()) std::memcpy(&last, bytes.data(), bytes.size());
    return mix_bits(hash ^ last);
}

std::uint64_t hash_text(std::string_view text, std::uint64_t seed) {
    return hash_bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, seed);
}

}  // namespace spantape::sip_text
