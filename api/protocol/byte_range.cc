// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/byte_range.h"

#include <algorithm>
#include <charconv>

#include "api/protocol/xml_text.h"

namespace spantape::api {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

std::optional<ByteRange> parse_byte_range(std::string_view field, std::uint64_t total_bytes) {
    constexpr std::string_view kUnit = "bytes=";
    if (!equal_ignoring_case(field.substr(0, kUnit.size()), kUnit)) return std::nullopt;
    const std::string_view range = trimmed(field.substr(kUnit.size()));
    const auto dash = range.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto first = number(range.substr(0, dash));
    const auto last = number(range.substr(dash + 1));
    if (dash == 0) {  // the last so many bytes
        if (!last) return std::nullopt;
        const std::uint64_t bytes = std::min(*last, total_bytes);
        return ByteRange{total_bytes - bytes, bytes};
    }
    const bool open_ended = dash + 1 == range.size();
    if (!first || (!last && !open_ended) || (last && *last < *first)) return std::nullopt;
    if (*first >= total_bytes) return ByteRange{};
    return ByteRange{*first, std::min(last.value_or(total_bytes), total_bytes - 1) - *first + 1};
}

}  // namespace spantape::api
