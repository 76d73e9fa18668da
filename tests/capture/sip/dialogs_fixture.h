// SPDX-License-Identifier: AGPL-3.0-or-later
// A SipDialogs whose events are kept, a clock turned by hand, and the messages of a call from alice to bob.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "capture/sip/dialogs.h"
#include "tests/capture/sip/sip_texts.h"

namespace spantape::sip_test {

class DialogsFixture : public testing::Test {
protected:
    static MessageText request(const std::string& method, int cseq) {
        MessageText message{.start_line = method + " sip:bob@example.com SIP/2.0"};
        message.cseq = std::to_string(cseq) + " " + method;
        message.via = via("branch-" + message.cseq);
        message.to = "<sip:bob@example.com>;tag=b";
        return message;
    }
    static MessageText invite(int cseq = 1, const std::string& branch = "1", const std::string& body = offer()) {
        MessageText message = request("INVITE", cseq);
        message.to = "<sip:bob@example.com>";
        message.via = via(branch);
        message.body = body;
        return message;
    }
    // An INVITE within the dialog.
    static MessageText reinvite(int cseq, const std::string& body) {
        MessageText message = request("INVITE", cseq);
        message.body = body;
        return message;
    }
    static MessageText response(int status, const std::string& cseq = "1 INVITE", const std::string& branch = "1",
                                const std::string& body = "") {
        MessageText message{.start_line = "SIP/2.0 " + std::to_string(status) + " Reason"};
        message.cseq = cseq;
        message.via = via(branch);
        message.to = "<sip:bob@example.com>;tag=b";
        message.body = body;
        return message;
    }
    // The same request, or the answer to it, when it is bob who asks.
    static MessageText by_callee(MessageText message) {
        const std::string first = message.start_line.substr(0, message.start_line.find(' '));
        if (first != "SIP/2.0") message.start_line = first + " sip:alice@192.0.2.1 SIP/2.0";
        message.from = "<sip:bob@example.com>;tag=b";
        message.to = "\"Alice\" <sip:alice@example.com>;tag=a";
        return message;
    }
    static std::string via(const std::string& branch) {
        return branch.empty() ? "SIP/2.0/UDP 192.0.2.1:5060" : "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-" + branch;
    }
    static std::string offer() { return sdp("192.0.2.1", 4000, "0 8"); }
    static std::string answer() { return sdp("192.0.2.2", 5000, "0"); }

    void send(const std::string& text, const Endpoint& source, const Endpoint& destination) {
        now_ns_ += 10 * kNsPerMs;
        dialogs_.on_message(now_ns_, source, destination, bytes_of(text));
    }
    void from_caller(const MessageText& message) { send(message.text(), caller_, callee_); }
    void from_callee(const MessageText& message) { send(message.text(), callee_, caller_); }

    void establish() {
        from_caller(invite());
        from_callee(response(200, "1 INVITE", "1", answer()));
        from_caller(request("ACK", 1));
    }
    // Turns the clock, second by second.
    void wait_s(int seconds) {
        for (int i = 0; i < seconds; ++i) dialogs_.expire(now_ns_ += kNsPerSecond);
    }

    template <class What>
    std::vector<What> told() const {
        std::vector<What> all;
        for (const SipEvent& event : events_)
            if (const auto* what = std::get_if<What>(&event.what)) all.push_back(*what);
        return all;
    }
    [[nodiscard]] std::vector<MediaDescription> media() const {
        std::vector<MediaDescription> all;
        for (const auto& told_media : told<SipCallMedia>())
            all.insert(all.end(), told_media.media.begin(), told_media.media.end());
        return all;
    }
    // The kinds of the events in order: S(tarted) M(edia) A(nswered) E(nded) R(egistered).
    [[nodiscard]] std::string story() const {
        std::string kinds;
        for (const SipEvent& event : events_) kinds += "SMAER"[event.what.index()];
        return kinds;
    }
    // Reason of the only end told.
    [[nodiscard]] std::pair<SipCallEnd, int> only_end() const {
        const auto ends = told<SipCallEnded>();
        EXPECT_EQ(ends.size(), 1U);
        return ends.empty() ? std::pair{SipCallEnd::bye, -1} : std::pair{ends[0].reason, ends[0].status};
    }

    static constexpr std::pair<SipCallEnd, int> kBye{SipCallEnd::bye, 0};
    static constexpr std::pair<SipCallEnd, int> kCancelled{SipCallEnd::cancelled, 0};
    static std::pair<SipCallEnd, int> failed(int status) { return {SipCallEnd::failed, status}; }

    Endpoint caller_ = at("192.0.2.1");
    Endpoint callee_ = at("192.0.2.2");
    Endpoint proxy_ = at("192.0.2.100");
    TimeNs now_ns_ = 1'700'000'000 * kNsPerSecond;
    std::vector<SipEvent> events_;
    SipLimits limits_;
    SipDialogs dialogs_{limits_, [this](SipEvent&& event) { events_.push_back(std::move(event)); }};
};

}  // namespace spantape::sip_test
