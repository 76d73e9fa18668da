// SPDX-License-Identifier: AGPL-3.0-or-later
// One listening address: accepts, checks who it is, and hands the socket on. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "api/protocol/hub.h"

namespace spantape::api {

class Listener : public std::enable_shared_from_this<Listener> {
public:
    using Accepted = std::function<void(TcpSocket&& socket, const std::string& peer)>;

    // "host:port" or "[::]:port", port 0 for any. An error names the listener, the address and why it is none. One that
    // cannot be listened on (yet) is no error, but failure().
    static Result<std::shared_ptr<Listener>> open(const std::string& name, const std::string& address,
                                                  std::shared_ptr<Hub> hub, Accepted accepted);
    Listener(std::string name, boost::asio::ip::tcp::endpoint endpoint, std::shared_ptr<Hub> hub, Accepted accepted);

    // Accepts clients; where it could not listen, tries again every two seconds.
    void start();
    void close();
    [[nodiscard]] std::string address() const;  // with the real port; "" while it does not listen
    // Why it does not listen; "" while it does.
    [[nodiscard]] const std::string& failure() const { return failure_; }

private:
    void listen();
    void accept_next();
    void arrived(TcpSocket&& socket);

    const std::string name_;
    const boost::asio::ip::tcp::endpoint endpoint_;
    const std::shared_ptr<Hub> hub_;
    const Accepted accepted_;
    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer pause_;
    std::string failure_;
    bool starved_ = false;  // of file descriptors or memory; said once
    bool closed_ = false;
};

}  // namespace spantape::api
