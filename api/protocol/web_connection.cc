// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/web_connection.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/post.hpp>

#include "api/protocol/byte_range.h"
#include "api/protocol/url_codec.h"
#include "api/protocol/web_request.h"

namespace spantape::api {
namespace {

constexpr std::size_t kMaxBacklogBytes = 1u << 20;       // of answers, or of a file, not sent; with more, we wait
constexpr std::size_t kMaxLiveBacklogBytes = 64u << 10;  // one or two seconds
constexpr std::chrono::seconds kIdle{120};               // a connection kept for further requests

// Of a refusal, for those that know no RESULT.
int status_of(ResultCode code) {
    switch (code) {
        case ResultCode::API_FILE_NOT_FOUND:
            return 404;
        case ResultCode::API_COMMAND_NOT_ALLOWED:
            return 403;
        case ResultCode::API_COMMAND_QUEUE_FULL:
            return 503;
        case ResultCode::API_DATABASE_QUERY_ERROR:
        case ResultCode::API_ERROR_PROCESSING_MESSAGE:
            return 500;
        default:
            return 400;
    }
}

}  // namespace

WebConnection::WebConnection(std::unique_ptr<ByteStream> stream, std::shared_ptr<Hub> hub, const std::string& peer,
                             const std::string& listener)
    : Connection(std::move(stream), hub, peer),
      reader_(hub->options.max_message_bytes),
      client_{peer, true, listener},
      live_timer_(this->hub().control) {}

void WebConnection::on_open() {
    if (refused()) return break_off({503, "too many clients"});
    client_.certificate_name = stream().peer_name();
    watch_time();
    read_more();
}

void WebConnection::on_input(std::size_t bytes) {
    if (subscription_ || live_) return read_more();  // nothing can follow an endless answer
    reader_.filled(bytes);
    process();
}

void WebConnection::on_input_ended() {
    if (subscription_) return end_events();
    if (live_) return end_live();
    process();
}

void WebConnection::on_output_progress() {
    if (live_) return;
    if (output_backlog() >= kMaxBacklogBytes) return;
    if (transfer_) return read_piece();
    process();
}

void WebConnection::process() {
    if (processing_) return;
    processing_ = true;
    bool all_taken = false;
    while (!busy_ && !last_taken_ && !closed() && output_backlog() < kMaxBacklogBytes && !all_taken) {
        auto next = reader_.next();
        if (!next) {
            break_off(next.error());
        } else if (*next) {
            take(**next);
        } else {
            all_taken = true;
            if (reader_.take_continue()) out() += "HTTP/1.1 100 Continue\r\n\r\n";
        }
    }
    processing_ = false;
    if (closed()) return;
    flush();
    if (busy_ || finishing()) return;
    if (last_taken_) return finish();
    if (!all_taken) return;
    if (input_ended()) return finish();
    watch_time();
    read_more();
}

// A request's time runs from its first byte.
void WebConnection::watch_time() {
    if (!reader_.mid_message()) {
        message_timed_ = false;
        set_deadline(Clock::now() + kIdle);
    } else if (!std::exchange(message_timed_, true)) {
        set_deadline(Clock::now() + std::chrono::seconds(hub().options.message_timeout_s));
    }
}

void WebConnection::take(const HttpRequest& request) {
    ++sequence_;
    clear_deadline();
    message_timed_ = false;
    exchange_ = {request.method == "HEAD", request.keep_alive, request.chunked_answer, false, request.range, "", ""};
    Client asking = client_;
    asking.authorization = request.authorization;
    if (take_page(request, asking)) return;
    const auto parsed = parse_web_request(request);
    if (!parsed) return fault(parsed.error());
    ++hub().counters.requests;
    busy_ = true;
    if (!*parsed) {
        std::string document;
        append_refusal(document, parsed->error(), hub().style());
        return answer_document(document);
    }
    const Request& asked = **parsed;
    exchange_.resource = asked.is_resource;
    exchange_.type = asked.type_sent;
    exchange_.request_id_text = asked.request_id_text;
    hub().handler.handle(asked, asking, [weak = weak_from_this(), sequence = sequence_](Reply&& reply) {
        if (const auto self = weak.lock()) static_cast<WebConnection&>(*self).answer(sequence, std::move(reply));
    });
}

// True when it was for a page beside the API.
bool WebConnection::take_page(const HttpRequest& request, const Client& asking) {
    if (!hub().options.page || (request.method != "GET" && request.method != "HEAD")) return false;
    const auto target = split_target(request.target);
    auto page = target ? hub().options.page(target->path) : std::nullopt;
    if (!page) return false;
    busy_ = true;
    hub().handler.admit_to_pages(
        asking, [weak = weak_from_this(), sequence = sequence_, shown = std::move(*page)](Reply&& reply) {
            const auto self = weak.lock();
            if (!self) return;
            auto& connection = static_cast<WebConnection&>(*self);
            if (reply.http_status != 0) return connection.answer(sequence, std::move(reply));
            if (connection.closed() || !connection.busy_ || sequence != connection.sequence_) return;
            connection.answer_document(shown.text, shown.content_type);
            if (!connection.processing_) connection.process();
        });
    return true;
}

// A request that is whole but not for the API.
void WebConnection::fault(const HttpFault& fault) {
    ++hub().counters.broken_requests;
    append_http_fault(out(), fault, exchange_.head, exchange_.keep_alive);
    exchange_done();
}

// What follows on the connection cannot be told apart any more, or is not wanted.
void WebConnection::break_off(const HttpFault& fault) {
    if (!refused()) ++hub().counters.broken_requests;
    append_http_fault(out(), fault, false, false);
    last_taken_ = true;
    if (!processing_) finish();
}

void WebConnection::answer(std::uint64_t sequence, Reply&& reply) {
    if (closed() || !busy_ || sequence != sequence_ || transfer_ || subscription_ || live_) return;
    if (reply.http_status != 0) {
        append_http_fault(out(), {reply.http_status, reply.message}, exchange_.head, exchange_.keep_alive);
        exchange_done();
    } else if (reply.file) {
        begin_file(std::move(*reply.file));
    } else if (reply.live) {
        begin_live(std::move(*reply.live));
    } else if (exchange_.resource) {
        append_http_fault(out(), {status_of(reply.code), reply.message}, exchange_.head, exchange_.keep_alive);
        exchange_done();
    } else {
        std::string document;
        append_result(document, {exchange_.type, exchange_.request_id_text}, reply, hub().style());
        if (reply.subscription && !exchange_.head) {
            begin_events(document, std::move(*reply.subscription));
        } else {
            answer_document(document);
        }
    }
    if (!processing_) process();
}

void WebConnection::answer_document(std::string_view document, std::string_view content_type) {
    HttpHeader header;
    header.content_type = content_type;
    header.content_bytes = document.size();
    header.keep_alive = exchange_.keep_alive;
    append_http_header(out(), header);
    if (!exchange_.head) out() += document;
    exchange_done();
}

void WebConnection::exchange_done() {
    busy_ = false;
    if (!exchange_.keep_alive) last_taken_ = true;
    exchange_ = {};
}

void WebConnection::begin_file(FileAnswer&& file) {
    if (!file.bytes) return begin_unmeasured_file(std::move(file));
    const std::uint64_t bytes = *file.bytes;
    const auto range = parse_byte_range(exchange_.range, bytes);
    HttpHeader header{200,   file.content_type,    bytes,
                      false, exchange_.keep_alive, content_disposition(file.name) + "Accept-Ranges: bytes\r\n"};
    std::uint64_t skip_bytes = 0;
    if (range && range->bytes == 0) {
        header = {416,   "text/plain; charset=utf-8", 0,
                  false, exchange_.keep_alive,        fmt::format("Content-Range: bytes */{}\r\n", bytes)};
    } else if (range) {
        skip_bytes = range->first;
        header.status = 206;
        header.content_bytes = range->bytes;
        header.extra +=
            fmt::format("Content-Range: bytes {}-{}/{}\r\n", range->first, range->first + range->bytes - 1, bytes);
    }
    append_http_header(out(), header);
    if (exchange_.head || *header.content_bytes == 0) return exchange_done();
    const std::uint64_t left_bytes = *header.content_bytes;
    transfer_ = std::make_shared<Transfer>(Transfer{std::move(file), skip_bytes, left_bytes});
    read_piece();
}

// In chunks, or for a client that knows none until the connection ends; a range of it cannot be given.
void WebConnection::begin_unmeasured_file(FileAnswer&& file) {
    const bool chunked = exchange_.chunked;
    if (!chunked) exchange_.keep_alive = false;
    append_http_header(out(), {200, file.content_type, std::nullopt, chunked, exchange_.keep_alive,
                               content_disposition(file.name) + "Accept-Ranges: none\r\n"});
    if (exchange_.head) return exchange_done();
    transfer_ = std::make_shared<Transfer>(Transfer{std::move(file), 0, std::nullopt, chunked});
    read_piece();
}

void WebConnection::read_piece() {
    if (closed() || !transfer_ || transfer_->reading) return;
    transfer_->reading = true;
    auto deliver_piece = [weak = weak_from_this()](const Result<std::string>& piece) {
        if (const auto self = weak.lock()) static_cast<WebConnection&>(*self).piece_read(piece);
    };
    boost::asio::post(hub().pool, [transfer = transfer_, deliver_piece, &control = hub().control] {
        auto piece = transfer->file.read();
        boost::asio::post(control, [deliver_piece, piece = std::move(piece)] { deliver_piece(piece); });
    });
}

void WebConnection::piece_read(const Result<std::string>& piece) {
    if (closed() || !transfer_) return;
    transfer_->reading = false;
    const bool whole = piece && piece->empty() && !transfer_->left_bytes;
    if (!whole && (!piece || piece->empty())) {
        // The length was promised; only a broken connection can say now that it is not kept.
        hub().log(fmt::format("{} to {} broken off: {}", transfer_->file.name, peer(),
                              piece ? "it ended before its length" : piece.error().message));
        return close();
    }
    if (!whole) append_file_bytes(*piece);
    if (whole || transfer_->left_bytes == 0) {
        if (transfer_->chunked) out() += kLastChunk;
        transfer_.reset();
        exchange_done();
        return process();
    }
    flush();
    if (output_backlog() < kMaxBacklogBytes) read_piece();
}

// What of a piece was asked for.
void WebConnection::append_file_bytes(std::string_view bytes) {
    if (!transfer_->left_bytes) {
        if (transfer_->chunked)
            append_chunk(out(), bytes);
        else
            out() += bytes;
        return;
    }
    const auto skipped = std::min<std::uint64_t>(transfer_->skip_bytes, bytes.size());
    transfer_->skip_bytes -= skipped;
    bytes = bytes.substr(skipped).substr(0, *transfer_->left_bytes);
    *transfer_->left_bytes -= bytes.size();
    out() += bytes;
}

void WebConnection::begin_live(LiveAnswer&& live) {
    const bool chunked = exchange_.chunked;
    exchange_.keep_alive = false;
    append_http_header(out(), {200, live.content_type, std::nullopt, chunked, false,
                               "Accept-Ranges: none\r\nCache-Control: no-store\r\n"});
    if (exchange_.head) return exchange_done();
    live_ = std::move(live);
    live_timer_.expires_after(std::chrono::milliseconds(0));
    next_live();
    read_more();  // tells when the client goes
}

void WebConnection::next_live() {
    if (closed()) return live_.reset();
    if (!live_) return;
    const auto piece = live_->next();
    if (!piece) return end_live();
    // Who does not keep up misses something, and hears the rest in time.
    if (!piece->empty() && output_backlog() < kMaxLiveBacklogBytes) {
        if (exchange_.chunked)
            append_chunk(out(), *piece);
        else
            out() += *piece;
        flush();
    }
    live_timer_.expires_at(live_timer_.expiry() + kLiveTick);
    live_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        if (const auto self = weak.lock(); self && !error) static_cast<WebConnection&>(*self).next_live();
    });
}

void WebConnection::end_live() {
    live_.reset();
    live_timer_.cancel();
    last_taken_ = true;
    if (exchange_.chunked) out() += kLastChunk;
    finish();
}

void WebConnection::begin_events(std::string_view document, Reply::Subscription&& wanted) {
    HttpHeader header;
    header.content_bytes = std::nullopt;
    header.chunked = exchange_.chunked;
    header.keep_alive = false;
    append_http_header(out(), header);
    if (exchange_.chunked) {
        append_chunk(out(), document);
    } else {
        out() += document;
    }
    subscription_ = std::move(wanted);
    hub().subscribe(shared_from_this());
    read_more();  // tells when the client goes
}

void WebConnection::end_events() {
    last_taken_ = true;
    if (exchange_.chunked) out() += kLastChunk;
    finish();
}

void WebConnection::deliver(const Event& event, const EncodedEvent& encoded) {
    if (!wants(*subscription_, event)) return;
    if (closed() || finishing()) return;
    std::string document;
    append_event(document, encoded, exchange_.request_id_text);
    if (exchange_.chunked) {
        append_chunk(out(), document);
    } else {
        out() += document;
    }
    note_events(1);
}

void WebConnection::send_events() {
    if (!processing_) flush();  // else process() does
}

void WebConnection::stop() {
    last_taken_ = true;
    clear_deadline();
    if (subscription_) return end_events();
    if (live_) return end_live();
    if (busy_) return;
    if (output_backlog() == 0) return close();
    finish();
}

void WebConnection::on_deadline() {
    if (busy_) return;
    if (!reader_.mid_message()) return close();
    break_off({400, "the request was not complete in time"});
}

}  // namespace spantape::api
