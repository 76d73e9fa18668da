// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/xml_text.h"

#include <algorithm>

namespace spantape::api {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// Length of the valid XML character that starts at `at` with a byte of 0x80 or above; 0 when there is none.
std::size_t wide_character_bytes(std::string_view text, std::size_t at) {
    Utf8Checker checker;
    for (std::size_t i = at; i < text.size(); ++i) {
        if (!checker.take(static_cast<unsigned char>(text[i]))) return 0;
        if (!checker.inside()) return i + 1 - at;
    }
    return 0;
}

bool needs_no_escape(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x80 && c != '<' && c != '>' && c != '&';
}

}  // namespace

std::string upper_case(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), upper);
    return result;
}

bool equal_ignoring_case(std::string_view left, std::string_view right) {
    return std::ranges::equal(left, right, {}, upper, upper);
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

bool Utf8Checker::lead(unsigned char byte) {
    if (byte >= 0xc2 && byte < 0xe0) {
        code_point_ = byte & 0x1f;
        smallest_ = 0x80;
        missing_ = 1;
    } else if (byte >= 0xe0 && byte < 0xf0) {
        code_point_ = byte & 0x0f;
        smallest_ = 0x800;
        missing_ = 2;
    } else if (byte >= 0xf0 && byte < 0xf5) {
        code_point_ = byte & 0x07;
        smallest_ = 0x10000;
        missing_ = 3;
    } else {
        return false;
    }
    return true;
}

bool Utf8Checker::follow(unsigned char byte) {
    if ((byte & 0xc0) != 0x80) return false;
    code_point_ = code_point_ << 6 | (byte & 0x3f);
    if (--missing_ > 0) return true;
    return code_point_ >= smallest_ && is_xml_character(code_point_);
}

bool is_xml_text(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto byte = static_cast<unsigned char>(text[at]);
        const std::size_t bytes = byte < 0x80 ? is_xml_character(byte) : wide_character_bytes(text, at);
        if (bytes == 0) return false;
        at += bytes;
    }
    return true;
}

void append_escaped(std::string& out, std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        std::size_t plain = at;
        while (plain < text.size() && needs_no_escape(text[plain])) ++plain;
        out.append(text, at, plain - at);
        at = plain;
        if (at == text.size()) return;
        std::size_t bytes = 1;
        switch (text[at]) {
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '&':
                out += "&amp;";
                break;
            case '\r':
                out += "&#13;";
                break;
            case '\n':
                out += "&#10;";
                break;
            case '\t':
                out += '\t';
                break;
            default:
                bytes = wide_character_bytes(text, at);
                out += bytes == 0 ? kReplacement : text.substr(at, bytes);
                bytes = std::max<std::size_t>(bytes, 1);
        }
        at += bytes;
    }
}

}  // namespace spantape::api
