// SPDX-License-Identifier: AGPL-3.0-or-later
// A client's TCP connection on one thread: operations are started on stream() and waited for here, so that each has
// its time limit and a signal can end the waiting.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core/tcp_stream.hpp>

#include "capture/base/result.h"

namespace spantape::cli {

struct ServerAddress {
    std::string host, port;
};
// "127.0.0.1:5620", "recorder.example:5620", "[2001:db8::1]:5620".
[[nodiscard]] std::optional<ServerAddress> parse_server(std::string_view text);

class TcpConnection {
public:
    // An error names the server and the reason.
    static Result<std::unique_ptr<TcpConnection>> open(const std::string& server, std::chrono::seconds limit);

    [[nodiscard]] boost::beast::tcp_stream& stream() { return stream_; }
    [[nodiscard]] const std::string& server() const { return server_; }

    // From now on SIGINT and SIGTERM end run_until() instead of the process.
    void stop_on_signals();
    [[nodiscard]] bool interrupted() const { return interrupted_; }

    // Runs the operations under way until one of them has set `done`, or a signal came.
    void run_until(const bool& done);

private:
    explicit TcpConnection(std::string server) : server_(std::move(server)), stream_(context_), signals_(context_) {}

    const std::string server_;
    boost::asio::io_context context_{1};
    boost::beast::tcp_stream stream_;
    boost::asio::signal_set signals_;
    bool interrupted_ = false;
};

}  // namespace spantape::cli
