// SPDX-License-Identifier: AGPL-3.0-or-later
// From names and values as a client sent them, in XML or in a URL, to a Request: letter case, aliases, the function's
// name and the REQUESTID are settled here, the same for all ways in.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/protocol/message.h"

namespace spantape::api {

// A request that no function gets to see, and its answer.
struct Refusal {
    ResultCode code = ResultCode::API_INVALID_MESSAGE_FORMAT;
    std::string message;
    std::string type;             // as sent, upper case; as far as known
    std::string request_id_text;  // as sent
};

class RequestBuilder {
public:
    // `root`: REQUEST, or the function's name. In a REQUEST the function is in TYPE or REQUESTTYPE.
    explicit RequestBuilder(std::string_view root = "REQUEST");

    void add(std::string_view name, std::string_view value);

    // API_INVALID_REQUEST_TYPE without a function's name, API_REQUESTID_INVALID for a REQUESTID that is missing or
    // no number of 0 to 2147483647, API_INVALID_MESSAGE_FORMAT for a value that is not XML text.
    std::expected<Request, Refusal> finish();

private:
    Refusal refuse(ResultCode code, std::string message);

    Request request_;
    std::string type_;          // TYPE
    std::string request_type_;  // REQUESTTYPE
    bool named_by_root_ = false;
    std::string bad_value_;  // name of a parameter that is not XML text
};

}  // namespace spantape::api
