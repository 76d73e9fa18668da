// SPDX-License-Identifier: AGPL-3.0-or-later
// The servers on ports of their own, on a thread of their own, with functions made for the tests:
// TEST answers with the parameters it got; HOLD answers when release() says so; BIG answers BYTES bytes; FILE answers
// a file of BYTES bytes in pieces of PIECE, failing after FAILAFTER; PUBLISH publishes COUNT events on DEVICEID first;
// EVENTS subscribes.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/protocol/servers.h"

namespace spantape::api::test {

struct FakeFunctions : RequestHandler {
    void handle(const Request& request, const Client& client, std::function<void(Reply&&)> done) override;

    Servers* servers = nullptr;
    std::vector<std::function<void(Reply&&)>> held;  // control thread
    std::atomic<int> handled = 0;
    std::atomic<int> pieces_read = 0;
    std::atomic<bool> last_was_web = false;
};

Event make_event(const std::string& event_class, const std::string& type, const std::string& device_id, int number);

class TestAppliance {
public:
    // Listeners that are not turned off get a port of their own; TLS listeners are off without a certificate.
    explicit TestAppliance(ServerOptions options = {});
    ~TestAppliance();

    [[nodiscard]] int port(const std::string& listener) const;
    FakeFunctions& functions() { return functions_; }
    // On the control thread, waiting for it.
    void on_control(const std::function<void()>& work);
    void publish(const Event& event);
    ServerCounters counters();
    // Answers the request that has waited at this place.
    void release(std::size_t index, const std::string& message);
    // True once `condition` holds on the control thread.
    bool eventually(const std::function<bool()>& condition, int timeout_ms = 10'000);
    // Calls stop() and waits for its end.
    bool stop(int timeout_ms = 10'000);
    [[nodiscard]] std::string addresses() const { return addresses_; }
    std::vector<std::string> log_lines();

private:
    boost::asio::io_context control_{1};
    boost::asio::thread_pool pool_{2};
    FakeFunctions functions_;
    std::vector<std::string> log_;
    std::unique_ptr<Servers> servers_;
    std::string addresses_;
    std::thread thread_;
};

}  // namespace spantape::api::test
