// SPDX-License-Identifier: AGPL-3.0-or-later
// Destroys recordings. When it has returned, no byte of their audio or of their fields is in the segments or the index
// any more, the keys of what was encrypted are forgotten, and the space is given back; what other recordings share with
// them stays. On a pool thread, or without a daemon; one at a time for a store, and not beside a redaction.
//
// Order: mark in the index (synced), so that it is carried to its end after a crash; purge record in the segments
// (durable), so that no recovery or rebuild brings them back; keys; bodies overwritten in place and synced; index
// entries; the index's files rewritten.
//
// In place means: the record becomes padding of the same length, whose zeros are given back to the file system as
// holes. So no offset moves, and a crash at any moment leaves a segment that reads. A segment that holds nothing but
// padding and purge records is removed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "capture/base/result.h"
#include "storage/index/index.h"

namespace spantape {

struct PurgeTools {
    Index& index;
    std::string segment_directory;
    // Makes the purge record of a recording durable; streams: those that go with it.
    std::function<Result<>(std::uint64_t ident, const std::vector<std::uint64_t>& streams)> put_record;
    // Forgets the keys for good, durably; empty: nothing is encrypted.
    std::function<Result<>(std::span<const std::uint64_t> key_ids)> forget_keys;
    // Why a recording is to stay after all; "": nothing speaks against it. Empty: nothing ever does.
    std::function<std::string(const Recording&)> refuse = {};
    // Segments from this one on may be written to now, and are not removed; INT32_MAX and more: none is.
    std::uint32_t first_open_segment = ~std::uint32_t{0};
};

struct PurgeSummary {
    std::vector<std::uint64_t> purged;
    std::vector<std::string> refused;  // one line for each recording that was not, with the reason
    std::uint64_t streams = 0, chunks = 0, documents = 0, keys = 0;
    std::uint64_t bytes = 0;  // of their records
    std::uint64_t segments_removed = 0;
    // Of erasure.h: files of archived copies, and one line for each that could not be removed.
    std::vector<std::string> copies_removed, copies_left;
};

// What one who wants recordings purged may want besides.
struct PurgeWish {
    bool copies = false;  // archived copies go, too: somebody wants them erased. Keep days in the store leave them.
    std::function<std::string(const Recording&)> refuse = {};  // as PurgeTools::refuse
};

// Refused: recordings that do not exist, are locked, or still going on. An error: something could not be destroyed; the
// marks stay, and resume_purge() tries again.
Result<PurgeSummary> purge(const PurgeTools& tools, const std::vector<std::uint64_t>& idents);

// Carries to its end what a crash or an error interrupted; nothing to do is no error. Before recovery, and with every
// segment closed.
Result<PurgeSummary> resume_purge(const PurgeTools& tools);

// PurgeTools::put_record for a store without a daemon: each record in a small segment of its own, behind all others.
std::function<Result<>(std::uint64_t, const std::vector<std::uint64_t>&)> records_in_own_segments(
    std::string segment_directory, const Index& index);

// A recording's new document, durable in a small segment of its own and then in the index; likewise without a daemon.
Result<> put_document(const std::string& segment_directory, Index& index, const Recording& recording);

}  // namespace spantape
