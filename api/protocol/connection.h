// SPDX-License-Identifier: AGPL-3.0-or-later
// One client, whatever it speaks: reading when there is room, writing in batches, the queue of events not yet sent,
// and ways to end that lose no answer. Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "api/protocol/byte_stream.h"
#include "api/protocol/hub.h"

namespace spantape::api {

class Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(std::unique_ptr<ByteStream> stream, std::shared_ptr<Hub> hub, std::string peer);
    virtual ~Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // refused: it is only told that there are too many clients.
    void start(bool refused);
    // Finishes what is under way, then closes.
    virtual void stop() = 0;
    // An event for those subscriptions of this connection that want it; sent by the next send_events().
    virtual void deliver(const Event& event, const EncodedEvent& encoded) = 0;
    virtual void send_events() = 0;
    // At once; what was not sent is lost.
    void close();

    [[nodiscard]] bool closed() const { return closed_; }
    [[nodiscard]] bool refused() const { return refused_; }
    [[nodiscard]] bool input_ended() const { return input_ended_; }

protected:
    using Clock = std::chrono::steady_clock;

    virtual void on_open() = 0;                 // the client may be spoken to
    virtual std::span<char> input_space() = 0;  // where read_more() puts what comes
    virtual void on_input(std::size_t bytes) = 0;
    virtual void on_input_ended() = 0;      // the client will send no more
    virtual void on_output_progress() = 0;  // some of the output was sent
    virtual void on_deadline() = 0;

    // Starts to read, unless it is being done or the client has ended its side.
    void read_more();
    // Bytes to read at once: grows while the client fills it.
    [[nodiscard]] std::size_t read_bytes() const { return read_bytes_; }

    // What is appended here is sent by the next flush().
    std::string& out() { return queued_; }
    void flush();
    [[nodiscard]] std::size_t output_backlog() const { return queued_.size() + writing_.size() - written_; }

    [[nodiscard]] static bool wants(const Reply::Subscription& subscription, const Event& event);
    // Events: each is noted behind its last byte in out(). False: the client is too slow and was cut.
    bool note_events(std::size_t count);
    [[nodiscard]] std::size_t unsent_events() const { return event_ends_.size(); }
    void cut_slow_subscriber();

    // Sends all, says that no more will come, waits a little for the client to end as well, and closes: closing at
    // once could make its system drop answers that it has not read yet.
    void finish();
    [[nodiscard]] bool finishing() const { return finishing_; }

    void set_deadline(Clock::time_point at);
    void clear_deadline() { deadline_.reset(); }

    Hub& hub() { return *hub_; }
    ByteStream& stream() { return *stream_; }
    [[nodiscard]] const std::string& peer() const { return peer_; }

private:
    void opened();
    void read_done(const boost::system::error_code& error, std::size_t bytes);
    void write_done(const boost::system::error_code& error, std::size_t bytes);
    void end_sending();
    void arm_timer();
    void timer_fired();
    std::uint64_t queued_until() const { return sent_bytes_ + output_backlog(); }

    const std::unique_ptr<ByteStream> stream_;
    const std::shared_ptr<Hub> hub_;
    const std::string peer_;

    bool open_ = false;
    bool closed_ = false;
    bool refused_ = false;
    bool reading_ = false;
    bool input_ended_ = false;
    bool finishing_ = false;
    bool sending_ended_ = false;
    std::size_t read_bytes_ = 4096;

    std::string queued_;       // appended to
    std::string writing_;      // being written
    std::size_t written_ = 0;  // of writing_
    std::uint64_t sent_bytes_ = 0;
    std::deque<std::uint64_t> event_ends_;  // positions in all bytes ever sent

    boost::asio::steady_timer timer_;
    std::optional<Clock::time_point> deadline_;
    std::optional<Clock::time_point> timer_at_;  // when the timer will fire; moved only to earlier
};

}  // namespace spantape::api
