// SPDX-License-Identifier: AGPL-3.0-or-later
// Dialogic's VOX: the mono mix as OKI ADPCM of 4 bits at 8 kHz, the earlier sample in the high half of a byte; no
// header.
#pragma once

#include <memory>

#include "capture/base/result.h"
#include "storage/export/audio_file.h"

namespace spantape {

[[nodiscard]] Result<std::unique_ptr<ExportedFile>> vox_file(std::unique_ptr<RecordingAudio> audio);

}  // namespace spantape
