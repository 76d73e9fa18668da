// SPDX-License-Identifier: AGPL-3.0-or-later
// What the commands that know CAV files share.
#pragma once

#include <string>

#include "capture/base/result.h"

namespace spantape::cli {

// Of a file that holds a password; an error names the file and why there is none.
[[nodiscard]] Result<std::string> first_line(const std::string& path);

}  // namespace spantape::cli
