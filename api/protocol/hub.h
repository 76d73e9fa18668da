// SPDX-License-Identifier: AGPL-3.0-or-later
// What all connections share: options, the functions' door, counters, and who is connected and subscribed. Control
// thread only. Holds every connection until it is closed; connections hold it until they are gone.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "api/protocol/access_list.h"
#include "api/protocol/byte_stream.h"
#include "api/protocol/servers.h"
#include "api/protocol/xml_codec.h"

namespace spantape::api {

class Connection;

class Hub : public std::enable_shared_from_this<Hub> {
public:
    Hub(boost::asio::io_context& control_context, boost::asio::thread_pool& exporters,
        const ServerOptions& server_options, AccessList access_list, TlsContextPtr tls_context,
        RequestHandler& request_handler);

    // Takes a new connection in and starts it. One more than max_clients: a half-closed subscriber makes room, else
    // the connection is refused in its own protocol.
    void welcome(std::shared_ptr<Connection> connection);
    // By the connection, once closed; it may be destroyed by this.
    void leave(Connection& connection);
    void subscribe(std::shared_ptr<Connection> connection);
    // Subscribers are sent it behind the work that the thread has at hand, together with what else that publishes: a
    // write to each of them for every event is what events cost most.
    void publish(const Event& event);

    // Connections finish what is under way; `done` when the last has left, those that take too long being cut.
    void stop(std::function<void()> done);
    void close_all();

    void log(const std::string& line) const;
    [[nodiscard]] ResultStyle style() const { return {options.result_type_error}; }
    [[nodiscard]] std::size_t subscribers() const { return subscribers_.size(); }

    boost::asio::io_context& control;
    boost::asio::thread_pool& pool;
    const ServerOptions options;
    const AccessList allowed;
    TlsContextPtr tls;  // null without a certificate; of connections to come
    RequestHandler& handler;
    ServerCounters counters;

private:
    bool make_room();
    void finish_stop();
    void send_events();

    std::unordered_set<std::shared_ptr<Connection>> connections_;
    std::vector<std::shared_ptr<Connection>> subscribers_;
    std::size_t refused_now_ = 0;  // connections that are still being told so
    bool publishing_ = false;
    std::size_t unsent_events_ = 0;
    bool sending_due_ = false;  // send_events() is posted
    bool stopping_ = false;
    std::function<void()> stopped_;
    boost::asio::steady_timer stop_timer_;
};

}  // namespace spantape::api
