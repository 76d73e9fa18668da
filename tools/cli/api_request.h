// SPDX-License-Identifier: AGPL-3.0-or-later
// Requests with parameters to the XML API of a running appliance, as the subcommands that change it make them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/protocol/message.h"
#include "capture/base/result.h"

namespace spantape::cli {

class ApiRequest {
public:
    explicit ApiRequest(std::string_view type) { add("TYPE", type), add("REQUESTID", "1"); }

    void add(std::string_view name, std::string_view value);
    // "key=value" of the command line: "keep_days=9" is KEEPDAYS. An error names the one that is none.
    Result<> add_settings(const std::vector<std::string>& settings);

    // The RESULT; an answer whose code is not API_OK is an error.
    [[nodiscard]] Result<api::Element> ask(const std::string& server) const;

    // As parameters are called: "keep_days" -> "KEEPDAYS".
    [[nodiscard]] static std::string parameter_of(std::string text);

private:
    std::string text_;
};

// The children of one element, or none.
[[nodiscard]] const std::vector<api::Element>& children_of(const api::Element& parent, std::string_view name);

}  // namespace spantape::cli
