// SPDX-License-Identifier: AGPL-3.0-or-later
// The Range header field (RFC 9110 §14.2), one range of bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace spantape::api {

struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t bytes = 0;  // 0: cannot be satisfied (416)
};

// nullopt: no range, several, or not understood, all of which are answered with the whole.
[[nodiscard]] std::optional<ByteRange> parse_byte_range(std::string_view field, std::uint64_t total_bytes);

}  // namespace spantape::api
