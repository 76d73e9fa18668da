// SPDX-License-Identifier: AGPL-3.0-or-later
// The listeners: XML API (5620), event stream (5621; the same protocol), WebAPI (2012, 2013). All on the control
// thread's io_context; never block it. File answers are read on `pool`, which must be joined before the io_context
// ends. SIGPIPE is never raised by these sockets.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/protocol/message.h"

namespace spantape::api {

struct ServerOptions {
    std::string xml = "127.0.0.1:5620";  // "" = off; port 0 = any
    std::string events = "127.0.0.1:5621";
    std::string webapi = "127.0.0.1:2012";
    std::string webapi_tls = "127.0.0.1:2013";
    std::string certificate, key;  // PEM files for TLS; both must exist when webapi_tls or xml_tls is on
    std::string client_ca;         // PEM file of authorities: TLS clients must show a certificate of theirs; "": none
    std::vector<std::string> allow = {"127.0.0.0/8", "::1"};  // networks that may connect; others are closed at once
    std::size_t max_clients = 1000;
    std::size_t event_backlog = 10'000;
    std::size_t max_message_bytes = 64u << 10;
    int message_timeout_s = 30;
    bool result_type_error = false;  // api.result_type = "error"
    std::string xml_tls;             // XML API and events over TLS ("127.0.0.1:5622"); "" = off; needs the certificate
    // Pages beside the API's, for GET under the same access rules: called on the control thread with the path; nullopt:
    // no such page.
    std::function<std::optional<TextPage>(std::string_view path)> page;
    // A connection that `allow` refused, and the listener it came to; may come in floods. Control thread.
    std::function<void(const std::string& address, const std::string& listener)> on_refused;
    std::function<void(const std::string& line)> log;  // what an operator should know; may be empty. Control thread
};

struct ServerCounters {
    std::uint64_t connections = 0, requests = 0, broken_requests = 0, refused = 0, events = 0, subscribers_cut = 0;
    std::size_t clients = 0, subscribers = 0;
};

class Servers {
public:
    // Binds and listens; an error names the listener, the address and what is wrong with it. An address that is in use,
    // or not there, is tried again until it is free: failures(). The handler must outlive it.
    static Result<std::unique_ptr<Servers>> start(boost::asio::io_context& control, boost::asio::thread_pool& pool,
                                                  const ServerOptions& options, RequestHandler& handler);
    virtual ~Servers() = default;

    // Control thread: to all subscribers that asked for it, in this order.
    virtual void publish(const Event& event) = 0;
    // No new connections; answers under way are finished, event streams closed; then `done`.
    virtual void stop(std::function<void()> done) = 0;

    // Reads the TLS files again; connections to come use them. An error: nothing has changed.
    virtual Result<> reload_certificates() = 0;

    // "xml=127.0.0.1:5620 events=… webapi=… tls=…" with the real ports; listeners that are off, or could not listen,
    // are left out.
    [[nodiscard]] virtual std::string addresses() const = 0;
    // Of each listener that is on: its name, and why it does not listen, or "".
    [[nodiscard]] virtual std::vector<std::pair<std::string, std::string>> failures() const = 0;
    [[nodiscard]] virtual ServerCounters counters() const = 0;
};

}  // namespace spantape::api
