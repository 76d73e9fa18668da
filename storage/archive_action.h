// SPDX-License-Identifier: AGPL-3.0-or-later
// An archive action (manual: ARCHIVEACTION): what becomes of a recording some time after it has ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "capture/base/clock.h"
#include "capture/base/result.h"

namespace spantape {

enum class ArchiveMode : std::uint8_t { copy, move };
enum class ArchiveFormat : std::uint8_t { wav };

// In the order of the enumerations: what the configuration calls them.
inline constexpr std::string_view kArchiveModes[] = {"copy", "move"};
inline constexpr std::string_view kArchiveFormats[] = {"wav"};

struct ArchiveAction {
    std::int64_t number = 0;  // what ARCHIVEACTION names; 1 or more
    std::string name;
    std::string path;  // the target: a directory that is there, or a share that is mounted
    ArchiveMode mode = ArchiveMode::copy;
    ArchiveFormat format = ArchiveFormat::wav;
    std::uint32_t keep_days = 0;  // in the target, from when it was archived; 0: for ever
    TimeNs wait_ns = 0;           // from a recording's end until it is archived
    bool operator==(const ArchiveAction&) const = default;
};

// An error ("must be …") for what is no path that an action can have.
inline Result<> check_archive_path(const std::string& text) {
    if (text.starts_with('/')) return {};
    return fail("must be the path of a directory from the root, such as /mnt/archive, is '{}'", text);
}

}  // namespace spantape
