// SPDX-License-Identifier: AGPL-3.0-or-later
// An index that comes back after a disk that was full or failed: once a write has failed it is closed and opened anew,
// as soon as there is room (write_failure.h). Until then it can be read.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "storage/index/index.h"
#include "storage/index/write_failure.h"

namespace spantape {

struct OpenedIndex {
    std::unique_ptr<Index> index;
    WriteFailure failed;
};

// open: gives the index in `directory`, again and again.
Result<std::unique_ptr<Index>> open_reviving_index(const std::string& directory,
                                                   std::function<Result<OpenedIndex>(const std::string&)> open);

}  // namespace spantape
