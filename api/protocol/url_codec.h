// SPDX-License-Identifier: AGPL-3.0-or-later
// URLs as the WebAPI needs them: the parts of a request target, and form data (application/x-www-form-urlencoded, in
// the query string or in a body) with percent and '+' decoding.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/base/result.h"

namespace spantape::api {

using Parameters = std::vector<std::pair<std::string, std::string>>;

struct Target {
    std::string path;        // decoded, '+' kept
    std::string_view query;  // as sent, without '?'
};

// RFC 9112 §3.2: origin form, or absolute form as through a proxy. An error: a malformed percent sign.
[[nodiscard]] Result<Target> split_target(std::string_view target);
// In the order sent. An error: a malformed percent sign, and where.
[[nodiscard]] Result<Parameters> decode_form(std::string_view form);
// Everything but letters, digits, '-', '.', '_' and '~' as %XX (RFC 3986 §2.3).
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace spantape::api
