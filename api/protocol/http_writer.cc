// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/http_writer.h"

#include <ctime>
#include <iterator>

#include <fmt/format.h>

#include "api/protocol/url_codec.h"

namespace spantape::api {
namespace {

std::string_view reason_of(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 206:
            return "Partial Content";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 413:
            return "Content Too Large";
        case 416:
            return "Range Not Satisfiable";
        case 500:
            return "Internal Server Error";
        case 431:
            return "Request Header Fields Too Large";
        default:
            return "Service Unavailable";
    }
}

// RFC 9110 §5.6.7, whatever the locale is.
void append_date(std::string& out) {
    constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    fmt::format_to(std::back_inserter(out), "Date: {}, {:02} {} {} {:02}:{:02}:{:02} GMT\r\n", kDays[utc.tm_wday],
                   utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace

void append_http_header(std::string& out, const HttpHeader& header) {
    const auto at = std::back_inserter(out);
    fmt::format_to(at, "HTTP/1.1 {} {}\r\n", header.status, reason_of(header.status));
    append_date(out);
    fmt::format_to(at, "Content-Type: {}\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n",
                   header.content_type);
    if (header.content_bytes) fmt::format_to(at, "Content-Length: {}\r\n", *header.content_bytes);
    if (header.chunked) out += "Transfer-Encoding: chunked\r\n";
    out += header.keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
    out += header.extra;
    out += "\r\n";
}

void append_http_fault(std::string& out, const HttpFault& fault, bool head, bool keep_alive) {
    HttpHeader header{fault.status, "text/plain; charset=utf-8", fault.message.size() + 2, false, keep_alive};
    if (fault.status == 405) header.extra = "Allow: GET, HEAD, POST\r\n";
    if (fault.status == 401)
        header.extra = "WWW-Authenticate: Basic realm=\"Spantape\", charset=\"UTF-8\"\r\nWWW-Authenticate: Bearer\r\n";
    append_http_header(out, header);
    if (!head) fmt::format_to(std::back_inserter(out), "{}\r\n", fault.message);
}

void append_chunk(std::string& out, std::string_view bytes) {
    fmt::format_to(std::back_inserter(out), "{:x}\r\n", bytes.size());
    out += bytes;
    out += "\r\n";
}

std::string content_disposition(std::string_view name) {
    std::string plain;
    for (const char c : name) plain += c >= 0x20 && c < 0x7f && c != '"' && c != '\\' ? c : '_';
    std::string field = fmt::format("Content-Disposition: attachment; filename=\"{}\"", plain);
    if (plain != name) field += fmt::format("; filename*=UTF-8''{}", percent_encode(name));
    return field + "\r\n";
}

}  // namespace spantape::api
