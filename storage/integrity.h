// SPDX-License-Identifier: AGPL-3.0-or-later
// What proves a recording whole: one hash over the seals of all its media, and its line in the integrity log. Pure.
#pragma once

#include <string>

#include <boost/json/object.hpp>

#include "storage/recording.h"

namespace spantape {

// SHA-256, in hexadecimal, over the recording's streams in rising order of their ids, each as stream id (64 bits),
// chunks (32 bits), length of the seal's text (32 bits), all little endian, and the seal's text. Of a recording without
// streams: the SHA-256 of nothing.
[[nodiscard]] std::string audio_hash_of(const Recording& recording);

// The line of a finished recording: what "recording_sealed", its ident, state, times, audio_hash, and the streams that
// this was taken over.
[[nodiscard]] boost::json::object integrity_entry(const Recording& recording);

// The line about recordings that were purged.
[[nodiscard]] boost::json::object purge_entry(const std::vector<std::uint64_t>& idents);

}  // namespace spantape
