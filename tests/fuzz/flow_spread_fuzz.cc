// SPDX-License-Identifier: AGPL-3.0-or-later
// The spread's hash on hostile frames: no read outside, the same answer twice, and always a worker that is there.
#include <cstddef>
#include <cstdint>
#include <span>

#include "capture/source/flow_spread.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::uint8_t> frame(data, size);
    const std::uint32_t hash = spantape::flow_spread_hash(frame);
    if (spantape::flow_spread_hash(frame) != hash) __builtin_trap();
    for (unsigned workers = 1; workers <= 64; ++workers)
        if (spantape::spread_to(hash, workers) >= workers) __builtin_trap();
    return 0;
}
