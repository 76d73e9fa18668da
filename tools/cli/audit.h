// SPDX-License-Identifier: AGPL-3.0-or-later
// What the command line itself leaves in a store's audit log.
#pragma once

#include <string>

#include <boost/json/object.hpp>

#include "capture/base/result.h"

namespace spantape::cli {

// Of the machine's user that runs us.
[[nodiscard]] std::string user_name();

// Durable when it returns. Its daemon may run meanwhile.
Result<> note_in_audit_log(const std::string& store, boost::json::object members);

}  // namespace spantape::cli
