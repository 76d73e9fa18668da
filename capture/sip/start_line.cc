// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/start_line.h"

#include <algorithm>

#include "capture/sip/dialogs.h"

namespace spantape {

namespace {

constexpr std::string_view kVersion = "SIP/2.0";
constexpr std::size_t kLongestMethodBytes = 32;
constexpr std::size_t kLongestStartLineBytes = 2048;

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }
bool is_capital(char letter) { return letter >= 'A' && letter <= 'Z'; }
bool is_line_end(char letter) { return letter == '\r' || letter == '\n'; }

bool is_status_line(std::string_view line) {
    if (!line.starts_with(kVersion)) return false;
    line.remove_prefix(kVersion.size());
    return line.size() >= 4 && line[0] == ' ' && line[1] >= '1' && line[1] <= '6' && is_digit(line[2]) &&
           is_digit(line[3]) && (line.size() == 4 || line[4] == ' ');
}

// Methods to come are allowed; those there are consist of capitals.
bool is_method(std::string_view word) {
    return !word.empty() && word.size() <= kLongestMethodBytes && is_capital(word.front()) &&
           std::all_of(word.begin(), word.end(), [](char letter) {
               return is_capital(letter) || is_digit(letter) || letter == '-' || letter == '_' || letter == '.';
           });
}

bool is_request_line(std::string_view line) {
    if (!line.ends_with(kVersion)) return false;
    line.remove_suffix(kVersion.size());
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || !is_method(line.substr(0, space))) return false;
    const std::string_view uri = line.substr(space + 1);
    const std::size_t colon = uri.find(':');
    return uri.ends_with(' ') && colon != std::string_view::npos && colon > 0 && uri.front() != ' ';
}

}  // namespace

bool is_sip_start_line(std::string_view line) {
    while (line.ends_with(' ') || line.ends_with('\r')) line.remove_suffix(1);
    return is_status_line(line) || is_request_line(line);
}

std::size_t find_sip_start_line(std::string_view line) {
    for (std::size_t at = 0; at < line.size(); ++at) {
        const std::string_view rest = line.substr(at);
        if (looks_like_sip({reinterpret_cast<const std::uint8_t*>(rest.data()), rest.size()}) &&
            is_sip_start_line(rest))
            return at;
    }
    return std::string_view::npos;
}

bool begins_with_sip_start_line(std::span<const std::uint8_t> bytes) {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kLongestStartLineBytes));
    while (!text.empty() && is_line_end(text.front())) text.remove_prefix(1);
    if (text.empty() || !is_capital(text.front())) return false;  // most of what is not SIP leaves here
    const std::size_t end = text.find('\n');
    return end != std::string_view::npos && is_sip_start_line(text.substr(0, end));
}

bool only_line_ends(std::span<const std::uint8_t> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == '\r' || byte == '\n'; });
}

}  // namespace spantape
