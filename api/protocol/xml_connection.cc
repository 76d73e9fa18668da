// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/protocol/xml_connection.h"

#include <algorithm>
#include <utility>

namespace spantape::api {
namespace {

constexpr std::size_t kMaxOutstanding = 256;        // requests without answer; more are not read
constexpr std::size_t kMaxBacklogBytes = 1u << 20;  // of answers not sent; with more, requests are not read
constexpr std::size_t kMaxSubscriptions = 64;       // of one connection

}  // namespace

XmlConnection::XmlConnection(std::unique_ptr<ByteStream> stream, std::shared_ptr<Hub> hub, const std::string& peer,
                             const std::string& listener)
    : Connection(std::move(stream), hub, peer),
      framer_(hub->options.max_message_bytes),
      client_{peer, false, listener} {}

void XmlConnection::on_open() {
    client_.certificate_name = stream().peer_name();
    if (!refused()) return read_more();
    append_refusal(out(), {ResultCode::API_TOO_MANY_CLIENTS, "", "", ""}, hub().style());
    finish();
}

void XmlConnection::on_input(std::size_t bytes) {
    framer_.filled(bytes);
    process();
}

void XmlConnection::on_input_ended() { process(); }

void XmlConnection::on_output_progress() {
    if (has_room()) process();
}

bool XmlConnection::has_room() const {
    return slots_.size() < kMaxOutstanding && held_bytes_ + output_backlog() < kMaxBacklogBytes;
}

void XmlConnection::process() {
    if (processing_) return;
    processing_ = true;
    bool all_taken = last_taken_;
    while (!all_taken && !closed() && has_room()) {
        const auto item = framer_.next();
        if (item.kind == XmlFramer::Item::Kind::kNeedMore) {
            all_taken = true;
        } else {
            take(item);
            all_taken = last_taken_;
        }
    }
    if (all_taken && input_ended() && framer_.mid_message() && !last_taken_) refuse_last("an incomplete message");
    processing_ = false;
    if (closed()) return;
    flush();
    watch_message_time();
    if (all_taken && !last_taken_) read_more();
    settle();
}

// Ends the connection when there is nothing more to do for it.
void XmlConnection::settle() {
    if (closed() || !slots_.empty()) return;
    if (last_taken_) return finish();
    if (!input_ended() || !has_room()) return;
    if (subscribers_.empty()) return finish();
    // Its events are still wanted, unless it is gone altogether.
    if (!std::exchange(waiting_gone_, true)) stream().wait_gone([self = shared_from_this()] { self->close(); });
}

void XmlConnection::take(const XmlFramer::Item& item) {
    if (item.kind == XmlFramer::Item::Kind::kTooLarge) return refuse_last(item.reason);
    if (item.kind == XmlFramer::Item::Kind::kBroken) {
        ++hub().counters.broken_requests;
        return refuse({ResultCode::API_INVALID_MESSAGE_FORMAT, item.reason, "", ""});
    }
    ++hub().counters.requests;
    const auto request = parse_request(item.document);
    if (request) {
        handle(*request);
    } else {
        refuse(request.error());
    }
}

void XmlConnection::handle(const Request& request) {
    const std::uint64_t sequence = first_sequence_ + slots_.size();
    slots_.push_back({request.type_sent, request.request_id_text});
    hub().handler.handle(request, client_, [weak = weak_from_this(), sequence](Reply&& reply) {
        if (const auto self = weak.lock()) static_cast<XmlConnection&>(*self).answer(sequence, std::move(reply));
    });
}

void XmlConnection::answer(std::uint64_t sequence, Reply&& reply) {
    if (closed() || sequence < first_sequence_) return;
    Slot& slot = slots_[sequence - first_sequence_];
    if (slot.answered) return;
    if (reply.subscription && subscribers_.size() == kMaxSubscriptions) {
        reply = {ResultCode::API_COMMAND_QUEUE_FULL, "too many subscriptions on this connection", {}, {}, {}};
    }
    const bool first = sequence == first_sequence_;
    append_result(first ? out() : slot.text, {slot.type, slot.request_id_text}, reply, hub().style());
    slot.answered = true;
    held_bytes_ += slot.text.size();
    if (reply.subscription) add_subscriber(slot, sequence, std::move(*reply.subscription));
    release_answers();
    if (!processing_) process();
}

void XmlConnection::refuse(const Refusal& refusal) {
    if (slots_.empty()) return append_refusal(out(), refusal, hub().style());
    Slot& slot = slots_.emplace_back();
    append_refusal(slot.text, refusal, hub().style());
    slot.answered = true;
    held_bytes_ += slot.text.size();
}

void XmlConnection::refuse_last(const char* reason) {
    last_taken_ = true;
    ++hub().counters.broken_requests;
    refuse({ResultCode::API_INVALID_MESSAGE_FORMAT, reason, "", ""});
}

void XmlConnection::add_subscriber(const Slot& slot, std::uint64_t sequence, Reply::Subscription&& wanted) {
    subscribers_.push_back({std::move(wanted), slot.request_id_text, sequence});
    hub().subscribe(shared_from_this());
}

void XmlConnection::release_answers() {
    while (!slots_.empty() && slots_.front().answered && !closed()) {
        Slot& slot = slots_.front();
        out() += slot.text;
        held_bytes_ -= slot.text.size();
        held_events_ -= slot.events;
        const std::size_t events = slot.events;
        slots_.pop_front();
        ++first_sequence_;
        if (events > 0) note_events(events);
    }
}

// Events that come while the answer to their subscription waits for earlier answers wait behind it.
void XmlConnection::deliver(const Event& event, const EncodedEvent& encoded) {
    for (const Subscriber& subscriber : subscribers_) {
        if (closed()) return;
        if (!wants(subscriber.wanted, event)) continue;
        if (subscriber.sequence < first_sequence_) {
            append_event(out(), encoded, subscriber.xref);
            note_events(1);
            continue;
        }
        Slot& slot = slots_[subscriber.sequence - first_sequence_];
        const std::size_t before = slot.text.size();
        append_event(slot.text, encoded, subscriber.xref);
        held_bytes_ += slot.text.size() - before;
        ++slot.events;
        if (++held_events_ + unsent_events() > hub().options.event_backlog) return cut_slow_subscriber();
    }
}

void XmlConnection::send_events() {
    if (!processing_) flush();  // else process() does
}

void XmlConnection::stop() {
    last_taken_ = true;
    clear_deadline();
    if (slots_.empty() && output_backlog() == 0) return close();
    settle();
}

// The time of a message runs from its first byte; not while we are the ones who do not read on.
void XmlConnection::watch_message_time() {
    if (last_taken_ || !framer_.mid_message()) return clear_deadline();
    if (timed_message_ == framer_.messages_begun() && has_room()) return;
    timed_message_ = framer_.messages_begun();
    set_deadline(Clock::now() + std::chrono::seconds(hub().options.message_timeout_s));
}

void XmlConnection::on_deadline() {
    if (last_taken_ || !framer_.mid_message()) return;
    if (!has_room()) return set_deadline(Clock::now() + std::chrono::seconds(hub().options.message_timeout_s));
    refuse_last("a message not complete in time");
    flush();
    settle();
}

}  // namespace spantape::api
