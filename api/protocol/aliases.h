// SPDX-License-Identifier: AGPL-3.0-or-later
// The names that the manual spells in several ways, and the one of them that the functions know.
#pragma once

#include <string_view>

namespace spantape::api {

// All names upper case. A name without aliases comes back as it is.
[[nodiscard]] std::string_view canonical_type(std::string_view type);
// `type` (canonical) matters for names that are the same only in some functions.
[[nodiscard]] std::string_view canonical_parameter(std::string_view type, std::string_view name);

// A root element that can start a request wherever it stands: REQUEST, or a function of the manual that is not at the
// same time the name of a parameter (EMAIL is). Any letter case.
[[nodiscard]] bool is_request_root(std::string_view name);

}  // namespace spantape::api
