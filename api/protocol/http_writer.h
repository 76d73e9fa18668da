// SPDX-License-Identifier: AGPL-3.0-or-later
// HTTP/1.1 answers as bytes (RFC 9112).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/protocol/http_reader.h"

namespace spantape::api {

struct HttpHeader {
    int status = 200;
    std::string_view content_type = "text/xml; charset=utf-8";
    std::optional<std::uint64_t> content_bytes = 0;  // nullopt: unknown; in chunks, or until the connection ends
    bool chunked = false;
    bool keep_alive = true;
    std::string extra = {};  // complete lines of further fields
};

void append_http_header(std::string& out, const HttpHeader& header);
// A whole answer with a short text; the text is left out for HEAD.
void append_http_fault(std::string& out, const HttpFault& fault, bool head, bool keep_alive);
void append_chunk(std::string& out, std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
// RFC 6266: a file to be saved under `name`.
[[nodiscard]] std::string content_disposition(std::string_view name);

}  // namespace spantape::api
