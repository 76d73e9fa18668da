// SPDX-License-Identifier: AGPL-3.0-or-later
// A client of the WebAPI (manual: Uptivity WebAPI Service) over HTTP/1.1: one request after the other, each answered
// by a RESULT, a file, or an endless stream of event documents. Control thread only.
#pragma once

#include <memory>

#include "api/protocol/connection.h"
#include "api/protocol/http_reader.h"
#include "api/protocol/http_writer.h"

namespace spantape::api {

class WebConnection final : public Connection {
public:
    WebConnection(std::unique_ptr<ByteStream> stream, std::shared_ptr<Hub> hub, const std::string& peer,
                  const std::string& listener);

    void stop() override;
    void deliver(const Event& event, const EncodedEvent& encoded) override;
    void send_events() override;

private:
    // What is being answered.
    struct Exchange {
        bool head = false;
        bool keep_alive = true;
        bool chunked = true;
        bool resource = false;
        std::string range;
        std::string type;
        std::string request_id_text;
    };
    // A file on its way. `read` runs on the pool, so it is held by the job that runs it as well.
    struct Transfer {
        FileAnswer file;
        std::uint64_t skip_bytes = 0;             // before the range asked for
        std::optional<std::uint64_t> left_bytes;  // nullopt: until it ends
        bool chunked = false;
        bool reading = false;
    };

    void on_open() override;
    std::span<char> input_space() override { return reader_.space(read_bytes()); }
    void on_input(std::size_t bytes) override;
    void on_input_ended() override;
    void on_output_progress() override;
    void on_deadline() override;

    void process();
    void take(const HttpRequest& request);
    bool take_page(const HttpRequest& request, const Client& asking);
    void fault(const HttpFault& fault);
    void break_off(const HttpFault& fault);
    void watch_time();
    void answer(std::uint64_t sequence, Reply&& reply);
    void answer_document(std::string_view document, std::string_view content_type = HttpHeader{}.content_type);
    void begin_file(FileAnswer&& file);
    void begin_unmeasured_file(FileAnswer&& file);
    void append_file_bytes(std::string_view bytes);
    void read_piece();
    void piece_read(const Result<std::string>& piece);
    void begin_live(LiveAnswer&& live);
    void next_live();
    void end_live();
    void begin_events(std::string_view document, Reply::Subscription&& wanted);
    void end_events();
    void exchange_done();

    HttpReader reader_;
    Client client_;
    std::uint64_t sequence_ = 0;  // of the exchange
    bool busy_ = false;           // with the exchange
    Exchange exchange_;
    std::shared_ptr<Transfer> transfer_;
    std::optional<Reply::Subscription> subscription_;
    std::optional<LiveAnswer> live_;
    boost::asio::steady_timer live_timer_;
    bool processing_ = false;
    bool message_timed_ = false;
    bool last_taken_ = false;
};

}  // namespace spantape::api
