// SPDX-License-Identifier: AGPL-3.0-or-later
// Which streams of a recording are the same media, seen on both sides of a relay, on two switch ports, sent to two
// destinations, or moved to another address in the middle: such a group is played once, each frame from whichever
// flow has it, all on one clock.
#pragma once

#include <cstddef>
#include <vector>

#include "capture/base/result.h"
#include "storage/audio/chunk_source.h"
#include "storage/recording.h"

namespace spantape {

// Streams that are played as one; indices into Recording.streams, the one with the most packets first.
struct StreamGroup {
    Side side = Side::device;
    std::vector<std::size_t> streams;
    // Said by the recording to be a copy of media of this side, but not frame by frame: heard only where the others
    // of its side have nothing.
    bool copy = false;
};

// An SSRC proves nothing: two streams are joined when they also share most of their (sequence, timestamp) pairs and
// payloads over the time in which both ran, or when one goes on with the other's sequence numbers and timestamps.
Result<std::vector<StreamGroup>> group_streams(const Recording& recording, ChunkSource& chunks);

}  // namespace spantape
