// SPDX-License-Identifier: AGPL-3.0-or-later
// Brings a recording that a crash interrupted to its end, from what its streams' last chunks say. Pure functions.
#pragma once

#include <vector>

#include "storage/recording.h"
#include "storage/segment/format.h"

namespace spantape {

// Adds the streams (their last chunks' headers) that the recording does not list. Of two streams that run in opposite
// directions one is the device's; with nothing to tell them by, the first to speak is.
void add_missing_streams(Recording& recording, std::vector<const ChunkHeader*> found);

// Start, extent and counters of a stream as of its last chunk, where the document knows less; moves the recording's
// stop behind the stream's last frame.
void update_from_tail(Recording& recording, RecordedStream& stream, const ChunkHeader& last);

// State, reason, start and stop.
void mark_interrupted(Recording& recording);

}  // namespace spantape
