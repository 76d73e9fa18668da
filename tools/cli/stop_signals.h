// SPDX-License-Identifier: AGPL-3.0-or-later
// SIGINT and SIGTERM as a call, while this lives; before and after, they do what they did.
#pragma once

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace spantape::cli {

class StopSignals {
public:
    // `stop` is called once at most, on a thread of its own.
    explicit StopSignals(std::function<void()> stop) : signals_(context_, SIGINT, SIGTERM) {
        signals_.async_wait([this, stop = std::move(stop)](boost::system::error_code failed, int) {
            if (failed) return;
            came_.store(true);
            stop();
        });
        thread_ = std::jthread([this] { context_.run(); });
    }
    ~StopSignals() { context_.stop(); }
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    [[nodiscard]] bool came() const { return came_.load(); }

private:
    boost::asio::io_context context_{1};
    boost::asio::signal_set signals_;
    std::atomic<bool> came_{false};  // written by thread_
    std::jthread thread_;            // joined first
};

}  // namespace spantape::cli
