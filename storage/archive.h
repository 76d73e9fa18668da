// SPDX-License-Identifier: AGPL-3.0-or-later
// Writes one finished recording into the target of an archive action. On a pool thread; any thread, but one at a time
// for a store and a target. Reads the store as an export does; changes nothing in it.
//
// Order: the audio under a temporary name, synced and read back from the target; the sidecar, which claims the name;
// the audio under its name; the directory synced. Broken off at any moment, the next attempt finds what was done: a
// sidecar that names this recording and the hash of the file beside it is a copy that is there.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "storage/archive_target.h"
#include "storage/index/index.h"
#include "storage/segment/reader.h"

namespace spantape {

struct ArchiveSource {
    const Index& index;
    SegmentStore segments;
    std::string identity;  // archive_identity() of the store
};

struct ArchivedFile {
    std::string name;  // below the target
    std::string sha256;
    std::uint64_t bytes = 0;
    bool was_there = false;  // an earlier attempt had made it
};

struct ArchiveFailure {
    enum class Of : std::uint8_t {
        target,     // every recording would fail there: it is missing, full, not writable …
        recording,  // others may succeed
        stopped,    // go_on said so
    };
    Of of = Of::target;
    std::string why;  // one line, names the file
};

// known_name: below the target, where an earlier copy is known to be; "": look for it. go_on: asked about once a second
// of audio. When this returns a file, it is durable and its bytes in the target are those that were written.
std::expected<ArchivedFile, ArchiveFailure> archive(const ArchiveSource& source, const Recording& recording,
                                                    const ArchiveAction& action, const std::string& known_name,
                                                    TimeNs now_ns, const std::function<bool()>& go_on);

// Why the archived file does not stand for all that is stored of the recording, so that it must not be taken from the
// store: chunks that cannot be read, audio whose codec is exported as silence. "": nothing is missing. Reads all of it.
Result<std::string> missing_from_export(const ArchiveSource& source, const Recording& recording);

}  // namespace spantape
