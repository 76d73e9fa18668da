// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/request_builder.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "api/protocol/aliases.h"
#include "api/protocol/xml_text.h"

namespace spantape::api {
namespace {

std::optional<std::int32_t> request_id_of(std::string_view text) {
    if (text.empty() || text.front() == '-') return std::nullopt;
    std::int32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

RequestBuilder::RequestBuilder(std::string_view root) {
    if (equal_ignoring_case(root, "REQUEST")) return;
    named_by_root_ = true;
    type_ = root;
}

void RequestBuilder::add(std::string_view name, std::string_view value) {
    std::string key = upper_case(name);
    value = trimmed(value);
    if (!is_xml_text(key) || !is_xml_text(value)) {
        bad_value_ = is_xml_text(key) ? key : "a parameter's name";
    } else if (key == "REQUESTID") {
        request_.request_id_text = value;
    } else if (key == "TYPE" && !named_by_root_) {
        type_ = value;
    } else if (key == "REQUESTTYPE" && !named_by_root_) {
        request_type_ = value;
    } else {
        request_.parameters.emplace_back(std::move(key), value);
    }
}

std::expected<Request, Refusal> RequestBuilder::finish() {
    request_.type_sent = upper_case(type_.empty() ? request_type_ : type_);
    request_.type = canonical_type(request_.type_sent);
    if (!bad_value_.empty()) {
        return std::unexpected(refuse(ResultCode::API_INVALID_MESSAGE_FORMAT,
                                      fmt::format("{}: not UTF-8, or a character outside XML 1.0", bad_value_)));
    }
    if (request_.type.empty()) return std::unexpected(refuse(ResultCode::API_INVALID_REQUEST_TYPE, "no TYPE"));
    const auto request_id = request_id_of(request_.request_id_text);
    if (!request_id) {
        return std::unexpected(
            refuse(ResultCode::API_REQUESTID_INVALID, "REQUESTID must be a number of 0 to 2147483647"));
    }
    request_.request_id = *request_id;
    for (auto& [name, value] : request_.parameters) {
        const std::string_view canonical = canonical_parameter(request_.type, name);
        if (canonical != name) name = canonical;
    }
    return std::move(request_);
}

Refusal RequestBuilder::refuse(ResultCode code, std::string message) {
    return {code, std::move(message), std::move(request_.type_sent), std::move(request_.request_id_text)};
}

}  // namespace spantape::api
