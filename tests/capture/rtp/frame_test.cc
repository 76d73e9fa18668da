// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/frame.h"

#include <vector>

#include <gtest/gtest.h>

namespace spantape {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes packet(std::uint8_t first, std::uint8_t second, std::size_t payload = 160) {
    Bytes bytes{first, second, 0x12, 0x34, 0, 0, 0x03, 0xe8, 0xde, 0xad, 0xbe, 0xef};
    bytes.resize(12 + payload, 0x55);
    return bytes;
}

TEST(ParseRtp, ReadsTheFixedHeader) {
    RtpHeader header;
    ASSERT_EQ(parse_rtp(packet(0x80, 0x88), header), RtpParse::ok);
    EXPECT_EQ(header.payload_type, 8);
    EXPECT_TRUE(header.marker);
    EXPECT_EQ(header.sequence, 0x1234);
    EXPECT_EQ(header.timestamp, 1000u);
    EXPECT_EQ(header.ssrc, 0xdeadbeefu);
    EXPECT_EQ(header.payload.size(), 160u);
}

TEST(ParseRtp, LeavesCsrcsExtensionAndPaddingOut) {
    Bytes bytes = packet(0xb2, 0x00, 0);                              // padding, extension, two CSRCs
    bytes.insert(bytes.end(), 8, 0x11);                               // CSRCs
    bytes.insert(bytes.end(), {0xbe, 0xde, 0x00, 0x01, 1, 2, 3, 4});  // extension of one word
    bytes.insert(bytes.end(), {9, 9, 9, 0, 0, 3});                    // three bytes of payload, three of padding
    RtpHeader header;
    ASSERT_EQ(parse_rtp(bytes, header), RtpParse::ok);
    EXPECT_EQ(Bytes(header.payload.begin(), header.payload.end()), (Bytes{9, 9, 9}));
}

TEST(ParseRtp, TellsRtcpAndOtherProtocolsApart) {
    RtpHeader header;
    EXPECT_EQ(parse_rtp(packet(0x80, 200), header), RtpParse::rtcp);
    EXPECT_EQ(parse_rtp(packet(0x80, 204), header), RtpParse::rtcp);
    EXPECT_EQ(parse_rtp(packet(0x80, 0x80 | 64), header), RtpParse::rtcp);  // 192
    EXPECT_EQ(parse_rtp(packet(0x80, 0x80 | 96), header), RtpParse::ok);    // marker, dynamic type 96
    EXPECT_EQ(parse_rtp(packet(0x00, 0), header), RtpParse::not_rtp);       // STUN
    EXPECT_EQ(parse_rtp(packet(0x40, 0), header), RtpParse::not_rtp);       // version 1
    EXPECT_EQ(parse_rtp(Bytes{0x80, 0, 0}, header), RtpParse::not_rtp);
}

TEST(ParseRtp, RefusesWhatPointsBeyondThePacket) {
    RtpHeader header;
    EXPECT_EQ(parse_rtp(packet(0x8f, 0, 20), header), RtpParse::malformed);  // 15 CSRCs need 60 bytes
    Bytes extension = packet(0x90, 0, 4);
    extension[14] = 0xff;  // extension of 65,000 words
    EXPECT_EQ(parse_rtp(extension, header), RtpParse::malformed);
    Bytes padded = packet(0xa0, 0, 4);
    padded.back() = 5;
    EXPECT_EQ(parse_rtp(padded, header), RtpParse::bad_padding);
    padded.back() = 0;
    EXPECT_EQ(parse_rtp(padded, header), RtpParse::bad_padding);
    EXPECT_EQ(header.payload.size(), 4u);
    EXPECT_EQ(header.packet().size(), padded.size());
}

TEST(ParseRtp, NeverReadsBeyondAnyCut) {
    Bytes whole = packet(0xb2, 0x00, 40);
    for (std::size_t length = 0; length <= whole.size(); ++length) {
        const Bytes cut(whole.begin(),
                        whole.begin() + static_cast<std::ptrdiff_t>(length));  // its own allocation: ASan watches
        RtpHeader header;
        if (parse_rtp(cut, header) == RtpParse::ok) {
            EXPECT_LE(header.payload.size(), length);
        }
    }
}

}  // namespace
}  // namespace spantape
