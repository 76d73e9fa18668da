// SPDX-License-Identifier: AGPL-3.0-or-later
// APPLIANCESTATUS's answer for a person at a terminal.
#pragma once

#include <cstddef>
#include <string>

#include "api/protocol/message.h"

namespace spantape::cli {

// What became of the packets, then workers, sources, streams and rings, signalling, writer, control and API; values
// that an older or newer appliance has beyond these stand at the end under their names. Ends with a line feed.
[[nodiscard]] std::string status_text(const api::Element& status, std::size_t width);

}  // namespace spantape::cli
