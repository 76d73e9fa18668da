// SPDX-License-Identifier: AGPL-3.0-or-later
// Erasure as people expect it: a recording is gone from the store, and so are the copies that archive actions made of
// it, as far as they are within reach. Also of one that was moved, of which there is only the copy. As purge(): on a
// pool thread or without a daemon, one at a time for a store.
#pragma once

#include <boost/json/object.hpp>

#include "storage/purge.h"

namespace spantape {

// identity: archive_identity() of the store. Copies that could not be removed are in PurgeSummary::copies_left; the
// recording is purged all the same, and the next erasure of it tries again.
Result<PurgeSummary> erase_recordings(const PurgeTools& tools, const std::string& identity,
                                      const std::vector<std::uint64_t>& idents);

// The line of the integrity and the audit log about a purge or an erasure.
[[nodiscard]] boost::json::object purge_entry(const PurgeSummary& summary);

}  // namespace spantape
