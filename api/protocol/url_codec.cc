// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/url_codec.h"

#include "api/protocol/xml_text.h"

namespace spantape::api {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char letter = upper(c);
    return letter >= 'A' && letter <= 'F' ? letter - 'A' + 10 : -1;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '+' && plus_is_space) {
            decoded += ' ';
        } else if (text[at] != '%') {
            decoded += text[at];
        } else {
            const int high = at + 2 < text.size() ? hex_digit(text[at + 1]) : -1;
            const int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
            if (high < 0 || low < 0) return fail("'%' without two hexadecimal digits at byte {} of a value", at);
            decoded += static_cast<char>(high << 4 | low);
            at += 2;
        }
    }
    return decoded;
}

}  // namespace

Result<Target> split_target(std::string_view target) {
    if (const auto scheme = target.find("://"); !target.starts_with('/') && scheme != std::string_view::npos) {
        const auto path = target.find_first_of("/?", scheme + 3);
        target = path == std::string_view::npos ? std::string_view{"/"} : target.substr(path);
    }
    target = target.substr(0, target.find('#'));
    const auto question = target.find('?');
    auto path = percent_decode(target.substr(0, question), false);
    if (!path) return std::unexpected(path.error());
    const bool has_query = question != std::string_view::npos;
    return Target{std::move(*path), has_query ? target.substr(question + 1) : std::string_view{}};
}

Result<Parameters> decode_form(std::string_view form) {
    Parameters parameters;
    while (!form.empty()) {
        const std::string_view pair = form.substr(0, form.find('&'));
        form.remove_prefix(std::min(pair.size() + 1, form.size()));
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        auto name = percent_decode(pair.substr(0, equals), true);
        if (!name) return std::unexpected(name.error());
        auto value = percent_decode(equals == std::string_view::npos ? "" : pair.substr(equals + 1), true);
        if (!value) return std::unexpected(value.error());
        parameters.emplace_back(std::move(*name), std::move(*value));
    }
    return parameters;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    constexpr std::string_view kMarks = "-._~";
    std::string encoded;
    for (const char c : text) {
        const char letter = upper(c);
        const bool plain = (letter >= 'A' && letter <= 'Z') || (c >= '0' && c <= '9') || kMarks.contains(c);
        if (plain) {
            encoded += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
        }
    }
    return encoded;
}

}  // namespace spantape::api
