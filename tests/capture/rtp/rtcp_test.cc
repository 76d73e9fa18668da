// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/rtcp.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/capture/rtp/rtcp_builder.h"

namespace spantape {
namespace {

using test::receiver_report;
using test::rtcp_packet;
using test::RtcpBytes;
using test::sender_report;
using test::operator+;

class Rtcp : public ::testing::Test {
protected:
    bool read(const RtcpBytes& bytes) { return read_rtcp(bytes, reports); }
    RtcpReports reports;
};

const RtcpBytes kDescription = rtcp_packet(202, 1, {7, 0x01026162, 0});  // SDES, CNAME "ab"

TEST_F(Rtcp, AReportBlockIsReadWhole) {
    ASSERT_TRUE(read(rtcp_packet(201, 1, {7, 9, 0x40000123, 0x0002abcd, 88, 0x11223344, 0x00018000}) + kDescription));
    ASSERT_EQ(reports.blocks().size(), 1u);
    const RtcpReportBlock& block = reports.blocks()[0];
    EXPECT_EQ(block.reporter_ssrc, 7u);
    EXPECT_EQ(block.ssrc, 9u);
    EXPECT_EQ(block.fraction_lost, 64);
    EXPECT_EQ(block.cumulative_lost, 0x123);
    EXPECT_EQ(block.extended_highest_sequence, 0x2abcdu);
    EXPECT_EQ(block.jitter_units, 88u);
    EXPECT_EQ(block.last_sr, 0x11223344u);
    EXPECT_EQ(block.delay_since_last_sr, 0x18000u);
    EXPECT_TRUE(reports.senders().empty());
}

TEST_F(Rtcp, CumulativeLossIsSigned24Bits) {
    for (const std::int32_t lost : {0, 1, -1, 0x7fffff, -0x800000}) {
        ASSERT_TRUE(read(receiver_report(7, 9, 0, lost, 0)));
        EXPECT_EQ(reports.blocks()[0].cumulative_lost, lost);
    }
}

TEST_F(Rtcp, ASenderReportTellsOfItsSenderAndOfWhatItReceives) {
    ASSERT_TRUE(
        read(rtcp_packet(200, 2, {7, 0xe0000001, 0x80000000, 160, 50, 8000, 9, 1, 2, 3, 4, 5, 11, 6, 7, 8, 9, 10}) +
             kDescription));
    ASSERT_EQ(reports.senders().size(), 1u);
    EXPECT_EQ(reports.senders()[0].ssrc, 7u);
    EXPECT_EQ(reports.senders()[0].ntp_time, 0xe000000180000000u);
    EXPECT_EQ(reports.senders()[0].rtp_timestamp, 160u);
    EXPECT_EQ(reports.senders()[0].packets, 50u);
    EXPECT_EQ(reports.senders()[0].octets, 8000u);
    ASSERT_EQ(reports.blocks().size(), 2u);
    EXPECT_EQ(reports.blocks()[0].ssrc, 9u);
    EXPECT_EQ(reports.blocks()[1].ssrc, 11u);
    EXPECT_EQ(reports.blocks()[1].jitter_units, 8u);
}

TEST_F(Rtcp, WhatIsNoReportIsSteppedOver) {
    const RtcpBytes bye = rtcp_packet(203, 1, {7});
    const RtcpBytes app = rtcp_packet(204, 0, {7, 0x61626364, 1});
    const RtcpBytes feedback = rtcp_packet(205, 1, {7, 9, 5});
    const RtcpBytes extended = rtcp_packet(207, 0, {7, 0x04000002, 1, 2});
    ASSERT_TRUE(read(receiver_report(7, 9, 0, 3, 0) + kDescription + app + feedback + extended +
                     receiver_report(7, 10, 0, 4, 0) + bye));
    ASSERT_EQ(reports.blocks().size(), 2u);
    EXPECT_EQ(reports.blocks()[1].cumulative_lost, 4);
}

TEST_F(Rtcp, APacketOfReducedSizeIsRead) {  // RFC 5506
    EXPECT_TRUE(read(rtcp_packet(205, 1, {7, 9, 5})));
    EXPECT_TRUE(read(rtcp_packet(203, 0, {})));
    EXPECT_TRUE(reports.blocks().empty());
}

TEST_F(Rtcp, ReportsOfTheDatagramBeforeAreForgotten) {
    ASSERT_TRUE(read(receiver_report(7, 9, 0, 3, 0)));
    ASSERT_TRUE(read(kDescription));
    EXPECT_TRUE(reports.blocks().empty());
}

TEST_F(Rtcp, LengthsThatDoNotAddUpAreRefused) {
    const RtcpBytes whole = receiver_report(7, 9, 0, 3, 0) + kDescription;
    EXPECT_FALSE(read({}));
    for (std::size_t bytes = 1; bytes < whole.size(); ++bytes) {
        if (bytes == 32) continue;  // the first packet alone
        EXPECT_FALSE(read({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes)})) << bytes;
    }
    for (std::size_t more = 1; more < 40; ++more) {
        RtcpBytes longer = whole;
        longer.resize(longer.size() + more);
        EXPECT_FALSE(read(longer)) << more;
    }
    RtcpBytes lying = whole;
    lying[3] = 200;
    EXPECT_FALSE(read(lying));
    lying[2] = 0xff;
    EXPECT_FALSE(read(lying));
}

TEST_F(Rtcp, CountsThatDoNotFitAreRefused) {
    for (const std::uint8_t type : {200, 201}) {
        RtcpBytes bytes = type == 200 ? sender_report(7, 1) : receiver_report(7, 9, 0, 3, 0);
        for (std::uint8_t count = type == 200 ? 1 : 2; count < 32; ++count) {
            bytes[0] = static_cast<std::uint8_t>(0x80 | count);
            EXPECT_FALSE(read(bytes)) << int{type} << ' ' << int{count};
        }
    }
    EXPECT_FALSE(read(rtcp_packet(200, 0, {7})));
    EXPECT_FALSE(read(rtcp_packet(201, 0, {})));
    EXPECT_FALSE(read(rtcp_packet(203, 2, {7})));
    EXPECT_FALSE(read(rtcp_packet(204, 0, {7})));
}

TEST_F(Rtcp, PaddingIsTakenInTheLastPacketOnly) {
    RtcpBytes padded = rtcp_packet(201, 1, {7, 9, 3, 4, 5, 6, 7, 4});
    padded[0] |= 0x20;
    EXPECT_TRUE(read(padded));
    EXPECT_TRUE(read(kDescription + padded));
    EXPECT_FALSE(read(padded + kDescription));
    padded.back() = 8;  // would leave no room for the report block
    EXPECT_FALSE(read(padded));
    padded.back() = 3;
    EXPECT_FALSE(read(padded));
    padded.back() = 0;
    EXPECT_FALSE(read(padded));
}

// RFC 3711 §3.4: what follows the first eight bytes is encrypted; index and tag stand behind.
TEST_F(Rtcp, EncryptedIsRefused) {
    std::mt19937 random(1);
    for (int round = 0; round < 1000; ++round) {
        for (const std::size_t trailer : {8, 14}) {
            RtcpBytes bytes = receiver_report(7, 9, 0, 3, 0) + kDescription;
            bytes.resize(bytes.size() + trailer);
            for (std::size_t i = 8; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(random());
            EXPECT_FALSE(read(bytes));
        }
    }
}

TEST_F(Rtcp, AsManyReportsAsADatagramHoldsAreRead) {
    RtcpBytes bytes;
    for (std::uint32_t n = 0; n < 46; ++n) bytes = bytes + receiver_report(7, n, 0, 0, 0);
    ASSERT_TRUE(read(bytes));
    ASSERT_EQ(reports.blocks().size(), 46u);
    EXPECT_EQ(reports.blocks()[45].ssrc, 45u);
    EXPECT_FALSE(read(bytes + receiver_report(7, 46, 0, 0, 0)));  // more than an Ethernet frame
}

TEST_F(Rtcp, BytesMayLieAnywhere) {
    const RtcpBytes bytes = receiver_report(7, 9, 0, 3, 0);
    for (std::size_t offset = 0; offset < 4; ++offset) {
        RtcpBytes shifted(offset);
        shifted = shifted + bytes;
        ASSERT_TRUE(read_rtcp(std::span(shifted).subspan(offset), reports));
        EXPECT_EQ(reports.blocks()[0].ssrc, 9u);
    }
}

}  // namespace
}  // namespace spantape
