// SPDX-License-Identifier: AGPL-3.0-or-later
// Recoverable errors: what went wrong, where and why, carried up to the place that can answer the user.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace spantape {

struct Error {
    std::string message;  // one line, naming the thing (file, key, host) that was wrong
};

template <class T = void>
using Result = std::expected<T, Error>;

// An Error built as by fmt::format, ready to be returned from a function that gives a Result.
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
    return std::unexpected(Error{fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace spantape
