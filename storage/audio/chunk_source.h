// SPDX-License-Identifier: AGPL-3.0-or-later
// Where the playout gets stored frames from, chunk by chunk; the real one (stored_audio.cc) reads through index
// and segments, tests bring their own. A source and what it opened belong to one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "capture/base/result.h"
#include "storage/index/index.h"
#include "storage/segment/reader.h"

namespace spantape {

using FrameVisitor = std::function<void(const StoredFrame&)>;

// The stored chunks of one stream, in order.
class StreamChunks {
public:
    enum class Step : std::uint8_t { frames, damaged, end };

    virtual ~StreamChunks() = default;
    // Visits the frames of the next chunk, in the order in which they were stored; payloads are valid during the visit
    // only. damaged: the chunk could not be read (what was sound before the damage has been visited); go on.
    virtual Step next(const FrameVisitor& visit) = 0;
};

class ChunkSource {
public:
    virtual ~ChunkSource() = default;
    // Chunks that hold frames which arrived within [from_ns, to_ns]. A stream without any gives an empty one.
    virtual Result<std::unique_ptr<StreamChunks>> open(std::uint64_t stream_id, TimeNs from_ns, TimeNs to_ns) = 0;
};

// Those that are stored. Index and segments outlive it.
[[nodiscard]] std::unique_ptr<ChunkSource> stored_chunks(const Index& index, const SegmentStore& segments);

}  // namespace spantape
