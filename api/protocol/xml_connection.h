// SPDX-License-Identifier: AGPL-3.0-or-later
// A client of the XML API (manual: Message Structure, Event Interface): requests may be pipelined, answers come in
// their order whenever the functions give them; events share the connection. Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "api/protocol/connection.h"
#include "api/protocol/xml_framer.h"

namespace spantape::api {

class XmlConnection final : public Connection {
public:
    XmlConnection(std::unique_ptr<ByteStream> stream, std::shared_ptr<Hub> hub, const std::string& peer,
                  const std::string& listener);

    void stop() override;
    void deliver(const Event& event, const EncodedEvent& encoded) override;
    void send_events() override;

private:
    // A request whose answer, or an earlier one's, is not there yet.
    struct Slot {
        std::string type;
        std::string request_id_text;
        bool answered = false;
        std::string text;        // the answer, and the events of the subscription that it accepts
        std::size_t events = 0;  // in text
    };
    struct Subscriber {
        Reply::Subscription wanted;
        std::string xref;
        std::uint64_t sequence;  // of its request
    };

    void on_open() override;
    std::span<char> input_space() override { return framer_.space(read_bytes()); }
    void on_input(std::size_t bytes) override;
    void on_input_ended() override;
    void on_output_progress() override;
    void on_deadline() override;

    void process();
    [[nodiscard]] bool has_room() const;
    void take(const XmlFramer::Item& item);
    void handle(const Request& request);
    void answer(std::uint64_t sequence, Reply&& reply);
    void refuse(const Refusal& refusal);
    void refuse_last(const char* reason);  // and close, once all answers are sent
    void add_subscriber(const Slot& slot, std::uint64_t sequence, Reply::Subscription&& wanted);
    void release_answers();
    void settle();
    void watch_message_time();

    XmlFramer framer_;
    Client client_;
    std::deque<Slot> slots_;
    std::uint64_t first_sequence_ = 0;  // of slots_.front()
    std::size_t held_bytes_ = 0;        // answers in slots_, behind one that is not there
    std::vector<Subscriber> subscribers_;
    std::size_t held_events_ = 0;      // in slots_
    std::uint64_t timed_message_ = 0;  // the incomplete message that has the deadline
    bool processing_ = false;
    bool last_taken_ = false;  // no further requests are taken
    bool waiting_gone_ = false;
};

}  // namespace spantape::api
