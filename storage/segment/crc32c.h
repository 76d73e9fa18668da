// SPDX-License-Identifier: AGPL-3.0-or-later
// CRC-32C (Castagnoli, RFC 3720 §12.1): the seal of records. In hardware where the processor has SSE4.2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace spantape {

// CRC of `bytes` appended to what `crc` was taken over (0: nothing).
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0);

// The two ways, for tests against each other. The hardware one only where crc32c_in_hardware().
std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t crc = 0);
bool crc32c_in_hardware();
std::uint32_t crc32c_by_hardware(std::span<const std::byte> bytes, std::uint32_t crc = 0);

}  // namespace spantape
