// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/sdp_crypto.h"

#include <algorithm>
#include <array>
#include <optional>

#include "capture/sip/text.h"

namespace spantape {

using namespace sip_text;

namespace {

constexpr std::size_t kMaxKeysPerLine = 4;

struct SuiteName {
    std::string_view name;
    SrtpSuite suite;
};
// The AES_CM_256 spelling is that of the drafts of RFC 6188; phones still send it.
constexpr std::array<SuiteName, 10> kSuites{{
    {"AES_CM_128_HMAC_SHA1_80", SrtpSuite::aes_cm_128_hmac_sha1_80},
    {"AES_CM_128_HMAC_SHA1_32", SrtpSuite::aes_cm_128_hmac_sha1_32},
    {"AES_192_CM_HMAC_SHA1_80", SrtpSuite::aes_192_cm_hmac_sha1_80},
    {"AES_192_CM_HMAC_SHA1_32", SrtpSuite::aes_192_cm_hmac_sha1_32},
    {"AES_256_CM_HMAC_SHA1_80", SrtpSuite::aes_256_cm_hmac_sha1_80},
    {"AES_256_CM_HMAC_SHA1_32", SrtpSuite::aes_256_cm_hmac_sha1_32},
    {"AES_CM_256_HMAC_SHA1_80", SrtpSuite::aes_256_cm_hmac_sha1_80},
    {"AES_CM_256_HMAC_SHA1_32", SrtpSuite::aes_256_cm_hmac_sha1_32},
    {"AEAD_AES_128_GCM", SrtpSuite::aead_aes_128_gcm},
    {"AEAD_AES_256_GCM", SrtpSuite::aead_aes_256_gcm},
}};

int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

// Exactly out.size() bytes; the padding may be there or not.
bool decode_base64(std::string_view text, std::span<std::uint8_t> out) {
    while (text.ends_with('=')) text.remove_suffix(1);
    if (text.size() != (out.size() * 8 + 5) / 6) return false;
    std::uint32_t bits = 0;
    int count = 0;
    std::size_t at = 0;
    for (const char c : text) {
        const int digit = base64_digit(c);
        if (digit < 0) return false;
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        if (at < out.size()) out[at++] = static_cast<std::uint8_t>(bits >> count);
    }
    return at == out.size();
}

bool only_digits(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "1:4": a number, and in how many bytes the packets carry it.
bool read_mki(std::string_view text, SrtpKey& key) {
    const std::string_view number = take_until(text, ':');
    if (!only_digits(number) || !only_digits(text)) return false;
    const auto bytes = leading_number<unsigned>(text);
    const auto value = leading_number<std::uint64_t>(number);
    constexpr std::size_t kMaxDigits = 19;  // what fits into 64 bits
    if (!bytes || *bytes == 0 || *bytes > kMaxMkiBytes || !value || number.size() > kMaxDigits) return false;
    key.mki_bytes = static_cast<std::uint8_t>(*bytes);
    std::uint64_t left = *value;
    for (std::size_t i = key.mki_bytes; i-- > 0; left >>= 8) key.mki[i] = static_cast<std::uint8_t>(left);
    return left == 0;
}

bool is_lifetime(std::string_view text) {
    if (text.starts_with("2^")) text.remove_prefix(2);
    return only_digits(text);
}

// inline:base64[|lifetime][|MKI:length]
std::optional<SrtpKey> read_key(std::string_view text, SrtpSuite suite) {
    if (!equal_ignoring_case(take_until(text, ':'), "inline")) return std::nullopt;
    SrtpKey key{.suite = suite};
    const SrtpSuiteSizes sizes = sizes_of(suite);
    const std::size_t bytes = std::size_t{sizes.key_bytes} + sizes.salt_bytes;
    if (!decode_base64(take_until(text, '|'), std::span(key.key_and_salt).first(bytes))) return std::nullopt;
    for (bool first = true; !text.empty(); first = false) {
        const std::string_view part = take_until(text, '|');
        const bool lifetime = first && is_lifetime(part);
        if (!lifetime && (key.mki_bytes != 0 || !read_mki(part, key))) return std::nullopt;
    }
    return key;
}

bool may_pass_over(std::string_view session_parameter) {
    constexpr std::array<std::string_view, 4> kHarmless{"UNENCRYPTED_SRTCP", "WSH", "FEC_ORDER", "FEC_KEY"};
    if (session_parameter.starts_with('-')) return true;  // said to be optional
    const std::string_view name = take_until(session_parameter, '=');
    return std::any_of(kHarmless.begin(), kHarmless.end(),
                       [&](std::string_view known) { return equal_ignoring_case(known, name); });
}

std::vector<SrtpKey> read_keys(std::string_view text, SrtpSuite suite) {
    std::vector<SrtpKey> keys;
    while (!text.empty()) {
        const auto key = read_key(take_until(text, ';'), suite);
        if (!key || keys.size() >= kMaxKeysPerLine) return {};
        keys.push_back(*key);
    }
    // Without MKIs there is no telling which of several is in use (RFC 4568 §6.1).
    const bool told_apart =
        keys.size() < 2 ||
        std::all_of(
            keys.begin(), keys.end(),
            [&](const SrtpKey& key) { return key.mki_bytes != 0 && key.mki_bytes == keys.front().mki_bytes; });
    return told_apart ? keys : std::vector<SrtpKey>{};
}

}  // namespace

std::vector<SrtpKey> parse_sdp_crypto(std::string_view value) {
    if (!only_digits(take_word(value))) return {};  // the tag
    const std::string_view name = take_word(value);
    const auto known = std::find_if(kSuites.begin(), kSuites.end(),
                                    [&](const SuiteName& suite) { return equal_ignoring_case(suite.name, name); });
    const std::string_view keys = take_word(value);
    if (known == kSuites.end()) return {};
    for (auto word = take_word(value); !word.empty(); word = take_word(value))
        if (!may_pass_over(word)) return {};
    return read_keys(keys, known->suite);
}

}  // namespace spantape
