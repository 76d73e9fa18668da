// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/web_request.h"

#include "api/protocol/url_codec.h"
#include "api/protocol/xml_text.h"

namespace spantape::api {
namespace {

bool is_api_page(std::string_view path) {
    return equal_ignoring_case(path, "/webAPI.aspx") || equal_ignoring_case(path, "/webAPI.php");
}

bool is_form(std::string_view content_type) {
    const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
    return type.empty() || equal_ignoring_case(type, "application/x-www-form-urlencoded");
}

}  // namespace

std::expected<std::expected<Request, Refusal>, HttpFault> parse_web_request(const HttpRequest& request) {
    const auto target = split_target(request.target);
    if (!target) return std::unexpected(HttpFault{400, target.error().message});
    if (!is_api_page(target->path)) return std::unexpected(HttpFault{404, "no such page"});
    const bool post = request.method == "POST";
    if (!post && request.method != "GET" && request.method != "HEAD") {
        return std::unexpected(HttpFault{405, "GET, HEAD and POST are served"});
    }
    RequestBuilder builder;
    const bool has_form = post && !request.body.empty();
    if (has_form && !is_form(request.content_type)) {
        return std::unexpected(HttpFault{400, "a body must be application/x-www-form-urlencoded"});
    }
    for (const std::string_view form :
         {target->query, has_form ? std::string_view(request.body) : std::string_view{}}) {
        const auto parameters = decode_form(form);
        if (!parameters) return std::unexpected(HttpFault{400, parameters.error().message});
        for (const auto& [name, value] : *parameters) builder.add(name, value);
    }
    return builder.finish();
}

}  // namespace spantape::api
