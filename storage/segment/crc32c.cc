// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/segment/crc32c.h"

#include <isa-l/crc.h>

namespace spantape {

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) {
    // It only reads; its declaration has no const. It starts from, and gives, the register: the CRC's complement.
    auto* at = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
    return ~crc32_iscsi(at, static_cast<int>(bytes.size()), ~crc);
}

}  // namespace spantape
