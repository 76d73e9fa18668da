// SPDX-License-Identifier: AGPL-3.0-or-later
// The two logs of a store: who did what (audit), and what proves the recordings (integrity).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "storage/chained_log.h"

namespace spantape {

inline std::string audit_log_path(const std::string& store) { return store + "/log/audit.jsonl"; }
inline std::string integrity_log_path(const std::string& store) { return store + "/log/integrity.jsonl"; }

struct StoreLogs {
    std::unique_ptr<ChainedLog> audit, integrity;

    static Result<StoreLogs> open(const std::string& store, const std::function<void(const std::string&)>& say = {}) {
        const auto key = SigningKey::load_or_create(store);
        if (!key) return std::unexpected(key.error());
        auto audit = ChainedLog::open(audit_log_path(store), *key, say);
        if (!audit) return std::unexpected(audit.error());
        auto integrity = ChainedLog::open(integrity_log_path(store), *key, say);
        if (!integrity) return std::unexpected(integrity.error());
        return StoreLogs{std::move(*audit), std::move(*integrity)};
    }
};

}  // namespace spantape
