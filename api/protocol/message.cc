// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/message.h"

#include <ranges>

namespace spantape::api {

std::string_view label_of(ResultCode code) {
    // The manual lists one label under two numbers; an enum cannot.
    if (code == ResultCode::API_INVALID_MESSAGE_FORMAT_17) return "API_INVALID_MESSAGE_FORMAT";
    switch (code) {
#define RESULT_CODE(number, name) \
    case ResultCode::name:        \
        return #name;
#include "api/protocol/result_codes.def"
#undef RESULT_CODE
    }
    return "API_ERROR_UNKNOWN";
}

std::optional<std::string_view> Request::find(std::string_view name) const {
    for (const auto& [key, value] : parameters | std::views::reverse) {
        if (key == name) return value;
    }
    return std::nullopt;
}

std::string_view Request::text(std::string_view name) const { return find(name).value_or(std::string_view{}); }

}  // namespace spantape::api
