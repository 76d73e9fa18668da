// SPDX-License-Identifier: AGPL-3.0-or-later
// The formats that recordings are handed out in (manual: EXPORT, MEDIA_FORMAT), and recordings as files of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "capture/base/result.h"
#include "storage/export/audio_file.h"

namespace spantape {

enum class MediaFormat : std::uint8_t {
    wav,   // 16-bit PCM, the device's side left, the far side right
    mp3,   // mono mix, constant bit rate
    m4a,   // mono mix, AAC-LC in a fragmented MP4 file
    vox,   // mono mix, Dialogic (OKI) ADPCM of 4 bits at 8 kHz, no header
    flac,  // lossless, both sides
    ogg,   // Opus (RFC 7845), both sides
};

struct MediaKind {
    MediaFormat format;
    std::string_view name;  // as MEDIA_FORMAT has it, in small letters; also what its files' names end in
    std::string_view content_type;
};
[[nodiscard]] std::span<const MediaKind> media_kinds();
[[nodiscard]] const MediaKind& media_kind(MediaFormat format);
// By name, in any letter case.
[[nodiscard]] std::optional<MediaFormat> media_format(std::string_view name);

// Takes the audio from its beginning. The file's bytes() are known of WAV and VOX.
[[nodiscard]] Result<std::unique_ptr<ExportedFile>> open_audio_file(MediaFormat format,
                                                                    std::unique_ptr<RecordingAudio> audio);

}  // namespace spantape
