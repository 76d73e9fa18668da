// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/listener.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <boost/asio/ip/v6_only.hpp>

namespace spantape::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kStarvedPause{50};
constexpr std::chrono::seconds kAgain{2};

IpAddress ip_of(const asio::ip::address& address) {
    if (address.is_v4()) return IpAddress::from_v4(address.to_v4().to_bytes().data());
    return IpAddress::from_v6(address.to_v6().to_bytes().data());
}

std::string text_of(const tcp::endpoint& endpoint) {
    return Endpoint{ip_of(endpoint.address()), endpoint.port()}.to_string();
}

Result<tcp::endpoint> resolve(asio::io_context& control, const std::string& text) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos) return fail("it reads host:port or [::]:port");
    std::string host = text.substr(0, colon);
    const std::string port = text.substr(colon + 1);
    if (port.empty() || port.size() > 5 || !std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; }) ||
        std::stoi(port) > 65535) {
        return fail("\"{}\" is no port", port);
    }
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    error_code error;
    tcp::resolver resolver(control);
    const auto found = resolver.resolve(host, port, error);
    if (error || found.empty()) return fail("{}", error ? error.message() : "no such host");
    return found.begin()->endpoint();
}

error_code listen_on(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
    return error;
}

// Answers leave at once; a client whose machine is gone is noticed in two minutes. Best effort.
void tune(TcpSocket& socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    const auto set = [&](int option, int value) {
        setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
    };
    set(TCP_KEEPIDLE, 60);
    set(TCP_KEEPINTVL, 15);
    set(TCP_KEEPCNT, 4);
}

bool is_starvation(const error_code& error) {
    using namespace boost::system::errc;
    return error == too_many_files_open || error == too_many_files_open_in_system || error == no_buffer_space ||
           error == not_enough_memory;
}

}  // namespace

Result<std::shared_ptr<Listener>> Listener::open(const std::string& name, const std::string& address,
                                                 std::shared_ptr<Hub> hub, Accepted accepted) {
    auto& control = hub->control;
    const auto endpoint = resolve(control, address);
    if (!endpoint) return fail("{} = {}: {}", name, address, endpoint.error().message);
    auto listener = std::make_shared<Listener>(name, *endpoint, std::move(hub), std::move(accepted));
    listener->listen();
    return listener;
}

Listener::Listener(std::string name, tcp::endpoint endpoint, std::shared_ptr<Hub> hub, Accepted accepted)
    : name_(std::move(name)),
      endpoint_(std::move(endpoint)),
      hub_(std::move(hub)),
      accepted_(std::move(accepted)),
      acceptor_(hub_->control),
      pause_(hub_->control) {}

void Listener::listen() {
    const auto error = listen_on(acceptor_, endpoint_);
    failure_ = error ? fmt::format("{}: {}", text_of(endpoint_), error.message()) : "";
    error_code ignored;
    if (error) acceptor_.close(ignored);
}

void Listener::start() {
    if (closed_) return;
    if (!failure_.empty()) listen();
    if (failure_.empty()) return accept_next();
    pause_.expires_after(kAgain);
    pause_.async_wait([self = shared_from_this()](const error_code& error) {
        if (!error) self->start();
    });
}

void Listener::close() {
    closed_ = true;
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
}

std::string Listener::address() const {
    error_code error;
    const auto endpoint = acceptor_.local_endpoint(error);
    return error ? "" : text_of(endpoint);
}

void Listener::accept_next() {
    if (closed_) return;
    acceptor_.async_accept([self = shared_from_this()](const error_code& error, TcpSocket socket) {
        if (self->closed_) return;
        if (!error) {
            self->starved_ = false;
            self->arrived(std::move(socket));
        } else if (is_starvation(error)) {
            // The connection stays in the system's queue; trying again at once would only burn the processor.
            if (!std::exchange(self->starved_, true)) self->hub_->log("cannot accept clients: " + error.message());
            self->pause_.expires_after(kStarvedPause);
            return self->pause_.async_wait([self](const error_code&) { self->accept_next(); });
        }
        self->accept_next();
    });
}

void Listener::arrived(TcpSocket&& socket) {
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return;  // gone already
    if (!hub_->allowed.allows(ip_of(endpoint.address()))) {
        ++hub_->counters.refused;
        if (hub_->options.on_refused) hub_->options.on_refused(text_of(endpoint), name_);
        return;
    }
    tune(socket);
    accepted_(std::move(socket), text_of(endpoint));
}

}  // namespace spantape::api
