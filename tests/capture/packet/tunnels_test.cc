// SPDX-License-Identifier: AGPL-3.0-or-later
// Encapsulations: what decode_datagram finds in each, that it stays in its bounds, and that nothing else is taken for
// one.
#include <vector>

#include <gtest/gtest.h>

#include "tests/capture/packet/decoded.h"
#include "tests/capture/packet/tunnel_capsules.h"

namespace spantape {
namespace {

using namespace test;

TEST(Tunnels, EachGivesTheInnerDatagram) {
    for (const auto& [name, bytes] : around_frame(frame_v4())) {
        SCOPED_TRACE(name);
        expect_hello_v4(decode(bytes));
    }
    for (const auto& [name, bytes] : around_frame(frame_v6())) {
        SCOPED_TRACE(name);
        expect_hello_v6(decode(bytes));
    }
    for (const auto& [name, bytes] : around_ip(hello_v4(), 4)) {
        SCOPED_TRACE(name);
        expect_hello_v4(decode(bytes));
    }
    for (const auto& [name, bytes] : around_ip(hello_v6(), 6)) {
        SCOPED_TRACE(name);
        expect_hello_v6(decode(bytes));
    }
}

TEST(Tunnels, EachHoldsEachOther) {
    for (const auto& inner : all_capsules()) {
        for (const auto& [name, bytes] : around_frame(inner.bytes)) {
            const Decoded decoded = decode(bytes);
            EXPECT_EQ(name_of(decoded.reason), "none") << inner.name << " in " << name;
            EXPECT_EQ(decoded.payload, "hello") << inner.name << " in " << name;
        }
    }
}

TEST(Tunnels, NeverReadBeyondAPacketCutAtAnyByte) {
    for (const auto& [name, bytes] : all_capsules()) {
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
            const DropReason got = decode(cut, LinkType::ethernet, bytes.size()).reason;
            EXPECT_TRUE(got == DropReason::truncated_link || got == DropReason::bad_ip || got == DropReason::bad_udp ||
                        got == DropReason::snapped)
                << name << " cut at " << length << ": " << name_of(got);
            decode(cut);  // as if it had been so short on the wire: whatever it is, it stays within
        }
    }
}

TEST(Tunnels, SurviveAnyBitTurnedOver) {
    for (const Capsule& capsule : all_capsules()) {
        Bytes bytes = capsule.bytes;
        for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
            const auto turn_over = [&] { bytes[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8); };
            turn_over();
            ASSERT_LT(static_cast<std::size_t>(decode(bytes).reason), kDropReasons);
            turn_over();
        }
    }
}

TEST(Tunnels, DepthIsBounded) {
    const auto nested = [](int depth) {
        Bytes packet = hello_v4();
        for (int i = 0; i < depth; ++i) packet = ipv4(packet, 4);
        return ethernet(0x0800, packet);
    };
    expect_hello_v4(decode(nested(16)));
    EXPECT_EQ(reason(nested(17)), "nested_too_deep");
    EXPECT_EQ(reason(nested(3000)), "nested_too_deep");
    Bytes labels = hello_v4();  // labels are no nesting
    labels = mpls_label(16, true, labels);
    for (int i = 0; i < 1000; ++i) labels = mpls_label(17, false, labels);
    expect_hello_v4(decode(ethernet(0x8847, labels)));
}

TEST(Tunnels, AFrameThatAnErspanSourceCutIsSnapped) {
    Bytes frame = frame_v4();
    frame.resize(frame.size() - 2);
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(erspan_two(frame, true), 47))), "snapped");
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(erspan_two(frame, false), 47))), "bad_udp");
}

TEST(Tunnels, AnErspanOfTypeThreeUnderTheNumberOfTypeTwoIsReadAsWhatItIs) {
    Bytes packet = erspan_three(frame_v4());
    packet[2] = 0x88;
    packet[3] = 0xbe;
    expect_hello_v4(decode(ethernet(0x0800, ipv4(packet, 47))));
}

TEST(Tunnels, CardAddressesThatLookLikeAnIpVersionAreStillPseudowires) {
    for (const std::uint8_t first : {0x48, 0x4c, 0x60, 0x64}) {
        Bytes frame = frame_v4();
        const Bytes address{first, 0x45, 0x20, 0x9a, 0xbc, 0xde};
        std::copy(address.begin(), address.end(), frame.begin());
        expect_hello_v4(decode(ethernet(0x8847, mpls_label(16, true, frame))));
        expect_hello_v4(decode(ethernet(0x8847, mpls_label(16, true, control_word(frame)))));
    }
}

TEST(Tunnels, PaddingBehindTheInnerPacketIsLeftOut) {
    expect_hello_v4(decode(ethernet(0x8847, mpls_label(16, true, hello_v4() + Bytes(9, 0xee)))));
    expect_hello_v4(decode(ethernet(0x8864, pppoe(ppp(kPppIpv4, hello_v4())) + Bytes(9, 0xee))));
}

// What RTP can begin with, on each port, and SIP.
TEST(Tunnels, RtpAndSipOnTunnelPortsAreStillRtpAndSip) {
    for (const std::uint16_t port : {1701, 2152, 4789, 6081, 6635, 8472, 37008}) {
        for (int first = 0x80; first < 0xc0; ++first) {
            for (int type = 0; type < 256; ++type) {
                const Bytes head{static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(type)};
                const Bytes rtp = ethernet(0x0800, ipv4(udp(head + Bytes(100), 40000, port)));
                ASSERT_EQ(reason(rtp), "none") << port << " " << first << " type " << type;
            }
        }
        for (const char* start : {"INVITE sip:", "ACK sip:a", "BYE sip:a", "PRACK sip:a", "SIP/2.0 200", "OPTIONS s",
                                  "CANCEL s", "REGISTER", "\r\n\r\n"}) {
            EXPECT_EQ(reason(ethernet(0x0800, ipv4(udp(text(start), 40000, port)))), "none") << port << start;
            EXPECT_EQ(reason(ethernet(0x0800, ipv4(udp(text(start), port, 40000)))), "none") << port << start;
        }
    }
}

TEST(Tunnels, MessagesOfTheTunnelsThemselvesAreOrdinaryUdp) {
    const auto to_port = [](std::uint16_t port, const Bytes& head) {
        return reason(ethernet(0x0800, ipv4(udp(head + Bytes(40), 40000, port))));
    };
    EXPECT_EQ(to_port(1701, {0xc8, 0x02}), "none");                                      // L2TP control
    EXPECT_EQ(to_port(2152, {0x32, 0x01, 0, 4}), "none");                                // GTP-U echo request
    EXPECT_EQ(to_port(37008, {0x01, 0x04, 0, 1}), "none");                               // TZSP keep-alive
    EXPECT_EQ(to_port(6081, {0x00, 0x80, 0x65, 0x58}), "none");                          // Geneve control
    EXPECT_EQ(to_port(4789, {0x00, 0x01, 0x00, 0x08, 0x21, 0x12, 0xa4, 0x42}), "none");  // STUN
    EXPECT_EQ(to_port(1701, {0x00, 0x03, 0, 0}), "unknown_encapsulation");               // L2TPv3
    EXPECT_EQ(to_port(37008, {0x01, 0x00, 0, 18}), "unknown_encapsulation");             // 802.11 in TZSP
}

TEST(Tunnels, WhatTheyHoldThatIsNoIpIsNamed) {
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(vxlan(ethernet(0x0806, Bytes(46)))))), "not_ip");
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(gre(0, {}), 47))), "not_ip");  // a keep-alive
    EXPECT_EQ(reason(ethernet(0x8864, pppoe(ppp(0xc021, Bytes(10))))), "not_ip");
    EXPECT_EQ(reason(ethernet(0x8864, pppoe(ppp(0x00fd, Bytes(10))))), "unknown_encapsulation");
    EXPECT_EQ(reason(ethernet(0x8864, Bytes{0x11, 0xa7, 0, 0, 0, 0})), "not_ip");  // terminated
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(gre(0x0800, hello_v4(), 0x4000), 47))), "unknown_encapsulation");
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(gre(0x0800, hello_v4(), 0x0002), 47))), "unknown_encapsulation");
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(Bytes{0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 2}, 47))), "not_udp");
    EXPECT_EQ(reason(ethernet(0x8847, mpls_label(16, true, Bytes{0x10, 0, 0, 0x21} + Bytes(40)))), "not_ip");  // G-ACh
}

TEST(Tunnels, SerialLinesHoldPppOrCiscoHdlc) {
    expect_hello_v4(decode(ppp_hdlc(kPppIpv4, hello_v4()), LinkType::serial));
    expect_hello_v6(decode(ppp(kPppIpv6, hello_v6()), LinkType::serial));
    expect_hello_v4(decode(Bytes{0x01, 0x03} + ppp(kPppIpv4, hello_v4()), LinkType::serial));  // pppd, sent
    expect_hello_v4(decode(Bytes{0x0f, 0x00, 0x08, 0x00} + hello_v4(), LinkType::serial));
    expect_hello_v6(decode(Bytes{0x8f, 0x00, 0x86, 0xdd} + hello_v6(), LinkType::serial));
    expect_hello_v4(decode(pppoe(ppp(kPppIpv4, hello_v4())), LinkType::pppoe));
    EXPECT_EQ(reason({}, LinkType::serial), "truncated_link");
    EXPECT_EQ(reason({0x0f, 0, 8}, LinkType::serial), "truncated_link");
}

TEST(Tunnels, ErfRecordsHoldEthernetSerialLinesOrIp) {
    for (int extensions = 0; extensions < 3; ++extensions) {
        expect_hello_v4(decode(erf(2, Bytes{0, 0} + frame_v4(), extensions), LinkType::erf));
        expect_hello_v4(decode(erf(1, ppp_hdlc(kPppIpv4, hello_v4()), extensions), LinkType::erf));
        expect_hello_v6(decode(erf(23, hello_v6(), extensions), LinkType::erf));
    }
    EXPECT_EQ(reason(erf(3, Bytes(60)), LinkType::erf), "not_ip");  // ATM
    const Bytes whole = erf(2, Bytes{0, 0} + frame_v4(), 2);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        const DropReason got = decode(cut, LinkType::erf).reason;  // the record itself tells how long it was
        EXPECT_TRUE(got == DropReason::truncated_link || got == DropReason::bad_ip || got == DropReason::bad_udp ||
                    got == DropReason::snapped)
            << length << ": " << name_of(got);
    }
    EXPECT_EQ(reason(Bytes(whole.begin(), whole.end() - 1), LinkType::erf), "snapped");
}

}  // namespace
}  // namespace spantape
