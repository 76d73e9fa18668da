// SPDX-License-Identifier: AGPL-3.0-or-later
// CRC-32C (Castagnoli, RFC 3720 §12.1): the seal of records. By ISA-L, which takes what the processor has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace spantape {

// CRC of `bytes` appended to what `crc` was taken over (0: nothing).
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace spantape
