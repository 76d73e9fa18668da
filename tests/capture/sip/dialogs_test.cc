// SPDX-License-Identifier: AGPL-3.0-or-later
// How calls start and end.
#include "capture/sip/dialogs.h"

#include "tests/capture/sip/dialogs_fixture.h"

namespace spantape {
namespace {

using sip_test::at;
using sip_test::bytes_of;
using sip_test::DialogsFixture;
using sip_test::MessageText;

class SipDialogsTest : public DialogsFixture {};

TEST_F(SipDialogsTest, CallIsToldFromInviteToBye) {
    establish();
    from_caller(request("BYE", 2));
    from_callee(response(200, "2 BYE"));
    EXPECT_EQ(story(), "SMMAE");
    const auto started = told<SipCallStarted>().at(0);
    EXPECT_EQ(started.call_id, "call-1@example.com");
    EXPECT_EQ(started.from.user, "alice");
    EXPECT_EQ(started.from.display_name, "Alice");
    EXPECT_EQ(started.to.user, "bob");
    EXPECT_EQ(started.to.host, "example.com");
    EXPECT_EQ(started.request_user, "bob");
    EXPECT_EQ(started.caller_signalling, caller_);
    EXPECT_EQ(started.callee_signalling, callee_);
    EXPECT_EQ(only_end(), kBye);
    EXPECT_EQ(told<SipCallEnded>()[0].call, started.call);
    EXPECT_EQ(dialogs_.calls(), 0U);
    EXPECT_EQ(dialogs_.counters().messages, 5U);
}

TEST_F(SipDialogsTest, EventsCarryTheTimeOfTheirMessage) {
    from_caller(invite());
    EXPECT_EQ(events_.at(0).time_ns, now_ns_);
}

TEST_F(SipDialogsTest, CallNumbersRise) {
    from_caller(invite());
    MessageText second = invite();
    second.call_id = "call-2@example.com";
    from_caller(second);
    EXPECT_GT(told<SipCallStarted>().at(1).call, told<SipCallStarted>().at(0).call);
}

TEST_F(SipDialogsTest, ByeOfTheCalleeEndsTheCall) {
    establish();
    from_callee(by_callee(request("BYE", 7)));
    EXPECT_EQ(only_end(), kBye);
}

TEST_F(SipDialogsTest, DuplicatesAreCountedAndDropped) {
    from_caller(invite());
    from_caller(invite());
    wait_s(20);
    from_caller(invite());
    EXPECT_EQ(story(), "SM");
    EXPECT_EQ(dialogs_.counters().duplicates, 2U);
    EXPECT_EQ(dialogs_.counters().messages, 1U);
}

TEST_F(SipDialogsTest, SameBytesLaterThanTheWindowAreNoDuplicate) {
    MessageText options = request("OPTIONS", 1);
    from_caller(options);
    wait_s(40);
    from_caller(options);
    EXPECT_EQ(dialogs_.counters().duplicates, 0U);
    EXPECT_EQ(dialogs_.counters().out_of_dialog, 2U);
}

// Calls whose beginning was not captured.

TEST_F(SipDialogsTest, CaptureThatBeginsWithTheAnswerStartsTheCall) {
    from_callee(response(200, "1 INVITE", "1", answer()));
    EXPECT_EQ(story(), "SMA");
    const auto started = told<SipCallStarted>().at(0);
    EXPECT_EQ(started.from.user, "alice");
    EXPECT_EQ(started.caller_signalling, caller_);
    EXPECT_EQ(started.callee_signalling, callee_);
    EXPECT_EQ(media().at(0).party, CallParty::callee);
}

TEST_F(SipDialogsTest, CaptureThatBeginsWithEarlyMediaStartsTheCall) {
    from_callee(response(183, "1 INVITE", "1", answer()));
    EXPECT_EQ(story(), "SM");
    from_callee(response(486, "1 INVITE", "1"));
    EXPECT_EQ(only_end(), failed(486));
}

TEST_F(SipDialogsTest, CaptureThatBeginsWithAReinviteStartsTheCall) {
    from_callee(by_callee(reinvite(5, answer())));
    EXPECT_EQ(story(), "SAM");
    EXPECT_EQ(told<SipCallStarted>().at(0).from.user, "bob");
    EXPECT_EQ(told<SipCallStarted>().at(0).caller_signalling, callee_);
    EXPECT_EQ(media().at(0).party, CallParty::caller);
    from_caller(by_callee(response(488, "5 INVITE", "branch-5 INVITE")));
    EXPECT_EQ(dialogs_.calls(), 1U);
}

TEST_F(SipDialogsTest, CaptureThatBeginsWithAnAckWithSdpStartsTheCall) {
    MessageText ack = request("ACK", 1);
    ack.body = offer();
    from_caller(ack);
    EXPECT_EQ(story(), "SAM");
}

TEST_F(SipDialogsTest, WhatEndsAnUnknownCallStartsNothing) {
    from_caller(request("BYE", 2));
    from_caller(request("CANCEL", 1));
    from_callee(response(486));
    from_callee(response(180));
    from_callee(response(200));
    from_caller(request("ACK", 1));
    from_callee(response(200, "2 BYE"));
    EXPECT_EQ(story(), "");
    EXPECT_EQ(dialogs_.calls(), 0U);
    EXPECT_EQ(dialogs_.counters().out_of_dialog, 7U);
}

TEST_F(SipDialogsTest, SdpOutsideOfCallsIsNoCall) {
    for (const char* method : {"OPTIONS", "SUBSCRIBE", "MESSAGE", "REGISTER", "NOTIFY"}) {
        MessageText message = request(method, 1);
        message.body = offer();
        from_caller(message);
        from_callee(response(200, std::string("1 ") + method, "x", answer()));
    }
    EXPECT_EQ(story(), "");
    EXPECT_EQ(dialogs_.counters().out_of_dialog, 10U);
}

// Failures.

TEST_F(SipDialogsTest, FailureOfTheInviteEndsTheCall) {
    from_caller(invite());
    from_callee(response(180));
    from_callee(response(486));
    EXPECT_EQ(only_end(), failed(486));
}

TEST_F(SipDialogsTest, ChallengedInviteAndItsRetryAreOneCall) {
    for (const int challenge : {401, 407}) {
        events_.clear();
        MessageText first = invite(1, "1");
        MessageText refused = response(challenge, "1 INVITE", "1");
        MessageText retry = invite(2, "2");
        MessageText ok = response(200, "2 INVITE", "2", answer());
        for (MessageText* message : {&first, &refused, &retry, &ok}) message->call_id += std::to_string(challenge);
        from_caller(first);
        from_callee(refused);
        wait_s(5);
        from_caller(retry);
        from_callee(ok);
        EXPECT_EQ(story(), "SMMA") << challenge;
        wait_s(60);
        EXPECT_TRUE(told<SipCallEnded>().empty());
    }
}

TEST_F(SipDialogsTest, ChallengeWithoutRetryFailsAfter32Seconds) {
    from_caller(invite());
    from_callee(response(407));
    wait_s(31);
    EXPECT_EQ(dialogs_.calls(), 1U);
    wait_s(2);
    EXPECT_EQ(only_end(), failed(407));
}

TEST_F(SipDialogsTest, RedirectedInviteIsTheSameCall) {
    from_caller(invite(1, "1"));
    from_callee(response(302));
    from_caller(invite(2, "2"));
    from_callee(response(200, "2 INVITE", "2", answer()));
    EXPECT_EQ(story(), "SMMA");
}

TEST_F(SipDialogsTest, RedirectWithoutNewInviteFails) {
    from_caller(invite());
    from_callee(response(302));
    wait_s(33);
    EXPECT_EQ(only_end(), failed(302));
}

TEST_F(SipDialogsTest, RetryWithTheToTagOfTheChallengeIsTheSameCall) {
    from_caller(invite(1, "1"));
    from_callee(response(407));
    MessageText retry = invite(2, "2");
    retry.to += ";tag=b";
    from_caller(retry);
    wait_s(40);
    EXPECT_EQ(dialogs_.calls(), 1U);
    from_callee(response(486, "2 INVITE", "2"));
    EXPECT_EQ(only_end(), failed(486));
}

TEST_F(SipDialogsTest, ForkedCallFailsOnlyWhenAllBranchesFailed) {
    from_caller(invite(1, "1"));
    send(invite(1, "fork-a").text(), proxy_, at("192.0.2.3"));
    send(invite(1, "fork-b").text(), proxy_, at("192.0.2.4"));
    send(response(486, "1 INVITE", "fork-a").text(), at("192.0.2.3"), proxy_);
    send(response(404, "1 INVITE", "fork-b").text(), at("192.0.2.4"), proxy_);
    EXPECT_EQ(story(), "SM");
    from_callee(response(486, "1 INVITE", "1"));
    EXPECT_EQ(only_end(), failed(486));
}

TEST_F(SipDialogsTest, LaterAnswerOfAnotherBranchWins) {
    from_caller(invite(1, "1"));
    send(invite(1, "fork-a").text(), proxy_, at("192.0.2.3"));
    send(response(486, "1 INVITE", "fork-a").text(), at("192.0.2.3"), proxy_);
    send(invite(1, "fork-b").text(), proxy_, at("192.0.2.4"));
    send(response(200, "1 INVITE", "fork-b", answer()).text(), at("192.0.2.4"), proxy_);
    send(response(487, "1 INVITE", "fork-c").text(), at("192.0.2.5"), proxy_);
    EXPECT_EQ(story(), "SMMA");
}

TEST_F(SipDialogsTest, BranchThatFailsAfterTheAnswerEndsNothing) {
    from_caller(invite(1, "1"));
    send(invite(1, "fork-a").text(), proxy_, at("192.0.2.3"));
    from_callee(response(200, "1 INVITE", "1", answer()));
    send(response(487, "1 INVITE", "fork-a").text(), at("192.0.2.3"), proxy_);
    EXPECT_TRUE(told<SipCallEnded>().empty());
}

TEST_F(SipDialogsTest, PeersWithoutBranchesAreToldByTheirAddresses) {
    from_caller(invite(1, ""));
    send(invite(1, "").text() + " ", proxy_, callee_);  // a byte more: no duplicate
    send(response(486, "1 INVITE", "").text(), callee_, proxy_);
    EXPECT_EQ(dialogs_.calls(), 1U);
    from_callee(response(480, "1 INVITE", ""));
    EXPECT_EQ(only_end(), failed(480));
}

TEST_F(SipDialogsTest, FailedReinviteNeverEndsTheCall) {
    establish();
    for (const int status : {488, 491, 500, 408, 603}) {
        const int cseq = status;
        from_caller(reinvite(cseq, offer()));
        from_callee(response(status, std::to_string(cseq) + " INVITE", "branch-" + std::to_string(cseq) + " INVITE"));
    }
    wait_s(60);
    EXPECT_EQ(dialogs_.calls(), 1U);
}

TEST_F(SipDialogsTest, ThirteenInvitesUnderOneCallIdAreOneCall) {
    for (int i = 1; i <= 12; ++i) {
        from_caller(invite(i, std::to_string(i)));
        from_callee(response(i % 2 == 0 ? 401 : 302, std::to_string(i) + " INVITE", std::to_string(i)));
    }
    from_caller(invite(13, "13"));
    from_callee(response(200, "13 INVITE", "13", answer()));
    EXPECT_EQ(story(), "SMMA");
}

// CANCEL.

TEST_F(SipDialogsTest, CancelConfirmedBy487EndsTheCall) {
    from_caller(invite());
    MessageText cancel = request("CANCEL", 1);
    cancel.via = via("1");
    from_caller(cancel);
    EXPECT_TRUE(told<SipCallEnded>().empty());
    from_callee(response(200, "1 CANCEL"));
    EXPECT_TRUE(told<SipCallEnded>().empty());
    from_callee(response(487));
    EXPECT_EQ(only_end(), kCancelled);
}

TEST_F(SipDialogsTest, CancelThatNothingFollowsEndsTheCall) {
    from_caller(invite());
    MessageText cancel = request("CANCEL", 1);
    cancel.via = via("1");
    from_caller(cancel);
    wait_s(31);
    EXPECT_EQ(dialogs_.calls(), 1U);
    wait_s(2);
    EXPECT_EQ(only_end(), kCancelled);
}

TEST_F(SipDialogsTest, AnswerThatCrossedTheCancelWins) {
    from_caller(invite());
    MessageText cancel = request("CANCEL", 1);
    cancel.via = via("1");
    from_caller(cancel);
    from_callee(response(200, "1 INVITE", "1", answer()));
    wait_s(60);
    EXPECT_EQ(story(), "SMMA");
}

TEST_F(SipDialogsTest, CancelOfOneForkLeavesTheCall) {
    from_caller(invite(1, "1"));
    send(invite(1, "fork-a").text(), proxy_, at("192.0.2.3"));
    MessageText cancel = request("CANCEL", 1);
    cancel.via = via("fork-a");
    send(cancel.text(), proxy_, at("192.0.2.3"));
    send(response(487, "1 INVITE", "fork-a").text(), at("192.0.2.3"), proxy_);
    wait_s(60);
    EXPECT_EQ(dialogs_.calls(), 1U);
    from_callee(response(200, "1 INVITE", "1", answer()));
    EXPECT_EQ(story(), "SMMA");
}

// After the end.

TEST_F(SipDialogsTest, WhatIsStillUnderWayAfterTheByeStartsNothing) {
    establish();
    from_caller(request("BYE", 2));
    events_.clear();
    wait_s(33);  // beyond the duplicates' window
    from_caller(request("BYE", 2));
    from_callee(response(500, "2 BYE"));
    from_callee(response(481, "2 BYE"));
    from_callee(response(200, "1 INVITE", "1", answer()));
    from_caller(reinvite(3, offer()));
    from_caller(invite());
    EXPECT_EQ(story(), "");
    EXPECT_EQ(dialogs_.calls(), 0U);
}

TEST_F(SipDialogsTest, NewInviteWithHigherCseqStartsTheCallIdAnew) {
    from_caller(invite(1, "1"));
    from_callee(response(486));
    from_caller(invite(2, "2"));
    EXPECT_EQ(story(), "SMESM");
    EXPECT_NE(told<SipCallStarted>()[0].call, told<SipCallStarted>()[1].call);
    from_callee(response(200, "2 INVITE", "2", answer()));
    EXPECT_EQ(told<SipCallAnswered>().at(0).call, told<SipCallStarted>()[1].call);
}

TEST_F(SipDialogsTest, RetryAtTheVeryMomentOfTheExpiryStartsAnew) {
    from_caller(invite(1, "1"));
    from_callee(response(407));
    const std::string retry = invite(2, "2").text();
    now_ns_ += 33 * kNsPerSecond;
    dialogs_.expire(now_ns_);
    dialogs_.on_message(now_ns_, caller_, callee_, bytes_of(retry));
    EXPECT_EQ(story(), "SMESM");
}

TEST_F(SipDialogsTest, EndedCallIdIsForgottenInTheEnd) {
    establish();
    from_caller(request("BYE", 2));
    wait_s(65);
    from_caller(invite());
    EXPECT_EQ(told<SipCallStarted>().size(), 2U);
}

// Bounds and time.

TEST_F(SipDialogsTest, UnansweredCallIsGivenUp) {
    from_caller(invite());
    from_callee(response(180));
    wait_s(299);
    EXPECT_EQ(dialogs_.calls(), 1U);
    wait_s(2);
    EXPECT_EQ(only_end(), failed(0));
}

TEST_F(SipDialogsTest, AnsweredCallDoesNotExpire) {
    establish();
    dialogs_.expire(now_ns_ + 100'000 * kNsPerSecond);
    EXPECT_EQ(dialogs_.calls(), 1U);
}

TEST_F(SipDialogsTest, AckAloneTellsTheAnswerWhereOnlyOneDirectionIsSeen) {
    from_caller(invite());
    from_caller(request("ACK", 1));
    wait_s(301);
    EXPECT_EQ(story(), "SMA");
}

TEST_F(SipDialogsTest, AckOfAFailureTellsNoAnswer) {
    from_caller(invite());
    MessageText ack = request("ACK", 1);
    ack.via = via("1");
    from_caller(ack);
    EXPECT_TRUE(told<SipCallAnswered>().empty());
}

TEST_F(SipDialogsTest, ForgottenCallIsSilent) {
    establish();
    dialogs_.forget(told<SipCallStarted>().at(0).call);
    dialogs_.forget(4711);
    EXPECT_EQ(dialogs_.calls(), 0U);
    from_caller(request("BYE", 2));
    EXPECT_EQ(story(), "SMMA");
}

// A flood of INVITEs that nobody responds to pushes out itself, and not the calls that ring.
TEST(SipDialogsBounds, CallsThatGotNoResponseGiveWayBeforeThoseThatRing) {
    std::vector<std::uint64_t> ended;
    SipDialogs dialogs({.max_calls = 3}, [&](SipEvent&& event) {
        if (const auto* end = std::get_if<SipCallEnded>(&event.what)) ended.push_back(end->call);
    });
    TimeNs now_ns = 0;
    const auto send = [&](const char* start_line, int call) {
        MessageText message{.start_line = start_line};
        message.call_id = "call-" + std::to_string(call);
        dialogs.on_message(now_ns += kNsPerMs, at("192.0.2.1"), at("192.0.2.2"), bytes_of(message.text()));
    };
    const char* const invite = "INVITE sip:bob@example.com SIP/2.0";
    send(invite, 1);
    send("SIP/2.0 180 Ringing", 1);
    for (int call = 2; call <= 10; ++call) send(invite, call);
    EXPECT_EQ(ended, (std::vector<std::uint64_t>{2, 3, 4, 5, 6, 7, 8}));
    send("SIP/2.0 180 Ringing", 9);
    send("SIP/2.0 180 Ringing", 10);
    send(invite, 11);  // all ring: the oldest gives way
    EXPECT_EQ(ended.back(), 1U);
}

TEST(SipDialogsBounds, OldestUnansweredGivesWayThenTheOldest) {
    std::vector<SipEvent> events;
    SipDialogs dialogs({.max_calls = 3}, [&](SipEvent&& event) { events.push_back(std::move(event)); });
    TimeNs now_ns = 0;
    const auto send = [&](MessageText message, int call) {
        message.call_id = "call-" + std::to_string(call);
        dialogs.on_message(now_ns += kNsPerMs, at("192.0.2.1"), at("192.0.2.2"), bytes_of(message.text()));
    };
    const auto invite = [] { return MessageText{.start_line = "INVITE sip:bob@example.com SIP/2.0"}; };
    const auto ok = [] { return MessageText{.start_line = "SIP/2.0 200 OK"}; };
    send(invite(), 1);
    send(ok(), 1);
    send(invite(), 2);
    send(invite(), 3);
    send(ok(), 3);
    send(invite(), 4);  // 2 gives way
    EXPECT_EQ(dialogs.calls(), 3U);
    ASSERT_TRUE(std::holds_alternative<SipCallEnded>(events.at(events.size() - 2).what));
    EXPECT_EQ(std::get<SipCallEnded>(events.at(events.size() - 2).what).call, 2U);
    send(ok(), 4);
    events.clear();
    send(invite(), 5);  // 1 gives way; its audio goes on, so no end is told
    EXPECT_EQ(events.size(), 1U);
    EXPECT_EQ(dialogs.calls(), 3U);
    EXPECT_EQ(dialogs.counters().calls_evicted, 2U);
}

TEST(SipDialogsBounds, FloodOfCallIdsStaysBounded) {
    std::size_t events = 0;
    SipDialogs dialogs({.max_calls = 50}, [&](SipEvent&&) { ++events; });
    TimeNs now_ns = 0;
    for (int call = 0; call < 1000; ++call) {
        MessageText message{.start_line = "INVITE sip:bob@example.com SIP/2.0"};
        message.call_id = std::to_string(call);
        dialogs.on_message(now_ns += kNsPerMs, at("192.0.2.1"), at("192.0.2.2"), bytes_of(message.text()));
        message.start_line = "BYE sip:bob@example.com SIP/2.0";
        if (call % 2 == 0) dialogs.on_message(now_ns, at("192.0.2.1"), at("192.0.2.2"), bytes_of(message.text()));
    }
    EXPECT_LE(dialogs.calls(), 50U);
    EXPECT_EQ(events, 1000U + 500U + dialogs.counters().calls_evicted);
}

TEST_F(SipDialogsTest, MalformedMessagesAreCounted) {
    send("INVITE sip:bob@example.com SIP/2.0\r\n\r\n", caller_, callee_);
    send("garbage", caller_, callee_);
    EXPECT_EQ(dialogs_.counters().malformed, 2U);
    EXPECT_EQ(dialogs_.counters().messages, 0U);
}

TEST_F(SipDialogsTest, MessagesCutAtEveryByteNeverCrash) {
    for (const MessageText& message :
         {invite(), response(200, "1 INVITE", "1", answer()), request("ACK", 1), request("BYE", 2)}) {
        const std::string text = message.text();
        for (std::size_t length = 0; length < text.size(); ++length) {
            const std::string cut = text.substr(0, length);
            send(cut, caller_, callee_);
        }
    }
    const SipCounters counters = dialogs_.counters();
    EXPECT_GT(counters.messages, 300U);
    EXPECT_GT(counters.malformed, 100U);
}

}  // namespace
}  // namespace spantape
