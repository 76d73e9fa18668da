// SPDX-License-Identifier: AGPL-3.0-or-later
// RecordingAudio over any source of chunks (the contract is in playout.h).
#pragma once

#include <memory>

#include "storage/audio/chunk_source.h"
#include "storage/audio/playout.h"

namespace spantape {

Result<std::unique_ptr<RecordingAudio>> open_recording_audio(std::unique_ptr<ChunkSource> chunks,
                                                             const Recording& recording, TimeNs now_ns);

}  // namespace spantape
