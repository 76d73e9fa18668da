// SPDX-License-Identifier: AGPL-3.0-or-later
// What proves a stream's audio unaltered: a SHA-256 chained over the seals of its chunks, in their order. The writer
// extends it chunk by chunk; anybody who can read the headers can make it again.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/segment/format.h"

namespace spantape {

struct StreamSeal {
    std::uint32_t chunks = 0;
    std::array<std::uint8_t, 32> hash{};  // zero for no chunks

    // By the next chunk: hash = SHA-256(hash, chunk number, seal, tag).
    void extend(std::uint32_t chunk_number, const RecordHeader& header);
    [[nodiscard]] std::string hex() const;
    bool operator==(const StreamSeal&) const = default;
};

// Of a stream's first `chunks` chunks, as they lie in the segments now. Errors: fewer are there, one cannot be read.
Result<StreamSeal> seal_of_stream(const Index& index, const std::string& segment_directory, std::uint64_t stream_id,
                                  std::uint32_t chunks);

}  // namespace spantape
