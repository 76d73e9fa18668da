// SPDX-License-Identifier: AGPL-3.0-or-later
// A bounded cursor over bytes from outside. Every read checks its bounds first; after a read that did not fit
// the reader is failed for good, all further reads give zero, and ok() says so. No allocation, no exception.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace spantape {

class ByteReader {
public:
    explicit ByteReader(std::span<const std::uint8_t> bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
    [[nodiscard]] const std::uint8_t* position() const { return at_; }

    // Network byte order (big endian), as all wire formats here have it.
    std::uint8_t u8() { return take(1) ? at_[-1] : 0; }
    std::uint16_t u16() { return take(2) ? static_cast<std::uint16_t>(at_[-2] << 8 | at_[-1]) : 0; }
    std::uint32_t u32() {
        if (!take(4)) return 0;
        return static_cast<std::uint32_t>(at_[-4]) << 24 | static_cast<std::uint32_t>(at_[-3]) << 16 |
               static_cast<std::uint32_t>(at_[-2]) << 8 | static_cast<std::uint32_t>(at_[-1]);
    }

    void skip(std::size_t bytes) { take(bytes); }

    // The next bytes, as a view into the input; empty when they are not all there.
    std::span<const std::uint8_t> bytes(std::size_t count) {
        return take(count) ? std::span(at_ - count, count) : std::span<const std::uint8_t>{};
    }
    std::span<const std::uint8_t> rest() { return bytes(left()); }

private:
    bool take(std::size_t count) {
        if (!ok_ || left() < count) {
            ok_ = false;
            return false;
        }
        at_ += count;
        return true;
    }

    const std::uint8_t* at_;
    const std::uint8_t* end_;
    bool ok_ = true;
};

}  // namespace spantape
