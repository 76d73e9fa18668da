// SPDX-License-Identifier: AGPL-3.0-or-later
// A blackout that reaches back into calls that are over (manual: AGENTBLACKOUTSTART, TIMEOFFSET): what was recorded of
// them within its window is taken off the disk, and out of the copies that archive actions made. On a pool thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "storage/index/index.h"
#include "storage/redaction.h"

namespace spantape {

struct PastBlackout {
    BlackoutWindow window;
    // Whose recordings: columns (UNIQUEFIELD names) and what they must be, all of them.
    std::vector<std::pair<std::string, std::string>> whose;

    [[nodiscard]] bool is_of(const Recording& recording) const;
    // A finished recording of theirs that holds some of the window.
    [[nodiscard]] bool reaches(const Recording& recording) const;
};

// What the document of a recording is to say more.
struct ReachedRecording {
    std::uint64_t ident = 0;
    BlackoutWindow window;     // of the blackout, within the recording
    std::uint64_t frames = 0;  // taken off the disk
    void apply(Recording& document) const;
};

struct ReachedBack {
    std::vector<ReachedRecording> recordings;  // also others that share their media; one may come more than once
    std::vector<std::string> left;             // one line each: what was not taken out, and why
};

// Takes the window out of the recordings that the index has, one after another, so that what one fails of does not
// keep the others. Locked ones (legal hold) stay as they are: they are in `left`.
Result<ReachedBack> reach_back(const Index& index, const PastBlackout& blackout,
                               const std::function<Result<RedactionSummary>(const RedactionWindow&)>& redact);

struct SilencedCopies {
    std::vector<std::string> silenced;  // paths
    std::vector<std::string> left;      // one line each
};
// Once the documents of those that were reached back to are in the index (an archive action that runs meanwhile looks
// at them when it has made its copy): silences the window, and half a second to both sides (audio is placed by its
// timestamps, not by its arrival), in every copy of `idents` and of recordings that were moved. The sidecars tell.
Result<SilencedCopies> silence_copies(const Index& index, const PastBlackout& blackout,
                                      const std::vector<std::uint64_t>& idents, const std::string& identity);

}  // namespace spantape
