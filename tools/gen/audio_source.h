// SPDX-License-Identifier: AGPL-3.0-or-later
// What each stream says: the known audio, or WAV files; as samples and as payloads. Built once, then only read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "tools/gen/known_audio.h"
#include "tools/gen/options.h"

namespace spantape::gen {

class AudioSource {
public:
    // Reads the files of options.audio (mixed to one channel, brought to the codec's rate). An error names the file.
    static Result<AudioSource> open(const GenOptions& options);

    // Length of the longest file in seconds; 0 without files.
    [[nodiscard]] double longest_s() const;
    void set_seconds(double seconds) { options_.seconds = seconds; }
    // The payload of one packet of a stream, options.payload_bytes() of it.
    void payload(std::uint32_t stream, std::uint32_t packet, std::uint8_t* out) const;
    // The file that a stream speaks; empty: the formula.
    [[nodiscard]] std::string file_of(std::uint32_t stream) const;
    // Writes what a perfect receiver hears of a whole stream: every packet's payload, decoded.
    Result<> write_wav(std::uint32_t stream, const std::string& path) const;

private:
    explicit AudioSource(const GenOptions& options);
    template <class Put>
    void samples(std::uint32_t stream, std::uint32_t packet, Put put) const;

    GenOptions options_;
    KnownAudio known_;
    std::vector<std::vector<std::int16_t>> speech_;  // one a file
    std::vector<std::uint8_t> codes_;                // 65536: sample (as unsigned) -> G.711 code
};

}  // namespace spantape::gen
