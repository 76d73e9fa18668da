// SPDX-License-Identifier: AGPL-3.0-or-later
#include "tests/capture/sip/dialogs_fixture.h"

namespace spantape {
namespace {

using sip_test::at;
using sip_test::DialogsFixture;
using sip_test::MessageText;

class SipRegistrationsTest : public DialogsFixture {
protected:
    static MessageText register_request(int cseq, std::vector<std::string> headers) {
        MessageText message{.start_line = "REGISTER sip:example.com SIP/2.0"};
        message.cseq = std::to_string(cseq) + " REGISTER";
        message.from = "<sip:assistant@example.com>;tag=r";
        message.to = "<sip:1001@example.com>";
        message.headers = std::move(headers);
        return message;
    }
    static MessageText reply(int status, int cseq, std::vector<std::string> headers = {}) {
        MessageText message = register_request(cseq, std::move(headers));
        message.start_line = "SIP/2.0 " + std::to_string(status) + " Reason";
        return message;
    }
    // Seconds of the registration that this request and answer make.
    std::uint32_t expires_of(std::vector<std::string> asked, std::vector<std::string> granted = {}) {
        const int cseq = ++cseq_;
        from_caller(register_request(cseq, std::move(asked)));
        from_callee(reply(200, cseq, std::move(granted)));
        EXPECT_EQ(told<SipRegistered>().size(), static_cast<std::size_t>(cseq));
        return told<SipRegistered>().back().expires_s;
    }

    int cseq_ = 0;
};

TEST_F(SipRegistrationsTest, UserIsBoundToThePhonesAddressOnceConfirmed) {
    from_caller(register_request(1, {"Contact: <sip:line1@10.9.9.9:5060>"}));
    EXPECT_EQ(story(), "");
    from_callee(reply(200, 1));
    ASSERT_EQ(story(), "R");
    const auto registered = told<SipRegistered>()[0];
    EXPECT_EQ(registered.user, "1001");
    EXPECT_EQ(registered.contact_user, "line1");
    EXPECT_EQ(registered.address, caller_.ip);
    EXPECT_EQ(registered.expires_s, 3600U);
}

TEST_F(SipRegistrationsTest, RefusedRegistrationIsNone) {
    from_caller(register_request(1, {"Contact: <sip:line1@10.9.9.9:5060>"}));
    from_callee(reply(100, 1));
    from_callee(reply(401, 1));
    from_callee(reply(200, 2));  // of a request that was not seen
    EXPECT_EQ(story(), "");
}

TEST_F(SipRegistrationsTest, ExpiryComesFromContactThenHeaderThenDefault) {
    EXPECT_EQ(expires_of({"Contact: <sip:x@10.9.9.9>;expires=60", "Expires: 90"}), 60U);
    EXPECT_EQ(expires_of({"Contact: <sip:x@10.9.9.9>", "Expires: 90"}), 90U);
    EXPECT_EQ(expires_of({"Contact: <sip:x@10.9.9.9>"}), 3600U);
}

TEST_F(SipRegistrationsTest, RegistrarMayShortenTheExpiry) {
    EXPECT_EQ(expires_of({"Contact: <sip:x@10.9.9.9>", "Expires: 90"},
                         {"Contact: <sip:y@10.9.9.8>;expires=1, <sip:x@10.9.9.9>;expires=30"}),
              30U);
    EXPECT_EQ(expires_of({"Contact: <sip:x@10.9.9.9>", "Expires: 90"}, {"Expires: 20"}), 20U);
}

TEST_F(SipRegistrationsTest, ZeroUnbinds) {
    EXPECT_EQ(expires_of({"Contact: <sip:x@10.9.9.9>;expires=0"}), 0U);
    EXPECT_EQ(expires_of({"Contact: *", "Expires: 0"}, {"Expires: 3600"}), 0U);
}

TEST_F(SipRegistrationsTest, ChangedContactIsABindingNotAnUnbinding) {
    EXPECT_EQ(expires_of({"Contact: <sip:x@10.9.9.9:1>;expires=0, <sip:new@10.9.9.9:2>;expires=60"}), 60U);
    EXPECT_EQ(told<SipRegistered>()[0].contact_user, "new");
}

TEST_F(SipRegistrationsTest, ProxiedRegisterIsThePhonesAndToldOnce) {
    const MessageText message = register_request(1, {"Contact: <sip:x@10.9.9.9>"});
    from_caller(message);
    MessageText forwarded = message;
    forwarded.via = "SIP/2.0/UDP 192.0.2.100;branch=z9hG4bK-p";
    send(forwarded.text(), proxy_, callee_);
    MessageText ok = reply(200, 1);
    ok.via = forwarded.via;
    send(ok.text(), callee_, proxy_);
    send(reply(200, 1).text(), proxy_, caller_);
    ASSERT_EQ(told<SipRegistered>().size(), 1U);
    EXPECT_EQ(told<SipRegistered>()[0].address, caller_.ip);
}

TEST_F(SipRegistrationsTest, QueryBindsNothing) {
    from_caller(register_request(1, {}));
    from_callee(reply(200, 1, {"Contact: <sip:x@10.9.9.9>;expires=30"}));
    EXPECT_EQ(story(), "");
}

TEST_F(SipRegistrationsTest, UnansweredRequestIsForgotten) {
    from_caller(register_request(1, {"Contact: <sip:x@10.9.9.9>"}));
    wait_s(65);
    from_callee(reply(200, 1));
    EXPECT_EQ(story(), "");
}

TEST(SipRegistrationsBounds, OldestUnconfirmedGivesWay) {
    std::vector<SipEvent> events;
    SipDialogs dialogs({.max_users = 2}, [&](SipEvent&& event) { events.push_back(std::move(event)); });
    TimeNs now_ns = 0;
    for (const char* start : {"REGISTER sip:example.com SIP/2.0", "SIP/2.0 200 OK"})
        for (int cseq = 1; cseq <= 3; ++cseq) {
            MessageText message{.start_line = start};
            message.cseq = std::to_string(cseq) + " REGISTER";
            message.to = "<sip:" + std::to_string(cseq) + "@example.com>";
            message.headers = {"Contact: <sip:x@10.9.9.9>"};
            dialogs.on_message(now_ns += kNsPerMs, at("192.0.2.1"), at("192.0.2.2"),
                               sip_test::bytes_of(message.text()));
        }
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(std::get<SipRegistered>(events[0].what).user, "2");
    EXPECT_EQ(std::get<SipRegistered>(events[1].what).user, "3");
}

}  // namespace
}  // namespace spantape
