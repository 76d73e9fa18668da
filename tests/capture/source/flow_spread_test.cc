// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/flow_spread.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "tests/capture/packet/tunnel_builder.h"

namespace spantape {
namespace {

using namespace test;

Bytes from_to(std::uint8_t first, std::uint8_t second, std::uint16_t first_port, std::uint16_t second_port,
              std::uint16_t fragment = 0) {
    Bytes packet = ipv4(udp(Bytes(172), first_port, second_port), 17, fragment);
    packet[15] = first;
    packet[19] = second;
    return packet;
}

std::uint32_t hash_v4(const Bytes& packet) { return flow_spread_hash(ethernet(0x0800, packet)); }

TEST(FlowSpread, BothDirectionsAreOneFlow) {
    EXPECT_EQ(hash_v4(ipv4(udp({}, 1000, 2000))), hash_v4(ipv4(udp({1, 2, 3}, 1000, 2000))));
    const Bytes there = ipv6(udp({}, 1000, 2000));
    Bytes back = ipv6(udp({}, 2000, 1000));
    std::swap_ranges(back.begin() + 8, back.begin() + 24, back.begin() + 24);
    EXPECT_EQ(flow_spread_hash(ethernet(0x86dd, there)), flow_spread_hash(ethernet(0x86dd, back)));
    Bytes packet = from_to(1, 2, 1000, 2000);
    Bytes reply = from_to(2, 1, 2000, 1000);
    std::swap_ranges(reply.begin() + 12, reply.begin() + 15, reply.begin() + 16);  // the networks differ as well
    EXPECT_EQ(hash_v4(packet), hash_v4(reply));
}

TEST(FlowSpread, OtherAddressesOrPortsAreOtherFlows) {
    EXPECT_NE(hash_v4(from_to(1, 2, 1000, 2000)), hash_v4(from_to(1, 3, 1000, 2000)));
    EXPECT_NE(hash_v4(from_to(1, 2, 1000, 2000)), hash_v4(from_to(1, 2, 1000, 2002)));
    EXPECT_NE(hash_v4(from_to(1, 2, 1000, 2000)), hash_v4(from_to(1, 2, 2000, 1000)));  // ports change sides
}

TEST(FlowSpread, TagsAndLabelsDoNotCount) {
    const Bytes packet = from_to(1, 2, 1000, 2000);
    const std::uint32_t plain = hash_v4(packet);
    EXPECT_EQ(flow_spread_hash(ethernet(0x8100, tag(7, 0x0800, packet))), plain);
    EXPECT_EQ(flow_spread_hash(ethernet(0x88a8, tag(7, 0x8100, tag(9, 0x0800, packet)))), plain);
    const Bytes labels{0, 1, 0x20, 64, 0, 2, 0x31, 64};
    EXPECT_EQ(flow_spread_hash(ethernet(0x8847, labels + packet)), plain);
    EXPECT_EQ(flow_spread_hash(ethernet(0x8847, Bytes{0, 2, 0x31, 64} + ipv6(udp({})))),
              flow_spread_hash(ethernet(0x86dd, ipv6(udp({})))));
}

TEST(FlowSpread, InATunnelTheInnerAddressesCount) {
    const auto tunnelled = [](const Bytes& packet) {
        const Bytes frame = ethernet(0x0800, packet);
        return std::array{hash_v4(outer_ipv4(vxlan(frame))), hash_v4(outer_ipv4(erspan_two(frame), 47)),
                          hash_v4(outer_ipv4(gre(0x0800, packet), 47)), hash_v4(outer_ipv4(tzsp(frame))),
                          hash_v4(outer_ipv4(gtp(packet)))};
    };
    Bytes reply = from_to(2, 1, 2000, 1000);
    std::swap_ranges(reply.begin() + 12, reply.begin() + 15, reply.begin() + 16);
    for (const auto& hashes : {tunnelled(from_to(1, 2, 1000, 2000)), tunnelled(reply)})
        for (const std::uint32_t hash : hashes) EXPECT_EQ(hash, hash_v4(from_to(1, 2, 1000, 2000)));
    for (const std::uint32_t hash : tunnelled(from_to(1, 2, 1000, 2002)))
        EXPECT_NE(hash, hash_v4(from_to(1, 2, 1000, 2000)));
}

TEST(FlowSpread, AFrameThatGoesOnElsewhereCountsAsAWhole) {
    for (const Bytes& whole : {ethernet(0x0800, from_to(1, 2, 1000, 2000)),
                               ethernet(0x0800, outer_ipv4(vxlan(ethernet(0x0800, from_to(1, 2, 1000, 2000)))))}) {
        const Bytes head(whole.begin(), whole.end() - 100);
        EXPECT_EQ(flow_spread_hash(head), flow_spread_hash(whole));
    }
}

TEST(FlowSpread, FragmentsOfAPacketComeTogether) {
    const std::uint32_t first = hash_v4(from_to(1, 2, 1000, 2000, 0x2000));
    EXPECT_EQ(hash_v4(from_to(1, 2, 0x5555, 0x6666, 0x2010)), first);  // its "ports" are in the middle of the payload
    EXPECT_EQ(hash_v4(from_to(1, 2, 0x7777, 0x8888, 0x0020)), first);
    EXPECT_NE(hash_v4(from_to(1, 3, 1000, 2000, 0x2000)), first);
    EXPECT_NE(hash_v4(from_to(1, 2, 1000, 2000, 0x4000)), first);  // "do not fragment" is no fragment
    const auto in_vxlan = [](std::uint16_t fragment) {
        Bytes packet = outer_ipv4(vxlan(ethernet(0x0800, from_to(1, 2, 1000, 2000, fragment))));
        packet[20] ^= static_cast<std::uint8_t>(fragment);  // the outer source port says nothing
        return hash_v4(packet);
    };
    EXPECT_EQ(in_vxlan(0x2000), first);
    EXPECT_EQ(in_vxlan(0x0020), first);
    const std::uint32_t six = flow_spread_hash(ethernet(0x86dd, ipv6(ipv6_fragment(17, 1, udp({})), 44)));
    EXPECT_EQ(flow_spread_hash(ethernet(0x86dd, ipv6(ipv6_fragment(17, 8, Bytes(50, 9)), 44))), six);
}

TEST(FlowSpread, WhatIsNotIpOrCutShortIsZero) {
    EXPECT_EQ(flow_spread_hash({}), 0u);
    EXPECT_EQ(flow_spread_hash(ethernet(0x0806, Bytes(28))), 0u);
    for (const Bytes& whole :
         {ethernet(0x8100, tag(7, 0x0800, from_to(1, 2, 1000, 2000))),
          ethernet(0x8847, Bytes{0, 2, 0x31, 64} + ipv6(udp({}))), ethernet(0x8847, Bytes{0, 2, 0x30, 64})}) {
        for (std::size_t length = 0; length < whole.size(); ++length) {
            const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));  // an end to run over
            const std::uint32_t hash = flow_spread_hash(cut);
            if (length < 38) {
                EXPECT_EQ(hash, 0u) << length;
            }
        }
    }
}

TEST(FlowSpread, NeighbouringFlowsAreSpreadEvenly) {
    constexpr unsigned kWorkers = 4;
    std::array<int, kWorkers> share{};
    for (std::uint16_t call = 0; call < 4000; ++call) {
        const auto port = static_cast<std::uint16_t>(10'000 + 2 * call);  // two gateways: only the ports differ
        ++share[spread_to(hash_v4(from_to(1, 2, port, port)), kWorkers)];
    }
    for (const int calls : share) EXPECT_NEAR(calls, 1000, 150);
    EXPECT_EQ(spread_to(0xffff'ffff, kWorkers), kWorkers - 1);
    EXPECT_EQ(spread_to(0, kWorkers), 0u);
}

}  // namespace
}  // namespace spantape
