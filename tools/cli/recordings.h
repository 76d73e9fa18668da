// SPDX-License-Identifier: AGPL-3.0-or-later
// Recordings as `record` and `calls` print them. Table and JSON both come from the public form (to_public_json), so
// that they never say different things.
#pragma once

#include <string>
#include <vector>

#include "capture/base/result.h"
#include "tools/cli/table.h"

namespace spantape::cli {

struct ListedRecording {
    std::string public_json;  // one object
    std::string file;         // the audio file that `record` wrote; "" when there is none
};

enum class ListFiles { no, yes };  // whether to show the audio files

// An error: a public form that is no JSON object.
Result<Table> recordings_table(const std::vector<ListedRecording>& recordings, ListFiles files);
// An array of the public forms, with "file" (a string, or null) as their last member when files are shown.
[[nodiscard]] std::string recordings_json(const std::vector<ListedRecording>& recordings, ListFiles files);

}  // namespace spantape::cli
