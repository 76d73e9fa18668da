// SPDX-License-Identifier: AGPL-3.0-or-later
// Dialogic's VOX: the mono mix as OKI ADPCM of 4 bits at 8 kHz, the earlier sample in the high half of a byte; no
// header. By another convention, as µ-law at 8 kHz.
#pragma once

#include <cstdint>
#include <memory>

#include "capture/base/result.h"
#include "storage/export/audio_file.h"

namespace spantape {

enum class VoxCoding : std::uint8_t { adpcm, mulaw };

[[nodiscard]] Result<std::unique_ptr<ExportedFile>> vox_file(std::unique_ptr<RecordingAudio> audio, VoxCoding coding);

}  // namespace spantape
