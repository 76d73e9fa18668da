// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/terminal_text.h"

#include <cstdint>

namespace spantape::cli {
namespace {

constexpr char32_t kInvalid = 0xffffffff;

// Takes one character from the front of `rest` (not empty): its code point, or kInvalid and one byte taken.
char32_t take_character(std::string_view& rest, std::string_view& bytes) {
    const auto lead = static_cast<unsigned char>(rest[0]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xc2 && lead < 0xe0 ? 2
                               : lead >= 0xe0 && lead < 0xf0 ? 3
                               : lead >= 0xf0 && lead < 0xf5 ? 4
                                                             : 0;
    constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    char32_t code_point = length == 1 ? lead : lead & (0x7fU >> length);
    bool valid = length != 0 && rest.size() >= length;
    for (std::size_t i = 1; valid && i < length; ++i) {
        const auto byte = static_cast<unsigned char>(rest[i]);
        valid = (byte & 0xc0) == 0x80;
        code_point = code_point << 6 | (byte & 0x3fU);
    }
    const bool surrogate = code_point >= 0xd800 && code_point < 0xe000;
    valid = valid && code_point >= kSmallest[length] && code_point <= 0x10ffff && !surrogate;
    bytes = rest.substr(0, valid ? length : 1);
    rest.remove_prefix(bytes.size());
    return valid ? code_point : kInvalid;
}

bool is_unsafe(char32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == kInvalid;
}

std::size_t width_of(char32_t c) {
    if ((c >= 0x300 && c < 0x370) || (c >= 0x200b && c <= 0x200f) || (c >= 0xfe00 && c <= 0xfe0f)) return 0;
    const bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) || (c >= 0xac00 && c < 0xd7a4) ||
                      (c >= 0xf900 && c < 0xfb00) || (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
                      (c >= 0x1f300 && c < 0x1f650) || (c >= 0x1f900 && c < 0x1fa00) || (c >= 0x20000 && c < 0x40000);
    return wide ? 2 : 1;
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    std::string_view bytes;
    while (!text.empty()) {
        if (is_unsafe(take_character(text, bytes))) {
            out += '?';
        } else {
            out += bytes;
        }
    }
    return out;
}

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    std::string_view bytes;
    while (!text.empty()) width += width_of(take_character(text, bytes));
    return width;
}

std::string cut_to(std::string_view text, std::size_t columns) {
    if (display_width(text) <= columns) return std::string(text);
    if (columns == 0) return {};
    std::string out;
    std::size_t width = 0;
    std::string_view bytes;
    while (!text.empty()) {
        width += width_of(take_character(text, bytes));
        if (width > columns - 1) break;
        out += bytes;
    }
    return out + "…";
}

}  // namespace spantape::cli
