// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/http_reader.h"

#include <algorithm>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "api/protocol/chunk_decoder.h"
#include "api/protocol/input_buffer.h"
#include "api/protocol/xml_text.h"

namespace spantape::api {
namespace {

namespace http = boost::beast::http;
using Parser = http::request_parser<http::empty_body>;

std::string field(const Parser& parser, http::field name) { return std::string(parser.get()[name]); }

const HttpFault kTooLarge{413, "body too large"};

}  // namespace

// Beast parses the header; the body is read here.
struct HttpReader::State {
    explicit State(std::size_t max_body) : max_body_bytes(max_body) { begin(); }

    void begin() {
        parser.emplace();
        parser->header_limit(kMaxHeaderBytes);
        parser->body_limit(boost::none);
        in_body = false;
        continue_taken = false;
        body.clear();
        chunks.reset();
    }

    // RFC 9112 §2.2: line ends before a request are skipped.
    void skip_line_ends() {
        while (!parser->got_some() && !input.view().empty() && is_blank(input.view().front())) input.consume(1);
    }

    // False: more bytes are needed.
    std::expected<bool, HttpFault> read_header() {
        skip_line_ends();
        if (input.view().empty()) return false;
        boost::system::error_code error;
        while (!error && !parser->is_header_done() && !input.view().empty()) {
            input.consume(parser->put(boost::asio::buffer(input.view()), error));
        }
        if (error == http::error::header_limit) return std::unexpected(HttpFault{431, "header too large"});
        if (error && error != http::error::need_more) {
            return std::unexpected(HttpFault{400, "malformed request: " + error.message()});
        }
        if (!parser->is_header_done()) return false;
        return begin_body();
    }

    std::expected<bool, HttpFault> begin_body() {
        const bool encoded = parser->get().find(http::field::transfer_encoding) != parser->get().end();
        if (encoded && !parser->chunked()) return std::unexpected(HttpFault{400, "unknown transfer encoding"});
        const auto length = parser->content_length();
        if (length && *length > max_body_bytes) return std::unexpected(kTooLarge);
        left_bytes = static_cast<std::size_t>(length.value_or(0));
        if (parser->chunked()) chunks.emplace(max_body_bytes);
        in_body = true;
        return true;
    }

    std::expected<bool, HttpFault> read_body() { return chunks ? read_chunks() : read_fixed(); }

    std::expected<bool, HttpFault> read_fixed() {
        const std::size_t count = std::min(left_bytes, input.view().size());
        body += input.view().substr(0, count);
        input.consume(count);
        left_bytes -= count;
        return left_bytes == 0;
    }

    std::expected<bool, HttpFault> read_chunks() {
        std::size_t used = 0;
        const auto status = chunks->feed(input.view(), used, body);
        input.consume(used);
        if (status == ChunkDecoder::Status::kTooLarge) return std::unexpected(kTooLarge);
        if (status == ChunkDecoder::Status::kMalformed) return std::unexpected(HttpFault{400, "malformed chunk"});
        return status == ChunkDecoder::Status::kComplete;
    }

    HttpRequest take() {
        const auto& message = parser->get();
        HttpRequest request;
        request.method = message.method_string();
        request.target = message.target();
        request.content_type = field(*parser, http::field::content_type);
        const bool conditional = message.find(http::field::if_range) != message.end();
        if (!conditional) request.range = field(*parser, http::field::range);
        request.authorization = field(*parser, http::field::authorization);
        request.keep_alive = parser->keep_alive();
        request.chunked_answer = message.version() >= 11;
        request.body = std::move(body);
        begin();
        return request;
    }

    const std::size_t max_body_bytes;
    InputBuffer input;
    std::optional<Parser> parser;  // of this request's header
    bool in_body = false;
    bool continue_taken = false;
    std::size_t left_bytes = 0;          // of a body with Content-Length
    std::optional<ChunkDecoder> chunks;  // of another
    std::string body;
};

HttpReader::HttpReader(std::size_t max_body_bytes) : state_(std::make_unique<State>(max_body_bytes)) {}
HttpReader::~HttpReader() = default;

std::span<char> HttpReader::space(std::size_t min_bytes) { return state_->input.space(min_bytes); }
void HttpReader::filled(std::size_t bytes) { state_->input.filled(bytes); }

std::expected<std::optional<HttpRequest>, HttpFault> HttpReader::next() {
    std::expected<bool, HttpFault> ready = true;
    if (!state_->in_body) ready = state_->read_header();
    if (ready && *ready) ready = state_->read_body();
    if (!ready) return std::unexpected(ready.error());
    if (!*ready) return std::nullopt;
    return state_->take();
}

bool HttpReader::mid_message() const {
    return state_->in_body || state_->parser->got_some() || !state_->input.view().empty();
}

bool HttpReader::take_continue() {
    if (!state_->in_body || state_->continue_taken) return false;
    if (!equal_ignoring_case(field(*state_->parser, http::field::expect), "100-continue")) return false;
    state_->continue_taken = true;
    return true;
}

}  // namespace spantape::api
