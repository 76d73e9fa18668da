// SPDX-License-Identifier: AGPL-3.0-or-later
// The directory's entries on disk: STORE/directory, a database of its own, so that making STORE/index anew leaves it
// alone. Keys and values are the caller's; what they mean is not known here. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/base/result.h"

namespace spantape {

class DirectoryStore {
public:
    // Opens or creates it, for its owner only (0700). An error names the directory and what is wrong with it.
    static Result<std::unique_ptr<DirectoryStore>> open(const std::string& directory);
    virtual ~DirectoryStore() = default;

    // Every entry, in the order of keys, until `visit` gives an error, which is passed on.
    using Visitor = std::function<Result<>(std::string_view key, std::string_view value)>;
    virtual Result<> for_each(const Visitor& visit) const = 0;

    // A key with its new value, or without: removed. Of one key the last counts.
    using Batch = std::vector<std::pair<std::string, std::optional<std::string>>>;
    // All of it or nothing; durable when this returns. After an error nothing of it is to be counted on.
    virtual Result<> put(const Batch& batch) = 0;
};

}  // namespace spantape
