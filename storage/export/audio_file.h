// SPDX-License-Identifier: AGPL-3.0-or-later
// Recordings as files of the formats that are handed out, piece by piece, with memory that does not grow with their
// length. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/base/result.h"
#include "storage/audio/playout.h"

namespace spantape {

class ExportedFile {
public:
    virtual ~ExportedFile() = default;
    // The exact size, where it is known before the last piece.
    [[nodiscard]] virtual std::optional<std::uint64_t> bytes() const = 0;
    // The next piece; empty at the end, and from then on.
    virtual Result<std::string> next() = 0;
};

// Takes the audio from its beginning.
[[nodiscard]] std::unique_ptr<ExportedFile> wav_file(std::unique_ptr<RecordingAudio> audio);

// The same at another rate; with `to.channels` 1 its channels are added up, with saturation, where it has several;
// with more than it has, the last is repeated.
[[nodiscard]] Result<std::unique_ptr<RecordingAudio>> converted(std::unique_ptr<RecordingAudio> audio, AudioFormat to);

// One after the other as one, at the highest of their sample rates, with the most channels of them. At least one.
[[nodiscard]] Result<std::unique_ptr<RecordingAudio>> one_after_the_other(
    std::vector<std::unique_ptr<RecordingAudio>> parts);

// A ZIP archive (ZIP64 where it must be) of files that are opened when their turn comes. What cannot be opened or read
// is an error of next(): half an archive is none.
struct ZipMember {
    std::string name;  // made different from those before it by -2, -3 … when it is not
    std::function<Result<std::unique_ptr<ExportedFile>>()> open;
};
[[nodiscard]] Result<std::unique_ptr<ExportedFile>> zip_file(std::vector<ZipMember> members, TimeNs now_ns);

}  // namespace spantape
