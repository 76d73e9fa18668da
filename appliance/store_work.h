// SPDX-License-Identifier: AGPL-3.0-or-later
// What a running daemon does to what it has stored: purges and redactions, one at a time because both write in place,
// and the lines of both logs about them and about finished recordings. On the pool; any thread of it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "storage/chained_log.h"
#include "storage/past_blackout.h"
#include "storage/purge.h"
#include "storage/redaction.h"

namespace spantape {

class StoreWork {
public:
    struct Tools {
        Index& index;
        SegmentStore segments;
        std::shared_ptr<Keyring> keyring;  // none: nothing is encrypted
        std::function<Result<RedactionSummary>(const RedactionWindow&)> redact;
        decltype(PurgeTools::put_record) put_purge_record;  // waits until it is durable
        std::string archive_identity;                       // of the store
        ChainedLog* audit = nullptr;
        ChainedLog* integrity = nullptr;
        std::function<void(const char* level, const std::string& line)> log;
    };
    explicit StoreWork(Tools tools) : tools_(std::move(tools)) {}

    Result<PurgeSummary> purge(const std::vector<std::uint64_t>& idents, const PurgeWish& wish);
    Result<RedactionSummary> redact(const RedactionWindow& window);
    // As storage/past_blackout.h.
    Result<ReachedBack> reach_back(const PastBlackout& blackout);
    Result<SilencedCopies> silence_copies(const PastBlackout& blackout, const std::vector<std::uint64_t>& idents);
    // The finished recording's line in the integrity log; nothing without one.
    void seal(std::uint64_t ident);

    // A line of both logs, or of the audit log alone. Durable when this returns: the daemon may end before anybody
    // else hears of what was destroyed.
    void note(boost::json::object entry, bool integrity = true);

private:
    const Tools tools_;
    std::mutex mutex_;         // of what writes in place
    std::mutex copies_mutex_;  // likewise in archives, which may be slow
};

}  // namespace spantape
