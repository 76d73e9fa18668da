// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/export/media_format.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "storage/export/encoded_file.h"

namespace spantape {
namespace {

// By MediaFormat.
constexpr std::array kKinds{
    MediaKind{MediaFormat::wav, "wav", "audio/wav"},
    MediaKind{MediaFormat::mp3, "mp3", "audio/mpeg"},
    MediaKind{MediaFormat::m4a, "m4a", "audio/mp4"},
    MediaKind{MediaFormat::vox, "vox", "audio/x-vox"},
    MediaKind{MediaFormat::flac, "flac", "audio/flac"},
    MediaKind{MediaFormat::ogg, "ogg", "audio/ogg"},
    MediaKind{MediaFormat::cav, "cav", "application/octet-stream"},
    MediaKind{MediaFormat::raw, "raw", "application/vnd.tcpdump.pcap", "pcap"},
};

}  // namespace

std::span<const MediaKind> media_kinds() { return kKinds; }

const MediaKind& media_kind(MediaFormat format) { return kKinds[static_cast<std::size_t>(format)]; }

std::optional<MediaFormat> media_format(std::string_view name) {
    const auto same = [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); };
    for (const MediaKind& kind : kKinds)
        if (std::ranges::equal(kind.name, name, same)) return kind.format;
    return std::nullopt;
}

Result<std::unique_ptr<ExportedFile>> open_audio_file(MediaFormat format, std::unique_ptr<RecordingAudio> audio,
                                                      VoxCoding vox) {
    switch (format) {
        case MediaFormat::wav:
            return wav_file(std::move(audio));
        case MediaFormat::vox:
            return vox_file(std::move(audio), vox);
        case MediaFormat::mp3:
            return encoded_file(Encoding::mp3, std::move(audio));
        case MediaFormat::m4a:
            return encoded_file(Encoding::m4a, std::move(audio));
        case MediaFormat::flac:
            return encoded_file(Encoding::flac, std::move(audio));
        case MediaFormat::ogg:
            return encoded_file(Encoding::ogg_opus, std::move(audio));
        case MediaFormat::cav:
        case MediaFormat::raw:
            break;
    }
    return fail("{} is made of more than audio", media_kind(format).name);
}

}  // namespace spantape
