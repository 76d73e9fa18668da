// SPDX-License-Identifier: AGPL-3.0-or-later
// Which media descriptions are told, and for which party.
#include "tests/capture/sip/dialogs_fixture.h"

namespace spantape {
namespace {

using sip_test::at;
using sip_test::DialogsFixture;
using sip_test::MessageText;
using sip_test::sdp;

class SipMediaTest : public DialogsFixture {
protected:
    void expect_media(std::size_t index, CallParty party, const Endpoint& endpoint) {
        ASSERT_GT(media().size(), index);
        EXPECT_EQ(media()[index].party, party);
        EXPECT_EQ(media()[index].endpoint, endpoint);
    }
};

TEST_F(SipMediaTest, OfferIsTheCallersAndAnswerTheCallees) {
    establish();
    ASSERT_EQ(media().size(), 2U);
    expect_media(0, CallParty::caller, at("192.0.2.1", 4000));
    expect_media(1, CallParty::callee, at("192.0.2.2", 5000));
}

TEST_F(SipMediaTest, OfferInTheAnswerAndAnswerInTheAck) {
    from_caller(invite(1, "1", ""));
    from_callee(response(200, "1 INVITE", "1", answer()));
    MessageText ack = request("ACK", 1);
    ack.body = offer();
    from_caller(ack);
    EXPECT_EQ(story(), "SMAM");
    expect_media(0, CallParty::callee, at("192.0.2.2", 5000));
    expect_media(1, CallParty::caller, at("192.0.2.1", 4000));
}

TEST_F(SipMediaTest, EarlyMediaPrackAndUpdateCount) {
    from_caller(invite());
    from_callee(response(183, "1 INVITE", "1", answer()));
    MessageText prack = request("PRACK", 2);
    prack.body = sdp("192.0.2.1", 4010);
    from_caller(prack);
    from_callee(response(200, "2 PRACK", "p", sdp("192.0.2.2", 5010)));
    MessageText update = by_callee(request("UPDATE", 1));
    update.body = sdp("192.0.2.2", 5020);
    from_callee(update);
    from_caller(by_callee(response(200, "1 UPDATE", "u", sdp("192.0.2.1", 4020))));
    ASSERT_EQ(media().size(), 6U);
    expect_media(1, CallParty::callee, at("192.0.2.2", 5000));
    expect_media(2, CallParty::caller, at("192.0.2.1", 4010));
    expect_media(3, CallParty::callee, at("192.0.2.2", 5010));
    expect_media(4, CallParty::callee, at("192.0.2.2", 5020));
    expect_media(5, CallParty::caller, at("192.0.2.1", 4020));
    EXPECT_TRUE(told<SipCallAnswered>().empty());
}

TEST_F(SipMediaTest, SameDescriptionIsToldOnce) {
    from_caller(invite());
    from_callee(response(183, "1 INVITE", "1", answer()));
    from_callee(response(200, "1 INVITE", "1", answer()));
    from_caller(reinvite(2, offer()));
    EXPECT_EQ(media().size(), 2U);
}

TEST_F(SipMediaTest, ReinviteByTheCalleeMovesTheCallee) {
    establish();
    from_callee(by_callee(reinvite(9, sdp("192.0.2.77", 5002))));
    from_caller(by_callee(response(200, "9 INVITE", "9", sdp("192.0.2.78", 4002))));
    ASSERT_EQ(media().size(), 4U);
    expect_media(2, CallParty::callee, at("192.0.2.77", 5002));
    expect_media(3, CallParty::caller, at("192.0.2.78", 4002));
}

TEST_F(SipMediaTest, ChangeOfCodecIsTold) {
    establish();
    from_caller(reinvite(2, sdp("192.0.2.1", 4000, "9")));
    ASSERT_EQ(media().size(), 3U);
    EXPECT_EQ(media()[2].payloads.at(0).encoding, "G722");
}

TEST_F(SipMediaTest, HoldAndResumeAreTold) {
    establish();
    for (int i = 0; i < 2; ++i) {
        from_caller(reinvite(10 + i * 2, sdp("192.0.2.1", 4000, "0 8", "a=sendonly\r\n")));
        from_caller(reinvite(11 + i * 2, offer()));
    }
    ASSERT_EQ(media().size(), 6U);
    for (std::size_t i = 2; i < 6; ++i) EXPECT_EQ(media()[i].on_hold, i % 2 == 0);
}

TEST_F(SipMediaTest, OldStyleHoldAndResumeAreToldEachTime) {
    establish();
    for (int i = 0; i < 2; ++i) {
        from_caller(reinvite(10 + i * 2, sdp("0.0.0.0", 4000, "0 8")));
        from_caller(reinvite(11 + i * 2, offer()));
    }
    ASSERT_EQ(media().size(), 6U);
    for (std::size_t i = 2; i < 6; ++i) EXPECT_EQ(media()[i].on_hold, i % 2 == 0);
}

TEST_F(SipMediaTest, RewrittenDescriptionsOfBothLegsAreTold) {
    from_caller(invite(1, "1"));
    send(invite(1, "leg-2", sdp("192.0.2.100", 6000)).text(), proxy_, callee_);
    send(response(200, "1 INVITE", "leg-2", answer()).text(), callee_, proxy_);
    send(response(200, "1 INVITE", "1", sdp("192.0.2.100", 6002)).text(), proxy_, caller_);
    EXPECT_EQ(story(), "SMMMAM");
    expect_media(1, CallParty::caller, at("192.0.2.100", 6000));
    expect_media(2, CallParty::callee, at("192.0.2.2", 5000));
    expect_media(3, CallParty::callee, at("192.0.2.100", 6002));
}

TEST_F(SipMediaTest, LegWithTagsOfItsOwnKeepsItsDirection) {
    from_caller(invite(1, "1"));
    MessageText second = invite(77, "leg-2", sdp("192.0.2.100", 6000));
    second.from = "<sip:pbx@example.com>;tag=p";
    send(second.text(), proxy_, callee_);
    MessageText ok = response(200, "77 INVITE", "leg-2", answer());
    ok.from = second.from;
    ok.to = "<sip:bob@example.com>;tag=q";
    send(ok.text(), callee_, proxy_);
    MessageText moved = reinvite(1, sdp("192.0.2.77", 5002));
    moved.from = ok.to;
    moved.to = ok.from;
    send(moved.text(), callee_, proxy_);
    expect_media(1, CallParty::caller, at("192.0.2.100", 6000));
    expect_media(2, CallParty::callee, at("192.0.2.2", 5000));
    expect_media(3, CallParty::callee, at("192.0.2.77", 5002));
    EXPECT_EQ(told<SipCallStarted>().size(), 1U);
}

TEST_F(SipMediaTest, PeersWithoutTagsAreToldByTheirUris) {
    MessageText first = invite();
    first.from = "<sip:alice@example.com>";
    from_caller(first);
    MessageText ok = response(200, "1 INVITE", "1", answer());
    ok.from = first.from;
    ok.to = "<sip:bob@example.com>";
    from_callee(ok);
    MessageText update = request("UPDATE", 3);
    update.from = "<sip:bob@example.com>";
    update.to = first.from;
    update.body = sdp("192.0.2.2", 5002);
    from_callee(update);
    expect_media(1, CallParty::callee, at("192.0.2.2", 5000));
}

TEST_F(SipMediaTest, CapabilitiesInFailuresAndOptionsAreNoMedia) {
    establish();
    from_caller(reinvite(2, offer()));
    from_callee(response(488, "2 INVITE", "branch-2 INVITE", sdp("192.0.2.50", 1)));
    MessageText options = request("OPTIONS", 3);
    options.body = sdp("192.0.2.51", 1);
    from_caller(options);
    from_callee(response(200, "3 OPTIONS", "o", sdp("192.0.2.52", 1)));
    EXPECT_EQ(media().size(), 2U);
}

TEST_F(SipMediaTest, FaxIsLeftOut) {
    establish();
    from_caller(reinvite(2, "v=0\r\nc=IN IP4 192.0.2.1\r\nm=image 4000 udptl t38\r\n"));
    EXPECT_EQ(media().size(), 2U);
}

TEST_F(SipMediaTest, SeveralAudioStreamsComeTogether) {
    from_caller(invite(1, "1", offer() + "m=audio 4002 RTP/AVP 8\r\nm=video 4004 RTP/AVP 96\r\n"));
    ASSERT_EQ(told<SipCallMedia>().size(), 1U);
    EXPECT_EQ(media().size(), 2U);
}

TEST_F(SipMediaTest, SdpInAMultipartBodyIsFound) {
    MessageText message = invite(1, "1", "--x\r\nContent-Type: application/sdp\r\n\r\n" + offer() + "\r\n--x--\r\n");
    message.content_type = "multipart/mixed;boundary=x";
    from_caller(message);
    expect_media(0, CallParty::caller, at("192.0.2.1", 4000));
}

}  // namespace
}  // namespace spantape
