// SPDX-License-Identifier: AGPL-3.0-or-later
// Compressed audio files, written as they are encoded: nothing is sought back to, so that they stream. libavcodec's
// encoders and libavformat are known only in encoded_file.cc.
#pragma once

#include <cstdint>
#include <memory>

#include "capture/base/result.h"
#include "storage/export/audio_file.h"

namespace spantape {

enum class Encoding : std::uint8_t { mp3, m4a, flac, ogg_opus };

// MP3 and M4A are mono mixes. A rate that the encoder does not have becomes 48 kHz.
[[nodiscard]] Result<std::unique_ptr<ExportedFile>> encoded_file(Encoding encoding,
                                                                 std::unique_ptr<RecordingAudio> audio);

}  // namespace spantape
