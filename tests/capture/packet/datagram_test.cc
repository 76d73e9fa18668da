// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/packet/datagram.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/capture/packet/decoded.h"

namespace spantape {
namespace {

using namespace test;

TEST(Datagram, FindsUdpInEthernet) {
    expect_hello_v4(decode(ethernet(0x0800, hello_v4())));
    expect_hello_v6(decode(ethernet(0x86dd, hello_v6())));
}

TEST(Datagram, LooksThroughAnyDepthOfVlanTags) {
    for (const std::uint16_t type : {0x8100, 0x88a8, 0x9100, 0x9200, 0x9300})
        expect_hello_v4(decode(ethernet(type, tag(100, 0x0800, hello_v4()))));
    Bytes inner = tag(1, 0x86dd, hello_v6());
    for (int depth = 0; depth < 20; ++depth) inner = tag(2, 0x8100, inner);
    expect_hello_v6(decode(ethernet(0x88a8, inner)));
}

TEST(Datagram, FindsIpBehindLlcAndSnap) {
    const Bytes frame = snap(0x0800, hello_v4());
    expect_hello_v4(decode(ethernet(frame.size(), frame)));
    expect_hello_v4(decode(ethernet(0x8100, tag(5, frame.size(), frame))));
    Bytes bridged = frame;
    bridged[5] = 0xf8;  // 802.1H
    expect_hello_v4(decode(ethernet(bridged.size(), bridged)));
    expect_hello_v4(decode(cooked_v1(0x0004, frame), LinkType::linux_cooked_v1));
}

TEST(Datagram, TakesOtherLlcForNotIp) {
    EXPECT_EQ(reason(ethernet(38, Bytes{0x42, 0x42, 0x03} + Bytes(35))), "not_ip");                       // STP
    EXPECT_EQ(reason(ethernet(40, Bytes{0xaa, 0xaa, 0x03, 0, 0, 0x0c, 0x20, 0} + Bytes(32))), "not_ip");  // CDP
    EXPECT_EQ(reason(ethernet(40, snap(38, Bytes(32)))), "not_ip");  // no length within SNAP
    EXPECT_EQ(reason(ethernet(2, Bytes{0xaa, 0xaa})), "truncated_link");
    EXPECT_EQ(reason(ethernet(5, Bytes{0xaa, 0xaa, 0x03, 0, 0})), "truncated_link");
}

TEST(Datagram, FindsUdpInLinuxCookedCaptures) {
    expect_hello_v4(decode(cooked_v1(0x0800, hello_v4()), LinkType::linux_cooked_v1));
    expect_hello_v6(decode(cooked_v1(0x86dd, hello_v6()), LinkType::linux_cooked_v1));
    expect_hello_v4(decode(cooked_v1(0x8100, tag(7, 0x0800, hello_v4())), LinkType::linux_cooked_v1));
    expect_hello_v4(decode(cooked_v2(0x0800, hello_v4()), LinkType::linux_cooked_v2));
    expect_hello_v6(decode(cooked_v2(0x86dd, hello_v6()), LinkType::linux_cooked_v2));
    EXPECT_EQ(reason(cooked_v1(0x000c, hello_v4()), LinkType::linux_cooked_v1), "not_ip");  // CAN
}

TEST(Datagram, FindsUdpInRawIp) {
    expect_hello_v4(decode(hello_v4(), LinkType::raw_ip));
    expect_hello_v6(decode(hello_v6(), LinkType::raw_ip));
    EXPECT_EQ(reason({}, LinkType::raw_ip), "bad_ip");
    EXPECT_EQ(reason({0x50, 0, 0, 0}, LinkType::raw_ip), "not_ip");
}

TEST(Datagram, FindsUdpInLoopbackOfEitherByteOrder) {
    expect_hello_v4(decode(Bytes{2, 0, 0, 0} + hello_v4(), LinkType::null_loopback));
    expect_hello_v4(decode(Bytes{0, 0, 0, 2} + hello_v4(), LinkType::null_loopback));
    for (const std::uint8_t family : {10, 24, 28, 30}) {
        expect_hello_v6(decode(Bytes{family, 0, 0, 0} + hello_v6(), LinkType::null_loopback));
        expect_hello_v6(decode(Bytes{0, 0, 0, family} + hello_v6(), LinkType::null_loopback));
    }
    EXPECT_EQ(reason(Bytes{7, 0, 0, 0} + hello_v4(), LinkType::null_loopback), "not_ip");
    EXPECT_EQ(reason(Bytes{2, 0, 0, 2} + hello_v4(), LinkType::null_loopback), "not_ip");
    EXPECT_EQ(reason({2, 0, 0}, LinkType::null_loopback), "truncated_link");
}

TEST(Datagram, SkipsIpv4Options) {
    expect_hello_v4(decode(ethernet(0x0800, ipv4(udp(text("hello")), 17, 0, Bytes(40, 1)))));
}

TEST(Datagram, SkipsIpv6ExtensionHeaders) {
    const Bytes datagram = udp(text("hello"));
    for (const std::uint8_t header : {0, 43, 60, 135, 139, 140})
        expect_hello_v6(decode(ethernet(0x86dd, ipv6(extension(17, 2, datagram), header))));
    Bytes authentication(16);  // 2 + 2 words of 4
    authentication[0] = 17;
    authentication[1] = 2;
    expect_hello_v6(decode(ethernet(0x86dd, ipv6(authentication + datagram, 51))));
    expect_hello_v6(decode(ethernet(0x86dd, ipv6(extension(60, 0, extension(43, 1, extension(17, 0, datagram))), 0))));
    EXPECT_EQ(reason(ethernet(0x86dd, ipv6(extension(59, 0, {}), 0))), "not_udp");
    Bytes beyond = extension(17, 0, datagram);
    beyond[1] = 200;
    EXPECT_EQ(reason(ethernet(0x86dd, ipv6(beyond, 0))), "bad_ip");
}

TEST(Datagram, LeavesPaddingBehindTheIpLengthOut) {
    expect_hello_v4(decode(ethernet(0x0800, hello_v4() + Bytes(13, 0xee))));
    expect_hello_v6(decode(ethernet(0x86dd, hello_v6() + Bytes(13, 0xee))));
    // and bytes behind the UDP length within the IP length
    Bytes padded = udp(text("hello")) + Bytes(4, 0xee);
    expect_hello_v4(decode(ethernet(0x0800, ipv4(padded))));
}

TEST(Datagram, TakesIpLengthZeroAsToTheEndOfThePacket) {
    Bytes v4 = hello_v4();
    v4[2] = v4[3] = 0;
    expect_hello_v4(decode(ethernet(0x0800, v4)));
    Bytes v6 = hello_v6();
    v6[4] = v6[5] = 0;
    expect_hello_v6(decode(ethernet(0x86dd, v6)));
}

TEST(Datagram, NamesFragmentsThatNobodyJoins) {
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(udp(text("hello")), 17, 0x2000))), "fragment_incomplete");  // the first
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(text("rest"), 17, 0x0001))), "fragment_incomplete");        // the last
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(text("rest"), 6, 0x1fff))), "fragment_incomplete");
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(text("rest"), 1, 0x1fff))), "not_udp");    // ICMP
    expect_hello_v4(decode(ethernet(0x0800, ipv4(udp(text("hello")), 17, 0x4000))));  // only "don't fragment"
    EXPECT_EQ(reason(ethernet(0x86dd, ipv6(ipv6_fragment(17, 1, udp(text("hello"))), 44))), "fragment_incomplete");
    EXPECT_EQ(reason(ethernet(0x86dd, ipv6(ipv6_fragment(17, 8, text("rest")), 44))), "fragment_incomplete");
}

TEST(Datagram, TakesAnIpv6FragmentThatIsTheWholePacket) {
    expect_hello_v6(decode(ethernet(0x86dd, ipv6(ipv6_fragment(17, 0, udp(text("hello"))), 44))));
}

TEST(Datagram, NamesWhatIsNotIp) {
    EXPECT_EQ(reason(ethernet(0x0806, Bytes(46))), "not_ip");  // ARP
    EXPECT_EQ(reason(ethernet(0x88cc, Bytes(46))), "not_ip");  // LLDP
}

TEST(Datagram, NamesEncapsulationsThatItDoesNotOpen) {
    for (const std::uint16_t type : {0x88e5, 0x894f})
        EXPECT_EQ(reason(ethernet(type, Bytes(60))), "unknown_encapsulation") << std::hex << type;
    EXPECT_EQ(reason(ethernet(0x8100, tag(3, 0x88e5, Bytes(60)))), "unknown_encapsulation");
    for (const std::uint8_t protocol : {98, 115}) {
        EXPECT_EQ(reason(ethernet(0x0800, ipv4(Bytes(60), protocol))), "unknown_encapsulation") << int{protocol};
        EXPECT_EQ(reason(ethernet(0x86dd, ipv6(Bytes(60), protocol))), "unknown_encapsulation") << int{protocol};
    }
}

TEST(Datagram, TakesTcpSegmentsApart) {
    for (const Bytes& packet : {ethernet(0x0800, ipv4(tcp(text("hello"), 0x01020304, 0x18), 6)),
                                ethernet(0x86dd, ipv6(tcp(text("hello"), 0x01020304, 0x18), 6))}) {
        Datagram segment;
        const auto bytes = static_cast<std::uint32_t>(packet.size());
        ASSERT_EQ(decode_datagram({packet.data(), bytes, bytes, 1234, LinkType::ethernet, 3}, segment),
                  DropReason::none);
        EXPECT_EQ(segment.transport, Transport::tcp);
        EXPECT_EQ(segment.source.port, 40000);
        EXPECT_EQ(segment.destination.port, 5060);
        EXPECT_EQ(segment.tcp_sequence, 0x01020304u);
        EXPECT_EQ(segment.tcp_flags, 0x18);
        EXPECT_EQ(std::string(segment.payload.begin(), segment.payload.end()), "hello");
    }
}

TEST(Datagram, NamesMalformedTcp) {
    Bytes segment = tcp({}, 1, 2);
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(segment, 6))), "none");
    segment[12] = 0x40;  // a header of 16 bytes
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(segment, 6))), "bad_tcp");
    segment[12] = 0x60;  // one that does not fit
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(segment, 6))), "bad_tcp");
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(Bytes(19), 6))), "bad_tcp");
    EXPECT_EQ(reason(ethernet(0x86dd, ipv6(Bytes(19), 6))), "bad_tcp");
}

TEST(Datagram, NamesOtherProtocols) {
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(Bytes(20), 1))), "not_udp");
    EXPECT_EQ(reason(ethernet(0x86dd, ipv6(Bytes(20), 58))), "not_udp");
}

TEST(Datagram, NamesMalformedIp) {
    Bytes packet = hello_v4();
    packet[0] = 0x44;  // a header of 16 bytes
    EXPECT_EQ(reason(ethernet(0x0800, packet)), "bad_ip");
    packet[0] = 0x65;  // version 6 under the IPv4 EtherType
    EXPECT_EQ(reason(ethernet(0x0800, packet)), "bad_ip");
    packet = hello_v4();
    packet[3] = 19;  // total length within the header
    EXPECT_EQ(reason(ethernet(0x0800, packet)), "bad_ip");
    packet = hello_v6();
    packet[0] = 0x45;
    EXPECT_EQ(reason(ethernet(0x86dd, packet)), "bad_ip");
}

TEST(Datagram, NamesMalformedUdp) {
    Bytes datagram = udp(text("hello"));
    datagram[5] = 7;
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(datagram))), "bad_udp");
    datagram[5] = 14;  // one more than is there
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(datagram))), "bad_udp");
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(Bytes(7)))), "bad_udp");
    EXPECT_EQ(reason(ethernet(0x0800, ipv4(udp({})))), "empty_udp");
}

TEST(Datagram, TellsSnappedPayloadFromMalformedLength) {
    const Bytes whole = ethernet(0x0800, hello_v4());
    const Bytes cut(whole.begin(), whole.end() - 1);
    EXPECT_EQ(name_of(decode(cut, LinkType::ethernet, whole.size()).reason), "snapped");
    EXPECT_EQ(name_of(decode(cut).reason), "bad_udp");
    const Bytes padded = whole + Bytes(4);
    expect_hello_v4(decode(whole, LinkType::ethernet, padded.size()));  // only padding was cut
}

struct Layers {
    const char* name;
    LinkType link;
    Bytes bytes;
};

std::vector<Layers> all_layers() {
    const Bytes v6 = ipv6(extension(60, 1, extension(51, 0, ipv6_fragment(17, 0, udp(text("hello"))))), 0);
    return {
        {"ethernet", LinkType::ethernet, ethernet(0x0800, ipv4(udp(text("hello")), 17, 0, Bytes(8, 1)))},
        {"vlan", LinkType::ethernet, ethernet(0x88a8, tag(1, 0x8100, tag(2, 0x86dd, hello_v6())))},
        {"snap", LinkType::ethernet, ethernet(60, snap(0x86dd, v6))},
        {"cooked 1", LinkType::linux_cooked_v1, cooked_v1(0x0800, hello_v4())},
        {"cooked 2", LinkType::linux_cooked_v2, cooked_v2(0x86dd, hello_v6())},
        {"raw", LinkType::raw_ip, hello_v4()},
        {"loopback", LinkType::null_loopback, Bytes{30, 0, 0, 0} + hello_v6()},
    };
}

TEST(Datagram, NeverReadsBeyondAPacketCutAtAnyByte) {
    for (const Layers& layers : all_layers()) {
        for (std::size_t length = 0; length < layers.bytes.size(); ++length) {
            const Bytes cut(layers.bytes.begin(), layers.bytes.begin() + static_cast<std::ptrdiff_t>(length));
            const DropReason got = decode(cut, layers.link, layers.bytes.size()).reason;
            EXPECT_TRUE(got == DropReason::truncated_link || got == DropReason::bad_ip || got == DropReason::bad_udp ||
                        got == DropReason::snapped)
                << layers.name << " cut at " << length << ": " << name_of(got);
        }
    }
}

TEST(Datagram, TruncationIsNamedByTheLayerItHits) {
    const Bytes whole = ethernet(0x0800, hello_v4());
    const auto cut_at = [&whole](std::size_t length) {
        return name_of(decode({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)}, LinkType::ethernet,
                              whole.size())
                           .reason);
    };
    EXPECT_EQ(cut_at(0), "truncated_link");
    EXPECT_EQ(cut_at(13), "truncated_link");
    EXPECT_EQ(cut_at(14), "bad_ip");
    EXPECT_EQ(cut_at(33), "bad_ip");
    EXPECT_EQ(cut_at(34), "bad_udp");
    EXPECT_EQ(cut_at(41), "bad_udp");
    EXPECT_EQ(cut_at(42), "snapped");
    EXPECT_EQ(cut_at(46), "snapped");
}

TEST(Datagram, SurvivesEveryValueOfEveryByte) {
    for (const Layers& layers : all_layers()) {
        Bytes bytes = layers.bytes;
        for (std::size_t at = 0; at < bytes.size(); ++at) {
            const std::uint8_t was = bytes[at];
            for (int value = 0; value < 256; ++value) {
                bytes[at] = static_cast<std::uint8_t>(value);
                ASSERT_LT(static_cast<std::size_t>(decode(bytes, layers.link).reason), kDropReasons);
            }
            bytes[at] = was;
        }
    }
}

TEST(DropReason, EachHasANameOfItsOwnAndADescription) {
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < kDropReasons; ++i) {
        const auto each = static_cast<DropReason>(i);
        EXPECT_TRUE(names.insert(name_of(each)).second) << name_of(each);
        EXPECT_FALSE(description_of(each).empty());
    }
    EXPECT_EQ(name_of(DropReason::none), "none");
    EXPECT_EQ(name_of(DropReason::not_ip), "not_ip");
    EXPECT_EQ(description_of(DropReason::not_ip), "not IPv4 or IPv6 (ARP, STP, LLDP, ...)");
    EXPECT_EQ(name_of(DropReason::signalling_full), "signalling_full");
    EXPECT_EQ(name_of(DropReason::count), "unknown");
}

}  // namespace
}  // namespace spantape
