// SPDX-License-Identifier: AGPL-3.0-or-later
// Who has an index open: the lock of its database, without opening it (it may be broken).
#pragma once

#include <memory>
#include <string>

#include "capture/base/result.h"

namespace spantape {

// Keeps every process, this one too, from opening the index in `directory` while it lives.
class IndexLock {
public:
    // An error when a process has it open. The directory must be there.
    static Result<std::unique_ptr<IndexLock>> take(const std::string& directory);
    virtual ~IndexLock() = default;
};

// Whether another process has it open for writing.
[[nodiscard]] bool index_in_use(const std::string& directory);

}  // namespace spantape
