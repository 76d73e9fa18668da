// SPDX-License-Identifier: AGPL-3.0-or-later
// For tests that hold our decoder against another one:
//   packet_tool write FILE    a capture file of every encapsulation that we open, and of datagrams in fragments; prints
//                             the name of what each packet belongs to
//   packet_tool seeds DIR     the same packets as seeds for tests/fuzz/packet_fuzz.cc
//   packet_tool print FILE    each UDP datagram of a capture file: packet number, source, destination, payload in hex
#include <array>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "capture/packet/datagram.h"
#include "capture/packet/fragments.h"
#include "capture/source/source.h"
#include "tests/capture/packet/tunnel_capsules.h"

namespace spantape::test {
namespace {

struct Group {  // packets that belong together
    std::string name;
    std::vector<Bytes> packets;
};

Bytes fragment_v4(const Bytes& whole, std::size_t from, std::size_t to, std::uint8_t id) {
    const Bytes part(whole.begin() + static_cast<std::ptrdiff_t>(from),
                     whole.begin() + static_cast<std::ptrdiff_t>(to));
    Bytes packet = ipv4(part, 17, static_cast<std::uint16_t>(from / 8 | (to < whole.size() ? 0x2000 : 0)));
    packet[5] = id;
    return packet;
}

Bytes fragment_v6(const Bytes& whole, std::size_t from, std::size_t to) {
    const Bytes part(whole.begin() + static_cast<std::ptrdiff_t>(from),
                     whole.begin() + static_cast<std::ptrdiff_t>(to));
    return ipv6(ipv6_fragment(17, static_cast<std::uint16_t>(from | (to < whole.size() ? 1 : 0)), part), 44);
}

std::vector<Group> groups() {
    std::vector<Group> all;
    for (const Capsule& capsule : all_capsules()) all.push_back({capsule.name, {capsule.bytes}});
    const Bytes content = Bytes(300, 'x') + text("end");
    const Bytes whole = udp(content);
    const std::size_t end = whole.size();
    all.push_back({"fragments of IPv4",
                   {ethernet(0x0800, fragment_v4(whole, 200, end, 1)), ethernet(0x0800, fragment_v4(whole, 0, 104, 1)),
                    ethernet(0x0800, fragment_v4(whole, 104, 200, 1))}});
    all.push_back({"fragments of IPv6",
                   {ethernet(0x86dd, fragment_v6(whole, 0, 200)), ethernet(0x86dd, fragment_v6(whole, 200, end))}});
    const Bytes tunnel = vxlan(ethernet(0x0800, ipv4(whole)));
    all.push_back({"VXLAN in fragments",
                   {ethernet(0x0800, fragment_v4(tunnel, 0, 240, 2)),
                    ethernet(0x0800, fragment_v4(tunnel, 240, tunnel.size(), 2))}});
    all.push_back({"fragments in GRE",
                   {ethernet(0x0800, outer_ipv4(gre(0x0800, fragment_v4(whole, 0, 104, 3)), 47)),
                    ethernet(0x0800, outer_ipv4(gre(0x0800, fragment_v4(whole, 104, end, 3)), 47))}});
    return all;
}

template <class Integer>
void put(std::ofstream& out, Integer value) {  // little endian
    for (std::size_t i = 0; i < sizeof value; ++i)
        out.put(static_cast<char>(static_cast<std::uint64_t>(value) >> 8 * i));
}

void put(std::ofstream& out, const Bytes& bytes) {
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

int write(const std::string& path) {
    std::ofstream out(path, std::ios::binary);
    for (const std::uint32_t word : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 65535u, 1u}) put(out, word);
    for (const Group& group : groups()) {
        for (const Bytes& packet : group.packets) {
            const auto bytes = static_cast<std::uint32_t>(packet.size());
            for (const std::uint32_t word : {1'700'000'000u, 0u, bytes, bytes}) put(out, word);
            put(out, packet);
            fmt::print("{}\n", group.name);
        }
    }
    return out.good() ? 0 : 1;
}

bool write_seed(const std::string& directory, std::string name, LinkType link, const std::vector<Bytes>& packets) {
    for (char& letter : name)
        letter = std::isalnum(static_cast<unsigned char>(letter)) ? static_cast<char>(std::tolower(letter)) : '_';
    std::ofstream out(directory + "/" + name, std::ios::binary);
    put(out, static_cast<std::uint8_t>(link));
    for (const Bytes& packet : packets) {
        put(out, std::uint8_t{0});  // nothing cut
        put(out, static_cast<std::uint16_t>(packet.size()));
        put(out, packet);
    }
    return out.good();
}

// One of each name: the last, which is around IPv6.
int seeds(const std::string& directory) {
    bool good = true;
    for (const Group& group : groups()) good &= write_seed(directory, group.name, LinkType::ethernet, group.packets);
    const Bytes dialled = ppp_hdlc(kPppIpv4, hello_v4());
    good &= write_seed(directory, "link ppp", LinkType::serial, {dialled, Bytes{0x0f, 0, 8, 0} + hello_v4()});
    good &= write_seed(directory, "link pppoe", LinkType::pppoe, {pppoe(dialled)});
    good &= write_seed(directory, "link erf", LinkType::erf, {erf(2, Bytes{0, 0} + frame_v4(), 2), erf(1, dialled)});
    return good ? 0 : 1;
}

void print_datagram(const Packet& packet, std::uint64_t number, Fragments& fragments) {
    Datagram datagram;
    fragments.release();
    if (decode_datagram(packet, datagram, &fragments) != DropReason::none) return;
    if (datagram.transport != Transport::udp) return;
    fmt::print("{}\t{}\t{}\t", number, datagram.source.to_string(), datagram.destination.to_string());
    for (const std::uint8_t byte : datagram.payload) fmt::print("{:02x}", byte);
    fmt::print("\n");
}

int print(const std::string& path) {
    const auto sources = open_sources({"file:" + path}, {.pace = Pace::max});
    if (!sources) {
        fmt::print(stderr, "{}\n", sources.error().message);
        return 1;
    }
    Source& source = *sources->front();
    Fragments fragments;
    std::array<Packet, kBurstPackets> burst;
    std::uint64_t number = 0;
    while (!source.at_end()) {
        const std::size_t count = source.poll(burst);
        for (std::size_t i = 0; i < count; ++i) print_datagram(burst[i], ++number, fragments);
    }
    return 0;
}

}  // namespace
}  // namespace spantape::test

int main(int argc, char** argv) {
    using namespace spantape::test;
    const std::string_view what = argc == 3 ? argv[1] : "";
    if (what == "write") return write(argv[2]);
    if (what == "seeds") return seeds(argv[2]);
    if (what == "print") return print(argv[2]);
    fmt::print(stderr, "packet_tool write|seeds|print PATH\n");
    return 2;
}
