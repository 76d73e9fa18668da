// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace spantape {

namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reflected

// tables[k][b]: CRC of byte b followed by k zero bytes, so that eight bytes go in one step.
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;
constexpr Tables make_tables() {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
        tables[0][byte] = crc;
    }
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        for (std::size_t k = 1; k < 8; ++k) {
            const std::uint32_t before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
        }
    }
    return tables;
}
constexpr Tables kTables = make_tables();

std::uint64_t load_u64(const std::byte* at) {
    std::uint64_t value = 0;
    std::memcpy(&value, at, 8);
    return value;
}

}  // namespace

std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t crc) {
    crc = ~crc;
    while (bytes.size() >= 8) {
        const std::uint64_t word = load_u64(bytes.data()) ^ crc;
        crc = 0;
        for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
        bytes = bytes.subspan(8);
    }
    for (const std::byte byte : bytes) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<std::uint32_t>(byte)) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
bool crc32c_in_hardware() { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_hardware(std::span<const std::byte> bytes,
                                                                   std::uint32_t crc) {
    std::uint64_t state = static_cast<std::uint32_t>(~crc);
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) state = _mm_crc32_u64(state, load_u64(at));
    auto narrow = static_cast<std::uint32_t>(state);
    for (; left > 0; --left, ++at) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*at));
    return ~narrow;
}
#else
bool crc32c_in_hardware() { return false; }
std::uint32_t crc32c_by_hardware(std::span<const std::byte> bytes, std::uint32_t crc) {
    return crc32c_by_table(bytes, crc);
}
#endif

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
    static const bool hardware = crc32c_in_hardware();
    return hardware ? crc32c_by_hardware(bytes, crc) : crc32c_by_table(bytes, crc);
}

}  // namespace spantape
