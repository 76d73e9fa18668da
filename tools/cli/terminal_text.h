// SPDX-License-Identifier: AGPL-3.0-or-later
// Text from the network on a terminal: names out of SIP messages must neither break a table nor steer the terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spantape::cli {

// Control characters, characters that turn the direction of writing, and bytes that are not UTF-8 become '?'.
[[nodiscard]] std::string printable(std::string_view text);
// Columns that printable text takes: combining marks take none, East Asian wide characters and emoji two.
[[nodiscard]] std::size_t display_width(std::string_view text);
// At most `columns` wide; what is cut off is shown by '…'.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns);

}  // namespace spantape::cli
