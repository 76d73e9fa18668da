// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip/sdp.h"

#include <gtest/gtest.h>

#include "capture/sip/body.h"
#include "tests/capture/sip/sip_texts.h"

namespace spantape {
namespace {

using sip_test::at;
using sip_test::sdp;

std::vector<MediaDescription> parse(std::string_view text) { return parse_sdp(text, CallParty::callee); }

TEST(Sdp, SessionAddressServesMediaWithoutTheirOwn) {
    const auto media = parse(sdp("192.0.2.1", 4000));
    ASSERT_EQ(media.size(), 1U);
    EXPECT_EQ(media[0].endpoint, at("192.0.2.1", 4000));
    EXPECT_EQ(media[0].party, CallParty::callee);
    EXPECT_FALSE(media[0].on_hold);
    EXPECT_FALSE(media[0].srtp);
}

TEST(Sdp, MediaAddressWinsOverTheSessions) {
    const auto media = parse(sdp("192.0.2.1", 4000, "0", "c=IN IP4 192.0.2.9/127\r\n"));
    ASSERT_EQ(media.size(), 1U);
    EXPECT_EQ(media[0].endpoint, at("192.0.2.9", 4000));
}

TEST(Sdp, SeveralAddressesOfOneMediaAreAllGiven) {
    const auto media = parse(sdp("192.0.2.1", 4000, "0", "c=IN IP4 192.0.2.8\r\nc=IN IP4 192.0.2.9\r\n"));
    ASSERT_EQ(media.size(), 2U);
    EXPECT_EQ(media[0].endpoint, at("192.0.2.8", 4000));
    EXPECT_EQ(media[1].endpoint, at("192.0.2.9", 4000));
}

TEST(Sdp, SeveralAudioMediaAreSeveralDescriptions) {
    const auto media = parse(sdp("192.0.2.1", 4000, "0", "m=audio 4002 RTP/AVP 8\r\na=inactive\r\n"));
    ASSERT_EQ(media.size(), 2U);
    EXPECT_EQ(media[0].endpoint.port, 4000);
    EXPECT_FALSE(media[0].on_hold);
    EXPECT_EQ(media[1].endpoint.port, 4002);
    EXPECT_TRUE(media[1].on_hold);
    ASSERT_EQ(media[1].payloads.size(), 1U);
    EXPECT_EQ(media[1].payloads[0].encoding, "PCMA");
}

TEST(Sdp, Ipv6IsRead) {
    const auto media = parse(sdp("2001:db8::7", 4000));
    ASSERT_EQ(media.size(), 1U);
    EXPECT_EQ(media[0].endpoint, at("2001:db8::7", 4000));
}

TEST(Sdp, RtpmapAndFmtpAreRead) {
    const auto media = parse(sdp("192.0.2.1", 4000, "111 101 9",
                                 "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1; stereo=0\r\n"
                                 "a=rtpmap:101 Telephone-Event/8000\r\na=fmtp:101 0-15\r\na=rtpmap:9 g722/8000\r\n"));
    ASSERT_EQ(media.size(), 1U);
    const auto& payloads = media[0].payloads;
    ASSERT_EQ(payloads.size(), 3U);
    EXPECT_EQ(payloads[0].payload_type, 111);
    EXPECT_EQ(payloads[0].encoding, "OPUS");
    EXPECT_EQ(payloads[0].clock_rate_hz, 48000U);
    EXPECT_EQ(payloads[0].channels, 2);
    EXPECT_EQ(payloads[0].format, "useinbandfec=1; stereo=0");
    EXPECT_EQ(payloads[1].encoding, "telephone-event");
    EXPECT_EQ(payloads[1].format, "0-15");
    EXPECT_EQ(payloads[2].encoding, "G722");
    EXPECT_EQ(payloads[2].channels, 1);
}

TEST(Sdp, StaticPayloadTypesNeedNoRtpmap) {
    const auto media = parse(sdp("192.0.2.1", 4000, "0 3 8 9 10 13 18 35 97"));
    ASSERT_EQ(media.size(), 1U);
    std::string names;
    for (const auto& payload : media[0].payloads) names += payload.encoding + " ";
    EXPECT_EQ(names, "PCMU GSM PCMA G722 L16 CN G729 ");
    EXPECT_EQ(media[0].payloads[4].clock_rate_hz, 44100U);
    EXPECT_EQ(media[0].payloads[4].channels, 2);
}

TEST(Sdp, RtpmapOfAStaticTypeWins) {
    const auto media = parse(sdp("192.0.2.1", 4000, "0", "a=rtpmap:0 L16/16000\r\n"));
    ASSERT_EQ(media[0].payloads.size(), 1U);
    EXPECT_EQ(media[0].payloads[0].encoding, "L16");
}

TEST(Sdp, DirectionAtEitherLevelTellsHold) {
    const auto with_session = [](std::string_view session, std::string_view media) {
        return parse("v=0\r\nc=IN IP4 192.0.2.1\r\n" + std::string(session) + "m=audio 4000 RTP/AVP 0\r\n" +
                     std::string(media))
            .at(0)
            .on_hold;
    };
    EXPECT_FALSE(with_session("", ""));
    EXPECT_TRUE(with_session("", "a=sendonly\r\n"));
    EXPECT_TRUE(with_session("", "a=inactive\r\n"));
    EXPECT_FALSE(with_session("", "a=recvonly\r\n"));
    EXPECT_TRUE(with_session("a=inactive\r\n", ""));
    EXPECT_FALSE(with_session("a=sendonly\r\n", "a=sendrecv\r\n"));
    EXPECT_TRUE(with_session("a=sendrecv\r\n", "a=sendonly\r\n"));
}

TEST(Sdp, UnspecifiedAddressIsHold) {
    const auto media = parse(sdp("0.0.0.0", 4000));
    ASSERT_EQ(media.size(), 1U);
    EXPECT_TRUE(media[0].on_hold);
    EXPECT_TRUE(media[0].endpoint.ip.is_unspecified());
}

TEST(Sdp, PortZeroVideoAndOtherMediaAreLeftOut) {
    EXPECT_TRUE(parse(sdp("192.0.2.1", 0)).empty());
    const auto media = parse(sdp("192.0.2.1", 4000, "0",
                                 "m=video 5000 RTP/AVP 96\r\nc=IN IP4 192.0.2.5\r\na=sendonly\r\n"
                                 "a=rtpmap:0 H264/90000\r\nm=image 4002 udptl t38\r\nm=message 4004 TCP/MSRP *\r\n"));
    ASSERT_EQ(media.size(), 1U);
    EXPECT_EQ(media[0].endpoint, at("192.0.2.1", 4000));
    EXPECT_FALSE(media[0].on_hold);
    EXPECT_EQ(media[0].payloads.at(0).encoding, "PCMU");
}

TEST(Sdp, SecureMediaAreTold) {
    const auto secure = [](std::string_view transport, std::string_view more) {
        return parse("c=IN IP4 192.0.2.1\nm=audio 4000 " + std::string(transport) + " 0\n" + std::string(more))
            .at(0)
            .srtp;
    };
    EXPECT_TRUE(secure("RTP/SAVP", ""));
    EXPECT_TRUE(secure("RTP/SAVPF", ""));
    EXPECT_TRUE(secure("UDP/TLS/RTP/SAVPF", ""));
    EXPECT_TRUE(secure("RTP/AVP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\n"));
    EXPECT_FALSE(secure("RTP/AVPF", ""));
}

TEST(Sdp, WithoutAnyAddressNothingIsGuessed) {
    EXPECT_TRUE(parse("v=0\r\nm=audio 4000 RTP/AVP 0\r\n").empty());
    EXPECT_TRUE(parse("v=0\r\nc=IN IP4 media.example.com\r\nm=audio 4000 RTP/AVP 0\r\n").empty());
}

TEST(Sdp, NonsenseIsSkippedLineByLine) {
    const auto media = parse(
        "v=0\r\nc=\r\nc=IN IP4 192.0.2.1\r\nm=\r\nm=audio\r\nm=audio 99999 RTP/AVP 0\r\nm=audio x RTP/AVP 0\r\n"
        "a=rtpmap:\r\nm=audio 4000 RTP/AVP 0 x 500 -1 0 8\r\na=rtpmap:8 /\r\na=rtpmap:8 "
        "PCMA/0\r\na=fmtp\r\n\x01\xff\r\n");
    ASSERT_EQ(media.size(), 1U);
    ASSERT_EQ(media[0].payloads.size(), 2U);
    EXPECT_EQ(media[0].payloads[1].clock_rate_hz, 8000U);
}

TEST(Sdp, GarbageBehindTheDescriptionIsLeftOut) {
    const auto media = parse(sdp("192.0.2.1", 4000) + std::string("\0\0\0", 3) + "\r\n" + sdp("192.0.2.2", 5000));
    ASSERT_EQ(media.size(), 1U);
    EXPECT_EQ(media[0].endpoint, at("192.0.2.1", 4000));
    EXPECT_EQ(parse(sdp("192.0.2.1", 4000, std::string("0\0", 2))).size(), 1U);
}

TEST(Sdp, CutAtEveryByteNeverCrashes) {
    const std::string text = sdp("192.0.2.1", 4000, "0 111", "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 x=1\r\n");
    std::size_t with_media = 0;
    for (std::size_t length = 0; length <= text.size(); ++length)
        with_media += parse(std::string(text.substr(0, length))).size();
    EXPECT_GT(with_media, 50U);
}

TEST(SdpBody, IsFoundByContentType) {
    const std::string text = sdp("192.0.2.1", 4000);
    EXPECT_EQ(find_sdp("application/sdp", text), text);
    EXPECT_EQ(find_sdp("Application/SDP; charset=utf-8", text), text);
    EXPECT_EQ(find_sdp("", text), text);
    EXPECT_TRUE(find_sdp("", "Signal=5").empty());
    EXPECT_TRUE(find_sdp("application/dtmf-relay", text).empty());
}

TEST(SdpBody, IsFoundAmongTheParts) {
    const std::string description = sdp("192.0.2.1", 4000);
    const std::string mixed =
        "preamble\r\n--b1\r\nContent-Type: application/isup\r\n\r\n\x01\x02\xff\r\n--b1\r\n"
        "content-disposition: session\r\nc: application/sdp\r\n\r\n" +
        description + "--b1--\r\nepilogue";
    EXPECT_EQ(find_sdp("multipart/mixed; boundary=b1", mixed), description);
    EXPECT_EQ(find_sdp("multipart/mixed;charset=x;boundary=\"b1\"", mixed), description);
    EXPECT_TRUE(find_sdp("multipart/mixed", mixed).empty());
    EXPECT_TRUE(find_sdp("multipart/mixed;boundary=b2", mixed).empty());
}

TEST(SdpBody, IsFoundInNestedPartsWithSimilarBoundaries) {
    const std::string description = sdp("192.0.2.1", 4000);
    const std::string nested =
        "--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n"
        "Content-Type: application/sdp\r\n\r\n" +
        description + "--bb--\r\n--b--\r\n";
    EXPECT_EQ(find_sdp("multipart/mixed;boundary=b", nested), description);
}

TEST(SdpBody, CutMultipartNeverCrashes) {
    const std::string mixed = "--b1\r\nContent-Type: application/sdp\r\n\r\n" + sdp("192.0.2.1", 4000) + "--b1--\r\n";
    std::size_t found = 0;
    for (std::size_t length = 0; length <= mixed.size(); ++length) {
        const std::string cut = mixed.substr(0, length);
        found += find_sdp("multipart/mixed;boundary=b1", cut).empty() ? 0 : 1;
    }
    EXPECT_GT(found, 50U);
}

}  // namespace
}  // namespace spantape
