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

constexpr std::string_view kRecordings = "/recordings/";
constexpr std::string_view kLive = "/live/";

// FILENAME is of a WAV file; what the path ends in is the format that is wanted.
void add_recording(RequestBuilder& builder, const std::string& path) {
    const std::size_t dot = path.rfind('.');
    builder.add("TYPE", "EXPORT");
    builder.add("UNIQUEFIELD", "filename");
    builder.add("UNIQUEID", path.substr(0, dot) + ".wav");
    builder.add("MEDIA_FORMAT", path.substr(dot + 1));
}

}  // namespace

std::expected<std::expected<Request, Refusal>, HttpFault> parse_web_request(const HttpRequest& request) {
    const auto target = split_target(request.target);
    if (!target) return std::unexpected(HttpFault{400, target.error().message});
    const bool recording = target->path.starts_with(kRecordings) && target->path.find('.') != std::string::npos;
    const bool waveform = target->path == "/waveform";
    const bool live = target->path.starts_with(kLive);
    const bool resource = recording || waveform || live;
    if (!resource && !is_api_page(target->path)) return std::unexpected(HttpFault{404, "no such page"});
    const bool post = request.method == "POST";
    if (resource && post) return std::unexpected(HttpFault{405, "GET and HEAD are served here"});
    if (!post && request.method != "GET" && request.method != "HEAD") {
        return std::unexpected(HttpFault{405, "GET, HEAD and POST are served"});
    }
    RequestBuilder builder;
    if (resource) builder.add("REQUESTID", "0");
    if (recording) add_recording(builder, target->path);
    if (waveform) builder.add("TYPE", "WAVEFORM");
    if (live) {
        builder.add("TYPE", "LIVE");
        builder.add("DEVICEID", target->path.substr(kLive.size()));
    }
    const bool has_form = post && !request.body.empty();
    if (has_form && !is_form(request.content_type)) {
        return std::unexpected(HttpFault{400, "a body must be application/x-www-form-urlencoded"});
    }
    for (const std::string_view form :
         {target->query, has_form ? std::string_view(request.body) : std::string_view{}}) {
        const auto parameters = decode_form(form);
        if (!parameters) return std::unexpected(HttpFault{400, parameters.error().message});
        if (recording || live) continue;  // a page may add anything, so that its browser asks again
        for (const auto& [name, value] : *parameters) builder.add(name, value);
    }
    auto built = builder.finish();
    if (built) built->is_resource = resource;
    if (!built && resource) return std::unexpected(HttpFault{400, built.error().message});
    return built;
}

}  // namespace spantape::api
