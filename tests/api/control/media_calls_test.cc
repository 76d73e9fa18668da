// SPDX-License-Identifier: AGPL-3.0-or-later
// Calls of which nothing but the media is seen, and what explains media that is nobody's.
#include "api/control/directory.h"
#include "tests/api/control/control_fixture.h"

namespace spantape {
namespace {

const Endpoint kPhone{*IpAddress::parse("10.0.0.31"), 4000}, kGateway{*IpAddress::parse("10.0.0.99"), 20'000};
const FlowKey kFromPhone{kPhone, kGateway, 7}, kToPhone{kGateway, kPhone, 8};

class MediaCallsTest : public CallControlTest {
protected:
    void with_rules(std::vector<RuleText> rules, ControlOptions options = {.channels = 4}) {
        directory_ = std::make_unique<Directory>(Directory::Base{.schedule = std::move(rules)});
        control = std::make_unique<CallControl>(std::move(options), outputs, now, directory_.get());
    }
    void registers(const std::string& user, const Endpoint& phone = kPhone, std::uint32_t expires_s = 3600) {
        sip(SipRegistered{user, phone.ip, user, expires_s});
    }
    // A stream that began so many seconds ago and that no session has.
    void unclaimed(const FlowKey& flow, double seconds_ago = 3) {
        control->on_worker({.kind = WorkerEvent::Kind::stream_unclaimed,
                            .stream = 100 + flow.ssrc,
                            .time_ns = now - static_cast<TimeNs>(seconds_ago * 1e9),
                            .flow = flow});
    }
    [[nodiscard]] std::size_t recordings() const {
        return static_cast<std::size_t>(std::ranges::count(outputs.types(), "RECORDINGSTARTED"));
    }
    [[nodiscard]] std::vector<std::pair<Endpoint, CallParty>> watched() const {
        std::vector<std::pair<Endpoint, CallParty>> found;
        for (const auto& decision : outputs.decisions)
            if (decision.kind == Decision::Kind::watch) found.emplace_back(decision.endpoint, decision.party);
        return found;
    }
    std::unique_ptr<Directory> directory_;
};

TEST_F(MediaCallsTest, MediaOfAPhoneWhoseAddressIsKnownIsRecorded) {
    registers("1111");
    pass(10);
    unclaimed(kToPhone);
    unclaimed(kFromPhone);
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "RECORDINGSTARTED"}));
    EXPECT_EQ(watched(), (std::vector{std::pair(kGateway, CallParty::caller), std::pair(kPhone, CallParty::callee)}));
    control->on_worker({.kind = WorkerEvent::Kind::stream_bound,
                        .sender = CallParty::caller,
                        .session = 1,
                        .stream = 108,
                        .time_ns = now - 3 * kNsPerSecond,
                        .flow = kToPhone});
    const Recording& recording = last_document();
    EXPECT_EQ(recording.device_id, "1111");
    EXPECT_EQ(recording.start_ns, now - 3 * kNsPerSecond);
    ASSERT_EQ(recording.streams.size(), 1u);
    EXPECT_EQ(recording.streams[0].side, Side::far);
    // It ends when its media does.
    const TimeNs last = now;
    pass(61);
    control->on_worker({.kind = WorkerEvent::Kind::session_quiet, .session = 1, .time_ns = last});
    answer_workers();
    EXPECT_EQ(last_document().ended_by, "media_timeout");
    answer_writer();
    EXPECT_TRUE(control->idle());
    EXPECT_EQ(control->assurance().counts().short_of, 0u);
}

TEST_F(MediaCallsTest, WithoutAKnownPhoneNothingIs) {
    unclaimed(kToPhone);
    registers("1111", {*IpAddress::parse("10.0.0.32"), 0});
    unclaimed(kToPhone);
    registers("1111");
    registers("1111", kPhone, 0);
    unclaimed(kToPhone);
    EXPECT_TRUE(outputs.events.empty());
    // Several phones behind one address: whose call it is cannot be told.
    registers("1111");
    registers("2222");
    unclaimed(kToPhone);
    EXPECT_TRUE(outputs.events.empty());
    // One has moved since.
    registers("2222", {*IpAddress::parse("10.0.0.32"), 0});
    unclaimed(kToPhone);
    EXPECT_EQ(recordings(), 1u);
}

TEST_F(MediaCallsTest, ItCanBeSwitchedOff) {
    restart({.channels = 4, .record_unsignalled = false});
    registers("1111");
    unclaimed(kToPhone);
    EXPECT_TRUE(outputs.events.empty());
}

TEST_F(MediaCallsTest, WhatTheScheduleDoesNotWantIsNotAskedForAgain) {
    with_rules({{{"name", "half"}, {"device", "1111"}, {"percent", "50"}}});
    registers("1111");
    registers("2222", kGateway);
    int calls = 0;
    for (std::uint16_t port = 5000; port < 5200; port += 2) {
        const FlowKey flow{kGateway, {kPhone.ip, port}, 8};
        const auto before = recordings();
        for (int told = 0; told < 5; ++told) {
            if (recordings() == before) unclaimed(flow, 3 + told * 10);  // else the session has it
            pass(10);
        }
        calls += recordings() != before;
        control->call_stop({.device_id = "1111"}, now);
        answer_workers();
        answer_writer();
    }
    EXPECT_NEAR(calls, 50, 2);
    EXPECT_EQ(std::ranges::count(outputs.types(), "CALLSTART"), calls);
}

TEST_F(MediaCallsTest, MediaOfACallThatSipDescribesIsNoOther) {
    with_rules({{{"name", "phone"}, {"device", "9.*"}}}, {.device_match = {"1111", "9.*"}, .channels = 4});
    registers("1111");
    start(1, "1111", "2222");  // not wanted
    media(1, CallParty::caller, kPhone);
    media(1, CallParty::callee, kGateway);
    sip(SipCallAnswered{1});
    unclaimed(kToPhone);
    unclaimed({kGateway, {kPhone.ip, 5555}, 9});  // from where it should come; elsewhere on a phone that is in a call
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(5);
    unclaimed(kToPhone, 8);  // a phone that does not stop sending
    pass(20);
    unclaimed(kToPhone, 28);
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "CALLSTOP"}));
}

TEST_F(MediaCallsTest, NorIsThatOfACallBetweenOthers) {
    restart({.device_match = {"1111"}, .channels = 4});
    registers("1111");
    establish(1, "8000", "9000");
    unclaimed({kCaller, kPhone, 7});
    EXPECT_TRUE(outputs.events.empty());
}

TEST_F(MediaCallsTest, WhatWasStoppedIsNotBegunAgain) {
    registers("1111");
    unclaimed(kToPhone);
    bound(1, 108, CallParty::caller);
    const FlowKey flow{kCaller, kCallee, 7};  // as bound() says
    pass(5);
    EXPECT_EQ(control->call_stop({.device_id = "1111"}, now), CallOutcome::ok);
    answer_workers();
    answer_writer();
    registers("1111", kCaller);
    const TimeNs again = now;
    for (int told = 0; told < 20; ++told) {
        pass(10);
        unclaimed(flow, static_cast<double>(now - again) / 1e9);
    }
    EXPECT_EQ(recordings(), 1u);
    unclaimed(flow, 3);  // a new call on the same ports
    EXPECT_EQ(recordings(), 2u);
}

TEST_F(MediaCallsTest, WhenSipNamesItsEndpointsTheCallIsTheOneThatSipKnows) {
    registers("1111");
    unclaimed(kToPhone);
    EXPECT_EQ(control->active_calls(), 1u);
    sip(SipCallStarted{1, "id", {"a", "pbx", ""}, {"1111", "pbx", ""}, "1111", {}, {}});  // a re-INVITE
    media(1, CallParty::callee, kPhone);
    media(1, CallParty::caller, kGateway);
    sip(SipCallAnswered{1});
    EXPECT_EQ(control->active_calls(), 1u);
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "RECORDINGSTARTED", "CALLSTART", "CALLSTOP", "RECORDINGSTOPPED",
                                      "RECORDINGSTARTED"}));
    unclaimed(kFromPhone);
    EXPECT_EQ(recordings(), 2u);
}

TEST_F(MediaCallsTest, AnApiCallThatFoundNoMediaFindsItsPhone) {
    EXPECT_EQ(control->call_start({.device_id = "1111"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(recordings(), 0u);
    registers("1111");
    unclaimed(kToPhone);
    EXPECT_EQ(recordings(), 1u);
    EXPECT_EQ(control->active_calls(), 1u);
    EXPECT_EQ(control->call_stop({.device_id = "1111"}, now), CallOutcome::ok);
}

TEST_F(MediaCallsTest, BetweenTwoPhonesBothHaveTheCall) {
    restart({.device_match = {"[12]..."}, .channels = 4});
    registers("1111");
    registers("2222", kGateway);
    unclaimed(kToPhone);
    EXPECT_EQ(recordings(), 2u);
    EXPECT_EQ(watched().size(), 2u);
    // Without devices.match each conversation is recorded once.
    restart({.channels = 4});
    registers("1111");
    registers("2222", kGateway);
    unclaimed(kToPhone);
    EXPECT_EQ(recordings(), 3u);
}

TEST_F(MediaCallsTest, WithoutAChannelItIsOverAtOnce) {
    restart({.channels = 1});
    establish(1, "a", "2222");
    bound(1, 1, CallParty::caller);
    registers("1111");
    unclaimed(kToPhone);
    EXPECT_EQ(control->active_calls(), 1u);
    const auto before = outputs.events.size();
    pass(10);
    unclaimed(kToPhone, 13);
    EXPECT_EQ(outputs.events.size(), before);
}

// An agent's blackout covers what begins meanwhile, also what is known through the API or the media alone.
TEST_F(MediaCallsTest, AnAgentsBlackoutCoversCallsWithoutSip) {
    registers("1111");
    EXPECT_EQ(control->call_start({.device_id = "1111", .sys_user = "anna"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(control->agent_blackout_start({.sys_user = "anna"}, 0, now).outcome, CallOutcome::ok);
    const auto blackouts = [this] {
        return std::ranges::count_if(outputs.commands,
                                     [](const auto& each) { return std::holds_alternative<Blackout>(each); });
    };
    EXPECT_EQ(blackouts(), 1);
    EXPECT_EQ(control->call_stop({.device_id = "1111"}, now), CallOutcome::ok);
    pass(1);
    answer_workers();
    answer_writer();
    EXPECT_EQ(control->call_start({.device_id = "1111", .sys_user = "anna"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(blackouts(), 2);
    EXPECT_EQ(control->call_stop({.device_id = "1111"}, now), CallOutcome::ok);
    pass(1);
    unclaimed(kToPhone, 0);
    EXPECT_EQ(blackouts(), 3);
}

TEST(PhoneAddresses, ManyUsersAtOneAddressLeaveNone) {
    PhoneAddresses phones;
    const IpAddress& gateway = kGateway.ip;
    for (int user = 0; user < 100; ++user) phones.learn(std::to_string(user), gateway, PhoneAddresses::From::call);
    EXPECT_EQ(phones.only_user_at(gateway), nullptr);
    phones.learn("1111", kPhone.ip, PhoneAddresses::From::registration);
    phones.learn("1111", gateway, PhoneAddresses::From::call);
    EXPECT_EQ(phones.only_user_at(gateway), nullptr);
    EXPECT_EQ(*phones.only_user_at(kPhone.ip), "1111");
}

// A back-to-back user agent's address is where the media of calls to a phone comes from, and not the phone's.
TEST(PhoneAddresses, WhoRegistersIsWhereItDid) {
    PhoneAddresses phones;
    phones.learn("1111", kGateway.ip, PhoneAddresses::From::call);
    EXPECT_EQ(*phones.only_user_at(kGateway.ip), "1111");
    phones.learn("1111", kPhone.ip, PhoneAddresses::From::registration);
    EXPECT_EQ(phones.only_user_at(kGateway.ip), nullptr);
}

}  // namespace
}  // namespace spantape
