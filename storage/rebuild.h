// SPDX-License-Identifier: AGPL-3.0-or-later
// Makes a store's index anew from its segments alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "capture/base/result.h"
#include "storage/segment/reader.h"

namespace spantape {

struct RebuildOptions {
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)> progress;
};

// The new index is built in STORE/index.new; then the two change names, and the old one is removed. Whenever this is
// interrupted, STORE/index is the old one or the new one, whole, and the next rebuild clears away what is left over.
// Number series go on behind every number that the segments bear, or that the old index had given out where it can
// still be read. An error: a daemon has the store open, or something cannot be read or written; the old index is then
// as it was.
Result<RecoverySummary> rebuild_index(const std::string& store, const RebuildOptions& options = {});

}  // namespace spantape
