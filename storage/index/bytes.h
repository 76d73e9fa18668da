// SPDX-License-Identifier: AGPL-3.0-or-later
// Big-endian numbers in keys and values, so that byte order is their order. For the files of this folder only.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "capture/base/clock.h"

namespace spantape::index_bytes {

static_assert(std::endian::native == std::endian::little);

template <class Unsigned>
void append(std::string& out, Unsigned value) {
    const Unsigned bytes = std::byteswap(value);
    out.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
}

// bytes: at least as many behind `offset` as the number has.
template <class Unsigned>
Unsigned number_at(std::string_view bytes, std::size_t offset) {
    Unsigned value = 0;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return std::byteswap(value);
}

// Signed times as unsigned numbers of the same order.
inline constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;
inline std::uint64_t ordered(TimeNs time_ns) { return static_cast<std::uint64_t>(time_ns) ^ kSignBit; }
inline TimeNs time_at(std::string_view bytes, std::size_t offset) {
    return static_cast<TimeNs>(number_at<std::uint64_t>(bytes, offset) ^ kSignBit);
}

}  // namespace spantape::index_bytes
