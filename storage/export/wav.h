// SPDX-License-Identifier: AGPL-3.0-or-later
// RIFF/WAVE, 16-bit PCM, written as a stream: the length is known before the first sample, so nothing is seeked back.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "capture/base/result.h"
#include "storage/audio/playout.h"

namespace spantape {

// The 44-byte header (RF64 with ds64, 80 bytes, when the data would pass 4 GiB).
[[nodiscard]] std::string wav_header(const AudioFormat& format, std::uint64_t frames);
// Where the samples lie in a file that begins with such a header.
struct WavPlaces {
    std::uint64_t data = 0;  // offset of the first sample
    std::uint64_t end = 0;   // of the file
    std::uint32_t frame_bytes = 0, rate_hz = 0;
};
Result<WavPlaces> wav_places(int file);
// Whole size in bytes of the file that export_wav would give.
[[nodiscard]] std::uint64_t wav_bytes(const AudioFormat& format, std::uint64_t frames);

// Gives the file piece by piece to `sink`, which says false to stop (client gone).
Result<> export_wav(RecordingAudio& audio, const std::function<bool(std::span<const char>)>& sink);
// To a file (written beside and renamed, so that a half-written file never has the name).
Result<> export_wav_file(RecordingAudio& audio, const std::string& path);

}  // namespace spantape
