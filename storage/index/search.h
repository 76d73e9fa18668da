// SPDX-License-Identifier: AGPL-3.0-or-later
// Searching recordings. For the files of this folder only.
#pragma once

#include <vector>

#include "storage/index/index.h"
#include "storage/index/store.h"

namespace spantape {

// nullopt when there is none. An error names the document that is broken.
Result<std::optional<Recording>> read_recording(const Store& store, std::uint64_t ident,
                                                const rocksdb::Snapshot* snapshot);

// As Index::search. Sees one moment of the index, however long it takes.
Result<std::vector<Recording>> search_recordings(const Store& store, const RecordingQuery& query);

}  // namespace spantape
