// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/crc32c.h"

#include <algorithm>

#include <isa-l/crc.h>

namespace spantape {

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
    // It only reads; its declaration has no const. It starts from, and gives, the register: the CRC's complement.
    // Its length is an int.
    constexpr std::size_t kPiece = std::size_t{1} << 30;
    do {
        const auto piece = bytes.first(std::min(bytes.size(), kPiece));
        auto* at = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(piece.data()));
        crc = ~crc32_iscsi(at, static_cast<int>(piece.size()), ~crc);
        bytes = bytes.subspan(piece.size());
    } while (!bytes.empty());
    return crc;
}

}  // namespace spantape
