// SPDX-License-Identifier: AGPL-3.0-or-later
// What capture_file_test.cc leaves of the pcap format: its rare kinds, and that we read what libpcap reads.
#include "capture/source/pcap_file.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/capture/source/capture_builder.h"

namespace spantape {
namespace {

using namespace test;
using testing::ElementsAre;

constexpr TimeNs kStart = 1'600'000'000 * kNsPerSecond;

struct Got {
    Bytes data;
    std::uint32_t wire_bytes;
    TimeNs time_ns;
    bool operator==(const Got&) const = default;
};

struct Read {
    bool opened = false;
    std::vector<Got> packets;
    std::string error;
};

Read by_us(const Bytes& body) {
    const int fd = memfd_create("capture", MFD_CLOEXEC);
    EXPECT_EQ(write(fd, body.data(), body.size()), static_cast<ssize_t>(body.size()));
    EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
    auto file = open_capture_bytes(FileBytes::from_descriptor(fd).value());
    if (!file) return {.error = file.error().message};
    Read result{.opened = true};
    std::array<Packet, 3> burst;
    while (const std::size_t count = (*file)->read(burst)) {
        for (const Packet& packet : std::span(burst).first(count)) {
            result.packets.push_back(
                {{packet.data, packet.data + packet.captured_bytes}, packet.wire_bytes, packet.time_ns});
        }
    }
    result.error = (*file)->error();
    return result;
}

Read by_libpcap(Bytes body) {
    std::array<char, PCAP_ERRBUF_SIZE> why{};
    std::FILE* stream = fmemopen(body.data(), body.size(), "rb");
    pcap_t* handle = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, why.data());
    if (handle == nullptr) {
        std::fclose(stream);
        return {.error = why.data()};
    }
    const TimeNs tick_ns = body[0] == 0x4d || body[3] == 0x4d ? 1 : 1000;
    Read result{.opened = true};
    pcap_pkthdr* header = nullptr;
    const std::uint8_t* data = nullptr;
    int got = 0;
    while ((got = pcap_next_ex(handle, &header, &data)) == 1) {
        // The format's numbers have no sign, though libpcap's have in our byte order.
        const TimeNs seconds = static_cast<std::uint32_t>(header->ts.tv_sec);
        const TimeNs fraction = static_cast<std::uint32_t>(header->ts.tv_usec / tick_ns);
        result.packets.push_back({{data, data + header->caplen},
                                  std::max(header->len, header->caplen),
                                  seconds * kNsPerSecond + fraction * tick_ns});
    }
    if (got == PCAP_ERROR) result.error = pcap_geterr(handle);
    pcap_close(handle);
    return result;
}

std::vector<std::string> texts(const Read& read) {
    std::vector<std::string> all;
    all.reserve(read.packets.size());
    for (const Got& got : read.packets) all.emplace_back(got.data.begin(), got.data.end());
    return all;
}

Bytes with_version(Bytes body, std::uint16_t major, std::uint16_t minor) {
    body[4] = static_cast<std::uint8_t>(major);
    body[5] = static_cast<std::uint8_t>(major >> 8);
    body[6] = static_cast<std::uint8_t>(minor);
    body[7] = static_cast<std::uint8_t>(minor >> 8);
    return body;
}

TEST(PcapFile, OfKuznetzovHasLongerRecordHeaders) {
    for (const Order order : {Order::little, Order::big}) {
        const PcapFormat format{.order = order, .snap_bytes = 4};
        Bytes body = pcap_header(format);
        std::ranges::copy(order == Order::big ? Bytes{0xa1, 0xb2, 0xcd, 0x34} : Bytes{0x34, 0xcd, 0xb2, 0xa1},
                          body.begin());
        for (const std::string_view data : {"first", "an Ethernet header more"}) {
            Bytes packet = pcap_packet(format, kStart, text(data));
            packet.insert(packet.begin() + 16, {0, 0, 0, 1, 8, 0, 4, 0});  // interface, protocol, direction
            body = std::move(body) + packet;
        }
        const Read read = by_us(body);
        EXPECT_THAT(texts(read), ElementsAre("first", "an Ethernet header"));
        EXPECT_EQ(read.error, "");
        EXPECT_EQ(read.packets, by_libpcap(body).packets);
    }
}

TEST(PcapFile, OfAnOldVersionHasItsLengthsInTheOtherOrder) {
    const auto packets = [](std::uint16_t major, std::uint16_t minor, std::size_t first, std::size_t second) {
        Bytes body = with_version(pcap_header({}), major, minor) + pcap_packet({}, kStart, text("abc"));
        body[24 + 8] = static_cast<std::uint8_t>(first);
        body[24 + 12] = static_cast<std::uint8_t>(second);
        const Read read = by_us(body);
        EXPECT_EQ(read.packets, by_libpcap(body).packets);
        return read.packets;
    };
    EXPECT_THAT(packets(2, 4, 3, 60), ElementsAre(Got{text("abc"), 60, kStart}));
    EXPECT_THAT(packets(2, 3, 3, 60), ElementsAre(Got{text("abc"), 60, kStart}));
    EXPECT_THAT(packets(2, 3, 60, 3), ElementsAre(Got{text("abc"), 60, kStart}));
    EXPECT_THAT(packets(2, 2, 60, 3), ElementsAre(Got{text("abc"), 60, kStart}));
    EXPECT_THAT(packets(543, 0, 60, 3), ElementsAre(Got{text("abc"), 60, kStart}));
}

TEST(PcapFile, OfAVersionThatThereIsNotIsRefused) {
    EXPECT_EQ(by_us(with_version(pcap_header({}), 2, 5)).error, "is no readable pcap file: version 2.5 of the format");
    EXPECT_EQ(by_us(with_version(pcap_header({}), 1, 2)).error, "is no readable pcap file: version 1.2 of the format");
}

TEST(PcapFile, MayTellOfFrameCheckSequencesButOfNothingElseAboveItsLinkType) {
    EXPECT_TRUE(by_us(pcap_header({.link = 0x4400'0001})).opened);  // four bytes of it
    EXPECT_EQ(by_us(pcap_header({.link = 0x0001'0001})).error, "has link type 65537, which is not supported");
}

TEST(PcapFile, PacketsEndAtTheSnapLengthUnlessThatIsNonsense) {
    for (const std::uint32_t snap_bytes : {0u, 2u, 0x8000'0000u, 0xffff'ffffu}) {
        const PcapFormat format{.snap_bytes = snap_bytes};
        const Bytes body =
            pcap_header(format) + pcap_packet(format, kStart, text("long")) + pcap_packet(format, kStart, text("x"));
        const Read read = by_us(body);
        EXPECT_THAT(texts(read), ElementsAre(snap_bytes == 2 ? "lo" : "long", "x"));
        EXPECT_EQ(read.packets, by_libpcap(body).packets);
    }
}

TEST(PcapFile, APacketLargerThanAnyIsDamage) {
    const PcapFormat format{.snap_bytes = 0x7fff'ffff};
    const Bytes body =
        pcap_header(format) + pcap_packet(format, kStart, text("a")) + pcap_packet(format, kStart, Bytes(262'145));
    const Read read = by_us(body);
    EXPECT_THAT(texts(read), ElementsAre("a"));
    EXPECT_EQ(read.error, "damaged at byte 57, in packet 2: 262145 captured bytes, more than a packet has");
    EXPECT_EQ(read.packets, by_libpcap(body).packets);
}

TEST(PcapFile, TimesGoOnAfter2038) {
    EXPECT_EQ(by_us(pcap_header({}) + pcap_packet({}, 0xffff'ffff * kNsPerSecond + 1'000, text("x"))).packets.at(0),
              (Got{text("x"), 1, 0xffff'ffff * kNsPerSecond + 1'000}));
}

// A file of a random kind with random packets, then some of its bytes changed, most of them in headers.
Bytes any_file(std::mt19937& random) {
    const auto below = [&random](std::size_t end) {
        return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
    };
    constexpr std::array<std::uint32_t, 6> kSnapBytes = {0, 40, 100, 65'535, 262'144, 0x7fff'ffff};
    PcapFormat format;
    format.order = below(2) == 0 ? Order::little : Order::big;
    format.nanoseconds = below(2) == 0;
    format.snap_bytes = kSnapBytes[below(kSnapBytes.size())];
    Bytes body = pcap_header(format);
    std::vector<std::size_t> headers = {16};  // the snap length; what is before decides too much to change it often
    for (std::size_t i = below(12); i > 0; --i) {
        headers.push_back(body.size());
        const Bytes data(below(below(4) == 0 ? 100'000 : 200), static_cast<std::uint8_t>(below(256)));
        body = std::move(body) + pcap_packet(format, kStart + static_cast<TimeNs>(below(1u << 30)), data, below(300));
    }
    if (below(3) == 0) body[below(24)] = static_cast<std::uint8_t>(below(256));
    for (std::size_t i = below(3); i > 0; --i) {
        const std::size_t at = headers[below(headers.size())] + below(16);
        if (at < body.size() && at != 20) body[at] = static_cast<std::uint8_t>(below(4) == 0 ? below(256) : below(3));
    }
    if (below(3) == 0) body.resize(1 + below(body.size()));
    return body;
}

TEST(PcapFile, IsReadAsLibpcapReadsIt) {
    std::mt19937 random(2038);
    int opened = 0;
    std::size_t packets = 0;
    for (int i = 0; i < 5'000; ++i) {
        const Bytes body = any_file(random);
        const Read ours = by_us(body);
        const Read theirs = by_libpcap(body);
        if (!ours.opened && ours.error.starts_with("has link type")) continue;  // libpcap takes them all
        ASSERT_EQ(ours.opened, theirs.opened) << i << ours.error << theirs.error;
        ASSERT_EQ(ours.packets, theirs.packets) << i;
        ASSERT_EQ(ours.error.empty(), theirs.error.empty()) << i << ours.error << theirs.error;
        opened += ours.opened ? 1 : 0;
        packets += ours.packets.size();
    }
    EXPECT_GT(opened, 3'000);
    EXPECT_GT(packets, 10'000u);
}

}  // namespace
}  // namespace spantape
