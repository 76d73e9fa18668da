// SPDX-License-Identifier: AGPL-3.0-or-later
// What retention asks of the index: which recordings have expired or are to be archived, who refers to a stream, where
// documents lie, and that what was purged is in none of the database's files afterwards. For the files of this folder
// only.
#pragma once

#include <vector>

#include "storage/index/index.h"
#include "storage/index/store.h"

namespace spantape {

// Brings an index of an older format to ours. Does nothing to one that has it; what a crash interrupts is done again.
Result<> migrate(Store& store);

Result<std::vector<std::uint64_t>> recordings_of(const Store& store, std::uint64_t stream_id);
Result<std::vector<DocumentEntry>> read_documents(const Store& store, std::uint64_t ident);
Result<std::uint32_t> documents_known_from(const Store& store);
Result<std::vector<std::uint64_t>> find_expired(const Store& store, TimeNs now_ns, std::int32_t default_keep_days,
                                                std::size_t limit);
Result<std::vector<ArchiveDue>> find_archive_due(const Store& store, const ArchiveDue& from, std::size_t limit);
Result<> done_archiving(const Store& store, const std::vector<ArchiveDue>& done);
Result<> put_archived(const Store& store, const ArchivedCopy& copy);
Result<> for_each_archived(const Store& store, const std::string& prefix, const Index::ArchivedVisitor& visit);
Result<> forget_archived(const Store& store, const ArchivedCopy& copy);
Result<> mark_purging(const Store& store, const std::vector<std::uint64_t>& idents);
Result<std::vector<std::uint64_t>> read_purging(const Store& store);
// Rewrites every file of the index that may hold something deleted. Takes as long as reading and writing them all.
Result<> erase_purged(const Store& store);

}  // namespace spantape
