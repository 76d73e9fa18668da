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
#include "storage/export/vox_file.h"

namespace spantape {

enum class MediaFormat : std::uint8_t {
    wav,   // 16-bit PCM, the device's side left, the far side right
    mp3,   // mono mix, constant bit rate
    m4a,   // mono mix, AAC-LC in a fragmented MP4 file
    vox,   // mono mix, Dialogic (OKI) ADPCM of 4 bits at 8 kHz (or µ-law, as configured), no header
    flac,  // lossless, both sides
    ogg,   // Opus (RFC 7845), both sides
    cav,   // WAV and the call's fields in one file, sealed with a password or not (CAV.md)
    raw,   // the packets as they came, in a capture file
};

struct MediaKind {
    MediaFormat format;
    std::string_view name;  // as MEDIA_FORMAT has it, in small letters
    std::string_view content_type;
    std::string_view suffix = name;  // what its files' names end in
};
[[nodiscard]] std::span<const MediaKind> media_kinds();
[[nodiscard]] const MediaKind& media_kind(MediaFormat format);
// By name, in any letter case.
[[nodiscard]] std::optional<MediaFormat> media_format(std::string_view name);

// Takes the audio from its beginning. The file's bytes() are known of WAV and VOX. Of CAV and raw an error: they are
// made of more than audio.
[[nodiscard]] Result<std::unique_ptr<ExportedFile>> open_audio_file(MediaFormat format,
                                                                    std::unique_ptr<RecordingAudio> audio,
                                                                    VoxCoding vox = VoxCoding::adpcm);

}  // namespace spantape
