// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/hub.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>

#include "api/protocol/connection.h"

namespace spantape::api {
namespace {

constexpr std::chrono::seconds kStopPatience{5};
constexpr std::size_t kMaxEventsTogether = 64;
constexpr std::size_t kMaxRefusedNow = 256;  // beyond it the surplus is closed without a word

}  // namespace

Hub::Hub(boost::asio::io_context& control_context, boost::asio::thread_pool& exporters,
         const ServerOptions& server_options, AccessList access_list, std::shared_ptr<TlsContext> tls_context,
         RequestHandler& request_handler)
    : control(control_context),
      pool(exporters),
      options(server_options),
      allowed(std::move(access_list)),
      tls(std::move(tls_context)),
      handler(request_handler),
      stop_timer_(control_context) {}

void Hub::welcome(std::shared_ptr<Connection> connection) {
    ++counters.connections;
    const bool room = counters.clients < options.max_clients || make_room();
    if (!room && (++counters.refused, refused_now_ >= kMaxRefusedNow)) return;
    ++(room ? counters.clients : refused_now_);
    connections_.insert(connection);
    connection->start(!room);
}

// A subscriber that has ended its side may be one that waits for events, or one that is long gone.
bool Hub::make_room() {
    const auto found = std::ranges::find_if(subscribers_, [](const auto& one) { return one->input_ended(); });
    if (found == subscribers_.end()) return false;
    const auto subscriber = *found;
    subscriber->close();
    return counters.clients < options.max_clients;
}

void Hub::leave(Connection& connection) {
    --(connection.refused() ? refused_now_ : counters.clients);
    const auto self = connection.shared_from_this();
    if (!publishing_) std::erase(subscribers_, self);
    connections_.erase(self);
    if (stopping_ && connections_.empty()) finish_stop();
}

void Hub::subscribe(std::shared_ptr<Connection> connection) {
    if (std::ranges::find(subscribers_, connection) == subscribers_.end())
        subscribers_.push_back(std::move(connection));
}

void Hub::publish(const Event& event) {
    ++counters.events;
    if (subscribers_.empty()) return;
    const EncodedEvent encoded = encode_event(event);
    publishing_ = true;
    for (std::size_t i = 0; i < subscribers_.size(); ++i) subscribers_[i]->deliver(event, encoded);
    publishing_ = false;
    std::erase_if(subscribers_, [](const auto& subscriber) { return subscriber->closed(); });
    if (++unsent_events_ >= kMaxEventsTogether) return send_events();
    if (std::exchange(sending_due_, true)) return;
    boost::asio::post(control, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) {
            self->sending_due_ = false;
            self->send_events();
        }
    });
}

void Hub::send_events() {
    unsent_events_ = 0;
    for (std::size_t i = 0; i < subscribers_.size(); ++i) subscribers_[i]->send_events();
}

void Hub::stop(std::function<void()> done) {
    stopping_ = true;
    stopped_ = std::move(done);
    if (connections_.empty()) return finish_stop();
    const std::vector<std::shared_ptr<Connection>> all(connections_.begin(), connections_.end());
    for (const auto& connection : all) connection->stop();
    if (connections_.empty()) return;
    stop_timer_.expires_after(kStopPatience);
    stop_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) close_all();
    });
}

void Hub::close_all() {
    const std::vector<std::shared_ptr<Connection>> all(connections_.begin(), connections_.end());
    for (const auto& connection : all) connection->close();
    subscribers_.clear();
}

void Hub::finish_stop() {
    stop_timer_.cancel();
    if (stopped_) boost::asio::post(control, std::exchange(stopped_, nullptr));
}

void Hub::log(const std::string& line) const {
    if (options.log) options.log(line);
}

}  // namespace spantape::api
