// SPDX-License-Identifier: AGPL-3.0-or-later
// One packet of each encapsulation, around a datagram of IPv4 and of IPv6.
#pragma once

#include <vector>

#include "tests/capture/packet/tunnel_builder.h"

namespace spantape::test {

inline Bytes hello_v4() { return ipv4(udp(text("hello"))); }
inline Bytes hello_v6() { return ipv6(udp(text("hello"))); }
inline Bytes frame_v4() { return ethernet(0x0800, hello_v4()); }
inline Bytes frame_v6() { return ethernet(0x86dd, hello_v6()); }

struct Capsule {
    const char* name;
    Bytes bytes;  // an Ethernet frame
};

// Each encapsulation that can hold an Ethernet frame, around `frame`.
inline std::vector<Capsule> around_frame(const Bytes& frame) {
    const auto in_ip = [](const Bytes& payload, std::uint8_t protocol = 17) {
        return ethernet(0x0800, outer_ipv4(payload, protocol));
    };
    const auto in_ipv6 = [](const Bytes& payload, std::uint8_t protocol = 17) {
        return ethernet(0x86dd, outer_ipv6(payload, protocol));
    };
    return {
        {"pseudowire", ethernet(0x8847, mpls_label(30, false, mpls_label(16, true, frame)))},
        {"pseudowire with control word", ethernet(0x8847, mpls_label(17, true, control_word(frame)))},
        {"802.1ah", ethernet(0x88e7, Bytes{0, 0, 0, 9} + frame)},
        {"bridging GRE", in_ip(gre(0x6558, frame), 47)},
        {"bridging GRE with a key", in_ip(gre(0x6558, frame, 0x2000), 47)},
        {"bridging GRE in IPv6", in_ipv6(gre(0x6558, frame), 47)},
        {"ERSPAN I", in_ip(erspan_one(frame), 47)},
        {"ERSPAN II", in_ip(erspan_two(frame), 47)},
        {"ERSPAN II in IPv6", in_ipv6(erspan_two(frame), 47)},
        {"ERSPAN III", in_ip(erspan_three(frame), 47)},
        {"ERSPAN III with a subheader", in_ip(erspan_three(frame, true), 47)},
        {"EtherIP", in_ip(ether_ip(frame), 97)},
        {"EtherIP in IPv6", in_ipv6(ether_ip(frame), 97)},
        {"Ethernet in IPv6", in_ipv6(frame, 143)},
        {"VXLAN", in_ip(vxlan(frame))},
        {"VXLAN in IPv6", in_ipv6(vxlan(frame))},
        {"VXLAN on Linux' port", in_ip(vxlan(frame, 8472))},
        {"Geneve", in_ip(geneve(0x6558, frame))},
        {"Geneve with options", in_ipv6(geneve(0x6558, frame, 3))},
        {"GTP-U with Ethernet", in_ip(gtp(frame))},
        {"TZSP", in_ip(tzsp(frame))},
        {"TZSP in IPv6", in_ipv6(tzsp(frame))},
    };
}

// Each encapsulation that can hold an IP packet, around `packet`; version: 4 or 6.
inline std::vector<Capsule> around_ip(const Bytes& packet, int version) {
    const std::uint16_t type = version == 4 ? 0x0800 : 0x86dd;
    const std::uint16_t ppp_type = version == 4 ? kPppIpv4 : kPppIpv6;
    const std::uint8_t protocol = version == 4 ? 4 : 41;
    const auto in_ip = [](const Bytes& payload, std::uint8_t number = 17) {
        return ethernet(0x0800, outer_ipv4(payload, number));
    };
    const auto in_ipv6 = [](const Bytes& payload, std::uint8_t number = 17) {
        return ethernet(0x86dd, outer_ipv6(payload, number));
    };
    std::vector<Capsule> all{
        {"MPLS", ethernet(0x8847, mpls_label(30, true, packet))},
        {"MPLS upstream", ethernet(0x8848, mpls_label(30, true, packet))},
        {"PPPoE", ethernet(0x8864, pppoe(ppp(ppp_type, packet)))},
        {"PPPoE with short protocol", ethernet(0x8864, pppoe(ppp_short(static_cast<std::uint8_t>(ppp_type), packet)))},
        {"PPPoE with MPLS", ethernet(0x8864, pppoe(ppp(kPppMpls, mpls_label(30, true, packet))))},
        {"GRE", in_ip(gre(type, packet), 47)},
        {"GRE in IPv6", in_ipv6(gre(type, packet), 47)},
        {"GRE with VLAN", in_ip(gre(0x8100, tag(5, type, packet)), 47)},
        {"GRE with MPLS", in_ip(gre(0x8847, mpls_label(30, true, packet)), 47)},
        {"GRE with PPP", in_ip(gre(0x880b, ppp_hdlc(ppp_type, packet)), 47)},
        {"enhanced GRE", in_ip(enhanced_gre(ppp_hdlc(ppp_type, packet)), 47)},
        {"ERSPAN III with IP", in_ip(erspan_three(packet, false, 2), 47)},
        {"IP in IPv4", in_ip(packet, protocol)},
        {"IP in IPv6", in_ipv6(packet, protocol)},
        {"IP in IP, KA9Q", in_ip(packet, 94)},
        {"MPLS in IP", in_ip(mpls_label(30, true, packet), 137)},
        {"MPLS in UDP", in_ip(udp(mpls_label(30, true, packet), 50000, 6635))},
        {"Geneve with IP", in_ip(geneve(type, packet))},
        {"GTP-U", in_ip(gtp(packet))},
        {"GTP-U with a sequence number", in_ip(gtp(packet, true))},
        {"GTP-U with an extension header", in_ipv6(gtp(packet, true, true))},
        {"L2TP", in_ip(l2tp(ppp_hdlc(ppp_type, packet)))},
        {"L2TP with all fields", in_ipv6(l2tp(ppp(ppp_type, packet), true))},
        {"L2TP from its port to another", in_ip(l2tp(ppp(ppp_type, packet), false, 1701, 40001))},
        {"VN-tag", ethernet(0x8926, Bytes{0, 1, 0, 2} + typed(type, packet))},
        {"802.1BR", ethernet(0x893f, Bytes{0, 1, 0, 2, 0, 3} + typed(type, packet))},
        {"Cisco metadata", ethernet(0x8909, Bytes{1, 1, 0, 1, 0, 9} + typed(type, packet))},
    };
    for (const std::uint16_t flags : {0x8000, 0x2000, 0x1000, 0xa000, 0xb000})
        all.push_back({"GRE with optional words", in_ip(gre(type, packet, flags), 47)});
    return all;
}

inline std::vector<Capsule> all_capsules() {
    std::vector<Capsule> all;
    for (const auto& some :
         {around_frame(frame_v4()), around_frame(frame_v6()), around_ip(hello_v4(), 4), around_ip(hello_v6(), 6)})
        all.insert(all.end(), some.begin(), some.end());
    return all;
}

}  // namespace spantape::test
