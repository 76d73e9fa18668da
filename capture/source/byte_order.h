// SPDX-License-Identifier: AGPL-3.0-or-later
// Numbers in the byte order that a capture file was written in: that of the machine that captured. The caller has
// checked the bounds; the place need not be aligned.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace spantape {

class ByteOrder {
public:
    ByteOrder() = default;  // little endian
    explicit ByteOrder(std::endian order) : swapped_(order != std::endian::native) {}

    [[nodiscard]] std::uint16_t u16(const std::uint8_t* at) const { return number<std::uint16_t>(at); }
    [[nodiscard]] std::uint32_t u32(const std::uint8_t* at) const { return number<std::uint32_t>(at); }
    [[nodiscard]] std::uint64_t u64(const std::uint8_t* at) const { return number<std::uint64_t>(at); }

private:
    template <class T>
    [[nodiscard]] T number(const std::uint8_t* at) const {
        T value;
        std::memcpy(&value, at, sizeof value);
        return swapped_ ? std::byteswap(value) : value;
    }

    bool swapped_ = std::endian::native != std::endian::little;
};

}  // namespace spantape
