// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/connection.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace spantape::api {
namespace {

constexpr std::size_t kMaxReadBytes = 64u << 10;
constexpr std::size_t kKeptCapacityBytes = 256u << 10;  // of the output strings, once they are empty
constexpr std::chrono::seconds kLinger{2};
constexpr std::chrono::seconds kFinishPatience{10};  // without any progress, while the last answers are sent

void empty(std::string& text) {
    text.clear();
    if (text.capacity() > kKeptCapacityBytes) text.shrink_to_fit();
}

// What comes after the end is read only to be thrown away.
std::span<char> waste() {
    thread_local std::array<char, 4096> bytes;
    return bytes;
}

}  // namespace

Connection::Connection(std::unique_ptr<ByteStream> stream, std::shared_ptr<Hub> hub, std::string peer)
    : stream_(std::move(stream)), hub_(std::move(hub)), peer_(std::move(peer)), timer_(hub_->control) {}

void Connection::start(bool refused) {
    refused_ = refused;
    set_deadline(Clock::now() + std::chrono::seconds(hub_->options.message_timeout_s));
    stream_->open([self = shared_from_this()](const boost::system::error_code& error) {
        if (error || self->closed_) return self->close();
        self->opened();
    });
}

void Connection::opened() {
    open_ = true;
    clear_deadline();
    if (finishing_) return flush();
    on_open();
}

void Connection::close() {
    if (closed_) return;
    closed_ = true;
    deadline_.reset();
    timer_.cancel();
    stream_->close();
    hub_->leave(*this);
}

void Connection::read_more() {
    if (reading_ || closed_ || input_ended_ || !open_) return;
    reading_ = true;
    stream_->read_some(
        finishing_ ? waste() : input_space(),
        [self = shared_from_this()](const auto& error, std::size_t bytes) { self->read_done(error, bytes); });
}

void Connection::read_done(const boost::system::error_code& error, std::size_t bytes) {
    reading_ = false;
    if (closed_) return;
    if (error == boost::asio::error::eof) {
        input_ended_ = true;
        if (sending_ended_) return close();
        if (!finishing_) on_input_ended();
        return;
    }
    if (error) return close();
    if (finishing_) return read_more();
    if (bytes >= read_bytes_) read_bytes_ = std::min(2 * read_bytes_, kMaxReadBytes);
    on_input(bytes);
}

void Connection::flush() {
    if (closed_ || !open_) return;
    if (written_ < writing_.size()) return;  // write_done() goes on
    if (queued_.empty()) {
        if (finishing_) end_sending();
        return;
    }
    empty(writing_);
    written_ = 0;
    std::swap(writing_, queued_);
    stream_->write_some(writing_, [self = shared_from_this()](const auto& error, std::size_t bytes) {
        self->write_done(error, bytes);
    });
}

void Connection::write_done(const boost::system::error_code& error, std::size_t bytes) {
    if (closed_) return;
    if (error) return close();
    written_ += bytes;
    sent_bytes_ += bytes;
    while (!event_ends_.empty() && event_ends_.front() <= sent_bytes_) event_ends_.pop_front();
    if (finishing_) set_deadline(Clock::now() + kFinishPatience);
    if (written_ < writing_.size()) {
        stream_->write_some(
            std::string_view(writing_).substr(written_),
            [self = shared_from_this()](const auto& failure, std::size_t count) { self->write_done(failure, count); });
    } else {
        flush();
    }
    if (!closed_ && !finishing_) on_output_progress();
}

bool Connection::wants(const Reply::Subscription& subscription, const Event& event) {
    const bool of_class = subscription.event_class == "ALL" || subscription.event_class == event.event_class;
    return of_class && (subscription.device_id.empty() || subscription.device_id == event.device_id) &&
           (!subscription.visible || subscription.visible(event));
}

bool Connection::note_events(std::size_t count) {
    event_ends_.insert(event_ends_.end(), count, queued_until());
    if (event_ends_.size() <= hub_->options.event_backlog) return true;
    cut_slow_subscriber();
    return false;
}

void Connection::cut_slow_subscriber() {
    if (closed_) return;
    ++hub_->counters.subscribers_cut;
    hub_->log(fmt::format("event subscriber {} cut off: {} events behind", peer_, event_ends_.size()));
    close();
}

void Connection::finish() {
    if (finishing_ || closed_) return;
    finishing_ = true;
    set_deadline(Clock::now() + kFinishPatience);
    read_more();
    flush();
}

void Connection::end_sending() {
    if (sending_ended_) return;
    sending_ended_ = true;
    set_deadline(Clock::now() + kLinger);
    stream_->shutdown_send([self = shared_from_this()] {
        if (self->input_ended_) self->close();
    });
}

void Connection::set_deadline(Clock::time_point at) {
    if (closed_) return;
    deadline_ = at;
    arm_timer();
}

// The timer is left alone when it fires before the deadline anyway: deadlines move with every request, timers cost.
void Connection::arm_timer() {
    if (timer_at_ && *timer_at_ <= *deadline_) return;
    timer_at_ = deadline_;
    timer_.expires_at(*deadline_);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        if (const auto self = weak.lock(); self && !error) self->timer_fired();
    });
}

void Connection::timer_fired() {
    timer_at_.reset();
    if (closed_ || !deadline_) return;
    if (Clock::now() < *deadline_) return arm_timer();
    deadline_.reset();
    if (finishing_ || !open_) return close();
    on_deadline();
}

}  // namespace spantape::api
