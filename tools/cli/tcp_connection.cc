// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tools/cli/tcp_connection.h"

#include <charconv>
#include <csignal>
#include <cstdint>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/error.hpp>

namespace spantape::cli {

std::optional<ServerAddress> parse_server(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return std::nullopt;  // IPv6 without brackets: where would the port begin?
    }
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (host.empty() || port.empty() || error != std::errc{} || end != port.data() + port.size() || number == 0)
        return std::nullopt;
    return ServerAddress{std::string(host), std::string(port)};
}

Result<std::unique_ptr<TcpConnection>> TcpConnection::open(const std::string& server, std::chrono::seconds limit) {
    const auto address = parse_server(server);
    if (!address) return fail("'{}' is no HOST:PORT", server);
    auto connection = std::unique_ptr<TcpConnection>(new TcpConnection(server));
    boost::system::error_code error;
    boost::asio::ip::tcp::resolver resolver(connection->context_);
    const auto endpoints = resolver.resolve(address->host, address->port, error);
    if (error) return fail("cannot connect to {}: {}", server, error.message());

    bool done = false;
    connection->stream_.expires_after(limit);
    connection->stream_.async_connect(endpoints, [&](boost::system::error_code result, const auto&) {
        error = result;
        done = true;
    });
    connection->run_until(done);
    if (error == boost::beast::error::timeout)
        return fail("cannot connect to {}: no answer in {} s", server, limit.count());
    if (error) return fail("cannot connect to {}: {}", server, error.message());
    connection->stream_.expires_never();
    return connection;
}

void TcpConnection::stop_on_signals() {
    boost::system::error_code error;
    for (const int signal : {SIGINT, SIGTERM}) signals_.add(signal, error);
    signals_.async_wait([this](boost::system::error_code failed, int) {
        if (!failed) interrupted_ = true;
    });
}

void TcpConnection::run_until(const bool& done) {
    context_.restart();
    while (!done && !interrupted_ && context_.run_one() != 0) {
    }
}

}  // namespace spantape::cli
