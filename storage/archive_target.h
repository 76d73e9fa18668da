// SPDX-License-Identifier: AGPL-3.0-or-later
// What lies in the target of an archive action:
//
//   TARGET/.spantape-archive                    the mark of a directory in use; without it a share is not mounted
//   TARGET/YYYYMMDD/DEVICE/NAME.wav             the audio, named as FILENAME is; NAME-2, NAME-3 … where that is taken
//   TARGET/YYYYMMDD/DEVICE/NAME.wav.json        the sidecar: whose it is, its SHA-256, the recording's public fields
//   TARGET/YYYYMMDD/DEVICE/.part-STORE-IDENT*   being written; what a crash leaves is written over by the next attempt
//
// Several recorders may share a target. What a sidecar names as another store's, or another recording's, is theirs.
#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/archive_action.h"
#include "storage/index/index.h"

namespace spantape {

// Tells stores apart: of the public half of the store's signing key.
Result<std::string> archive_identity(const std::string& store);

// YYYYMMDD, what directories directly below a target are called.
[[nodiscard]] bool is_archive_day(const std::string& name);

struct Sidecar {
    std::string store;  // archive_identity() of its recorder
    std::uint64_t ident = 0;
    std::int64_t action = 0;
    std::string audio;  // name of the file beside it
    std::uint64_t bytes = 0;
    std::string sha256;  // of that file, hexadecimal
    TimeNs archived_ns = 0;
    std::vector<BlackoutWindow> blackouts = {};  // of its recording, as far as the audio knows
    // Names of the streams that the audio was made of: SSRC, source and destination.
    std::set<std::string> streams = {};
    // All of these are silent in the audio.
    [[nodiscard]] bool holds(const std::vector<BlackoutWindow>& windows) const;
};
// {"archive":{…},"recording":{as `spantape calls --json`}}
[[nodiscard]] std::string to_json(const Sidecar& sidecar, const ArchiveAction& action, const Recording& recording);
// nullopt: there is no such file. An error: it is none of ours.
Result<std::optional<Sidecar>> read_sidecar(const std::string& path);
[[nodiscard]] inline std::string sidecar_path(const std::string& audio_path) { return audio_path + ".json"; }

// The directory is there, and the one that was archived to before. Marks it at its first use.
Result<> check_archive_target(const std::string& path, Index& index);

// Removes a copy with its sidecar, durably. Gone already is no error; out of reach, or no telling whose it is, is one.
// The directories that held it go when they are empty.
Result<> remove_archived(const ArchivedCopy& copy, const std::string& identity);

// Every copy of a recording that the index knows: removed and forgotten, or why it was left.
struct ErasedCopies {
    std::vector<ArchivedCopy> erased;
    std::vector<std::string> left;  // one line each
};
Result<ErasedCopies> erase_archived(Index& index, std::uint64_t ident, const std::string& identity);

// By its name alone: the copy may be of a recording that began between from_ns and the window's end.
[[nodiscard]] bool may_hold(const ArchivedCopy& copy, TimeNs from_ns, const BlackoutWindow& window);

// Silences the window, half a second more to both sides, in a copy (WAV), and says so in its sidecar with the audio's
// new SHA-256; durable when this returns. concerns: asked with what the sidecar says of the recording: columns, times,
// and its streams. Names of the streams of a copy in which something was silenced; none: nothing of it is in the copy,
// or the copy is not there any more. Out of reach, or no telling whose it is, is an error. After a crash in between the
// audio is silent, or the sidecar names another hash: ask once more.
using Concerned = std::function<bool(const Recording&, const std::set<std::string>& streams)>;
Result<std::optional<std::set<std::string>>> silence_archived(const ArchivedCopy& copy, const std::string& identity,
                                                              const BlackoutWindow& window, const Concerned& concerns);

// SHA-256 in hexadecimal, and length, of a file as the disk, or the server, has it; an error is errno.
std::expected<std::pair<std::string, std::uint64_t>, int> hash_of_file(int file);

// The action's copies whose keep days there have passed at now_ns, by what their sidecars say. go_on: asked between.
// problem: one line about what could not be read or removed.
std::vector<ArchivedCopy> remove_expired(const ArchiveAction& action, const std::string& identity, TimeNs now_ns,
                                         const std::function<bool()>& go_on,
                                         const std::function<void(const std::string&)>& problem);

}  // namespace spantape
