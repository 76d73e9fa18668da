// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/sip_tcp_filter.h"

#include <string_view>

#include <gtest/gtest.h>

namespace spantape {
namespace {

constexpr std::uint8_t kSyn = 2, kRst = 4, kAck = 16;

Datagram segment(std::uint16_t from, std::uint16_t to, std::string_view payload, std::uint8_t flags = kAck) {
    return {.source = {*IpAddress::parse("10.0.0.1"), from},
            .destination = {*IpAddress::parse("10.0.0.2"), to},
            .payload = {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()},
            .transport = Transport::tcp,
            .tcp_flags = flags};
}

Datagram back(Datagram segment) {
    std::swap(segment.source, segment.destination);
    return segment;
}

constexpr std::string_view kInvite = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c\r\n";

TEST(SipTcpFilter, WhatASipPortCarriesIsWantedButBareAcknowledgements) {
    SipTcpFilter filter({5060, 5070});
    EXPECT_TRUE(filter.wants(segment(40000, 5060, "the middle of a body")));
    EXPECT_TRUE(filter.wants(segment(5070, 40000, "\r\n\r\n")));
    EXPECT_TRUE(filter.wants(segment(40000, 5060, "", kSyn)));
    EXPECT_TRUE(filter.wants(segment(40000, 5060, "", kRst)));
    EXPECT_FALSE(filter.wants(segment(40000, 5060, "")));
}

TEST(SipTcpFilter, AConnectionOnOtherPortsIsWantedOnceItShowsSip) {
    SipTcpFilter filter({5060});
    EXPECT_FALSE(filter.wants(segment(40000, 8060, "the middle of a body")));
    EXPECT_FALSE(filter.wants(segment(40000, 8060, "", kSyn)));
    EXPECT_TRUE(filter.wants(segment(40000, 8060, kInvite)));
    EXPECT_TRUE(filter.wants(segment(40000, 8060, "the middle of a body")));
    EXPECT_TRUE(filter.wants(back(segment(40000, 8060, "the answer's second half"))));
    EXPECT_FALSE(filter.wants(segment(40000, 8060, "")));
    EXPECT_FALSE(filter.wants(segment(40001, 8060, "another connection")));
}

TEST(SipTcpFilter, OtherProtocolsAndTlsAreNotWanted) {
    SipTcpFilter filter({5060});
    for (const std::string_view payload :
         {"OPTIONS rtsp://camera/1 RTSP/1.0\r\n", "NOTIFY * HTTP/1.1\r\n", "\x16\x03\x01\x02", "INVITE sip:a@b"}) {
        EXPECT_FALSE(filter.wants(segment(40000, 5061, payload)));
        EXPECT_FALSE(filter.wants(segment(40000, 5061, payload)));
    }
}

TEST(SipTcpFilter, AConnectionInUseOutlastsThousandsOfOthers) {
    SipTcpFilter filter({5060});
    EXPECT_TRUE(filter.wants(segment(1, 8060, kInvite)));
    for (std::uint16_t port = 2; port < 60000; ++port) {
        EXPECT_TRUE(filter.wants(segment(port, 8060, kInvite)));
        ASSERT_TRUE(port % 100 != 0 || filter.wants(segment(1, 8060, "more"))) << port;
    }
}

}  // namespace
}  // namespace spantape
