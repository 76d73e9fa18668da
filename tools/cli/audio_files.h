// SPDX-License-Identifier: AGPL-3.0-or-later
// Audio of stored recordings to files.
#pragma once

#include <string>
#include <vector>

#include "api/functions/exports.h"
#include "capture/base/result.h"
#include "storage/export/media_format.h"
#include "storage/index/index.h"
#include "storage/segment/reader.h"
#include "tools/cli/output_file.h"
#include "tools/cli/progress.h"

namespace spantape::cli {

// Where recordings are read from. Index and segments are only read.
struct AudioSource {
    const Index& index;
    SegmentStore segments;
};

// The name that a recording's audio file gets: the last part of its FILENAME, else its ident.
[[nodiscard]] std::string audio_file_name(const Recording& recording, MediaFormat format);

// Writes one recording to the path chosen in the directory; gives the path it has. Says by `progress` how far it is
// when `show_bar` and the size is known, and warns of chunks that were damaged and are silence now.
Result<std::string> write_audio(const AudioSource& source, const Recording& recording, const api::ExportWish& wish,
                                OutputDirectory& directory, const std::string& path, Progress& progress, bool show_bar);

// All of them, on two threads where there are two processors. The paths, in the order of the recordings; "" where it
// failed, which was then said as a warning.
std::vector<std::string> write_all_audio(const AudioSource& source, const std::vector<Recording>& recordings,
                                         MediaFormat format, OutputDirectory& directory, Progress& progress);

}  // namespace spantape::cli
