// SPDX-License-Identifier: AGPL-3.0-or-later
// HTTP/1.1 requests out of bytes (RFC 9112), incrementally; the only user of Boost.Beast, which reads the headers. One
// request at a time: what comes behind it waits in the buffer.
#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace spantape::api {

struct HttpRequest {
    std::string method;  // "GET"
    std::string target;  // as sent
    std::string body;
    std::string content_type;
    std::string range;  // of the header field; "" when there is none, or it is conditional
    std::string authorization;
    bool keep_alive = true;
    bool chunked_answer = true;  // the client understands chunks (HTTP/1.1)
};

struct HttpFault {
    int status = 400;
    std::string message;
};

class HttpReader {
public:
    explicit HttpReader(std::size_t max_body_bytes);
    ~HttpReader();

    std::span<char> space(std::size_t min_bytes);
    void filled(std::size_t bytes);

    // The next request; nullopt when more bytes are needed. After a fault (400, 413, 431) the connection is of no use.
    std::expected<std::optional<HttpRequest>, HttpFault> next();

    [[nodiscard]] bool mid_message() const;
    // True once a request: its header is complete and asks to be told to go on (RFC 9110 §10.1.1).
    bool take_continue();

    static constexpr std::size_t kMaxHeaderBytes = 16u << 10;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace spantape::api
