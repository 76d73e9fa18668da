// SPDX-License-Identifier: AGPL-3.0-or-later
// Characters and text as XML 1.0 has them (§2.2 Char, §2.4 escaping), letter case and blanks as the API has them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace spantape::api {

// XML 1.0 §2.2.
[[nodiscard]] constexpr bool is_xml_character(std::uint32_t code_point) {
    if (code_point < 0x20) return code_point == '\t' || code_point == '\n' || code_point == '\r';
    if (code_point >= 0xd800 && code_point < 0xe000) return false;
    return code_point <= 0x10ffff && code_point != 0xfffe && code_point != 0xffff;
}

[[nodiscard]] constexpr bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
[[nodiscard]] constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

[[nodiscard]] std::string upper_case(std::string_view text);  // ASCII letters only
[[nodiscard]] bool equal_ignoring_case(std::string_view left, std::string_view right);
[[nodiscard]] std::string_view trimmed(std::string_view text);

// UTF-8 byte by byte (RFC 3629: no overlong forms, no surrogates), refusing what XML 1.0 does not allow.
class Utf8Checker {
public:
    // A byte of 0x80 or above that starts a character, or any byte while inside() is true. False: not UTF-8, or a
    // character outside XML 1.0.
    bool take(unsigned char byte) { return inside() ? follow(byte) : lead(byte); }
    [[nodiscard]] bool inside() const { return missing_ != 0; }
    [[nodiscard]] std::uint32_t code_point() const { return code_point_; }  // when not inside()
    void reset() { missing_ = 0; }

private:
    bool lead(unsigned char byte);
    bool follow(unsigned char byte);

    std::uint32_t code_point_ = 0;
    std::uint32_t smallest_ = 0;  // below it the form would be overlong
    int missing_ = 0;
};

// UTF-8 of XML 1.0 characters throughout.
[[nodiscard]] bool is_xml_text(std::string_view text);

// Appends text escaped for element content. CR and LF become references, so that a document stays one line and a
// value comes back as it was sent; a byte that is not XML text becomes U+FFFD.
void append_escaped(std::string& out, std::string_view text);

}  // namespace spantape::api
