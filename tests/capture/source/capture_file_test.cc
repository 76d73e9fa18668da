// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/source/capture_file.h"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/capture/source/capture_builder.h"

namespace spantape {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr TimeNs kStart = 1'600'000'000 * kNsPerSecond;

struct Read {
    std::vector<std::string> packets;
    std::vector<TimeNs> times;
    std::vector<LinkType> links;
    std::vector<std::uint32_t> wire_bytes;
    std::string error;
};

Read read(const Bytes& body) {
    const TempFile file(body);
    auto opened = open_capture_file(file.path());
    if (!opened) return {.error = "not opened: " + opened.error().message};
    Read result;
    std::array<Packet, 64> burst;
    while (const std::size_t count = (*opened)->read(burst)) {
        for (const Packet& packet : std::span(burst).first(count)) {
            result.packets.emplace_back(packet.data, packet.data + packet.captured_bytes);
            result.times.push_back(packet.time_ns);
            result.links.push_back(packet.link);
            result.wire_bytes.push_back(packet.wire_bytes);
        }
    }
    EXPECT_EQ((*opened)->read(burst), 0u);
    result.error = (*opened)->error();
    return result;
}

Bytes two_packets(const PcapFormat& format) {
    return pcap_header(format) + pcap_packet(format, kStart + 123'456'789, text("one")) +
           pcap_packet(format, kStart + 2 * kNsPerSecond, text("three"), 1500);
}

TEST(PcapFile, IsReadInEitherByteOrderAndResolution) {
    for (const Order order : {Order::little, Order::big}) {
        for (const bool nanoseconds : {false, true}) {
            const Read got = read(two_packets({.order = order, .nanoseconds = nanoseconds}));
            EXPECT_THAT(got.packets, ElementsAre("one", "three"));
            EXPECT_THAT(got.times,
                        ElementsAre(kStart + (nanoseconds ? 123'456'789 : 123'456'000), kStart + 2 * kNsPerSecond));
            EXPECT_THAT(got.wire_bytes, ElementsAre(3, 1500));
            EXPECT_EQ(got.error, "");
        }
    }
}

TEST(PcapFile, KnowsItsLinkTypes) {
    const std::pair<std::uint32_t, LinkType> known[] = {{1, LinkType::ethernet},
                                                        {113, LinkType::linux_cooked_v1},
                                                        {276, LinkType::linux_cooked_v2},
                                                        {12, LinkType::raw_ip},
                                                        {14, LinkType::raw_ip},
                                                        {101, LinkType::raw_ip},
                                                        {228, LinkType::raw_ip},
                                                        {229, LinkType::raw_ip},
                                                        {0, LinkType::null_loopback},
                                                        {108, LinkType::null_loopback},
                                                        {9, LinkType::serial},
                                                        {50, LinkType::serial},
                                                        {104, LinkType::serial},
                                                        {166, LinkType::serial},
                                                        {51, LinkType::pppoe},
                                                        {197, LinkType::erf}};
    for (const auto& [number, link] : known) {
        const Read got = read(two_packets({.link = number}));
        EXPECT_THAT(got.links, ElementsAre(link, link)) << number << got.error;
    }
}

TEST(PcapFile, OfAnotherLinkTypeIsRefusedByName) {
    EXPECT_EQ(read(two_packets({.link = 127})).error,
              "not opened: has link type 127 (IEEE802_11_RADIO: 802.11 plus radiotap header), which is not supported");
    EXPECT_THAT(read(two_packets({.link = 4242})).error, HasSubstr("link type 4242, which is not supported"));
}

TEST(PcapFile, WithoutPacketsIsNoError) {
    const Read got = read(pcap_header({}));
    EXPECT_TRUE(got.packets.empty());
    EXPECT_EQ(got.error, "");
}

TEST(PcapFile, CutShortAnywhereGivesWhatIsWholeAndSaysWhere) {
    const Bytes whole = two_packets({});
    constexpr std::size_t kHeader = 24;
    constexpr std::size_t kFirst = 16 + 3;
    for (std::size_t length = 1; length < whole.size(); ++length) {
        const Read got = read({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
        if (length < kHeader) {
            EXPECT_THAT(got.error, StartsWith("not opened: ")) << length;
            continue;
        }
        const std::size_t whole_packets = length < kHeader + kFirst ? 0 : 1;
        EXPECT_EQ(got.packets.size(), whole_packets) << length;
        if (length == kHeader || length == kHeader + kFirst) {
            EXPECT_EQ(got.error, "") << length;
        } else {
            EXPECT_EQ(got.error, fmt::format("cut short at byte {}, in packet {}", length, whole_packets + 1));
        }
    }
}

TEST(PcapFile, DamagedInTheMiddleGivesWhatCameBefore) {
    Bytes body = two_packets({});
    body[24 + 19 + 8 + 3] = 0x7f;  // the second packet's length: two thousand million
    const Read got = read(body + Bytes(100));
    EXPECT_THAT(got.packets, ElementsAre("one"));
    EXPECT_THAT(got.error, StartsWith("damaged at byte 59, in packet 2: "));
}

TEST(PcapFile, PacksOfGzipAreReadAsTheFilesWithin) {
    const Read got = read(gzip(two_packets({})));
    EXPECT_THAT(got.packets, ElementsAre("one", "three"));
    EXPECT_EQ(got.error, "");
    EXPECT_THAT(
        read(gzip(section(Order::big) + interface_block(Order::big, 1) + enhanced_packet(Order::big, 0, 5, text("ng"))))
            .packets,
        ElementsAre("ng"));
}

TEST(PcapFile, PacksOfGzipCutShortGiveWhatIsWhole) {
    PcapFormat format;
    Bytes body = pcap_header(format);
    std::uint32_t noise = 1;
    for (int i = 0; i < 2000; ++i) {
        Bytes data(200);
        for (auto& byte : data) byte = static_cast<std::uint8_t>((noise = noise * 1'664'525 + 1'013'904'223) >> 24);
        body = std::move(body) + pcap_packet(format, kStart + i, data);
    }
    Bytes packed = gzip(body);
    packed.resize(packed.size() / 2);
    const Read got = read(packed);
    EXPECT_GT(got.packets.size(), 900u);
    EXPECT_LT(got.packets.size(), 1100u);
    EXPECT_THAT(got.error, StartsWith("cut short at byte "));
    EXPECT_THAT(got.error, HasSubstr("unexpected end of file"));

    packed = gzip(body);
    packed[packed.size() - 6] ^= 0xff;  // only the checksum at the end is wrong
    EXPECT_GT(read(packed).packets.size(), 1800u);
    EXPECT_THAT(read(packed).error, HasSubstr("incorrect data check"));
}

TEST(PcapngFile, IsReadInEitherByteOrder) {
    for (const Order order : {Order::little, Order::big}) {
        const Read got = read(section(order) + interface_block(order, 1) +
                              enhanced_packet(order, 0, 1'600'000'000'123'456, text("one")) +
                              block(order, 5, Bytes(40)) +  // statistics
                              enhanced_packet(order, 0, 1'600'000'002'000'000, text("three"), 1500));
        EXPECT_THAT(got.packets, ElementsAre("one", "three"));
        EXPECT_THAT(got.times, ElementsAre(kStart + 123'456'000, kStart + 2 * kNsPerSecond));
        EXPECT_THAT(got.wire_bytes, ElementsAre(3, 1500));
        EXPECT_EQ(got.error, "");
    }
}

TEST(PcapngFile, MayHoldInterfacesOfDifferentLinkTypesSnapLengthsAndSections) {
    const Order big = Order::big;
    const Order little = Order::little;
    const Read got = read(section(big) + interface_block(big, 1, 65'535) + interface_block(big, 113, 262'144) +
                          enhanced_packet(big, 1, 3, text("cooked")) + enhanced_packet(big, 0, 2, text("ether")) +
                          section(little) + interface_block(little, 101) + enhanced_packet(little, 0, 1, text("raw")));
    EXPECT_THAT(got.packets, ElementsAre("cooked", "ether", "raw"));
    EXPECT_THAT(got.links, ElementsAre(LinkType::linux_cooked_v1, LinkType::ethernet, LinkType::raw_ip));
    EXPECT_THAT(got.times, ElementsAre(3000, 2000, 1000));  // as they stand in the file
    EXPECT_EQ(got.error, "");
}

TEST(PcapngFile, TakesEveryResolutionAndOffset) {
    const auto time = [](std::uint8_t resolution, std::uint64_t stamp, std::int64_t offset_seconds = 0) {
        Bytes options = option(Order::little, 9, {resolution});
        if (offset_seconds != 0) {
            Bytes value;
            put(value, Order::little, static_cast<std::uint64_t>(offset_seconds), 8);
            options = options + option(Order::little, 14, value);
        }
        const Read got = read(section(Order::little) + interface_block(Order::little, 1, 0, options) +
                              enhanced_packet(Order::little, 0, stamp, text("x")));
        return got.times.at(0);
    };
    EXPECT_EQ(time(0, 1'600'000'000), kStart);
    EXPECT_EQ(time(3, 1'600'000'000'007), kStart + 7 * kNsPerMs);
    EXPECT_EQ(time(9, 1'600'000'000'123'456'789), kStart + 123'456'789);
    EXPECT_EQ(time(10, 16'000'000'000'000'000'070u), kStart + 7);
    EXPECT_EQ(time(0x80 | 1, 3'200'000'001), kStart + kNsPerSecond / 2);
    EXPECT_EQ(time(0x80 | 30, 1'600'000'000ull << 30 | 1u << 28), kStart + kNsPerSecond / 4);
    EXPECT_EQ(time(6, 1'000'000, 1'599'999'999), kStart);
    EXPECT_EQ(time(6, 1'600'000'001'000'000, -1), kStart);
    // nonsense stays within the years that can be calculated with
    EXPECT_EQ(time(0, ~std::uint64_t{0}), 0xffff'ffff * kNsPerSecond);
    EXPECT_EQ(time(127, ~std::uint64_t{0}), 0);
    EXPECT_EQ(time(0xff, ~std::uint64_t{0}), 0);
    EXPECT_EQ(time(6, 0, std::numeric_limits<std::int64_t>::min()), 0);
}

TEST(PcapngFile, TakesSimpleAndObsoletePacketBlocks) {
    const Order order = Order::little;
    Bytes obsolete;
    put(obsolete, order, 0, 2);
    put(obsolete, order, 0xffff, 2);  // drops
    put(obsolete, order, 0, 4);
    put(obsolete, order, 77, 4);
    put(obsolete, order, 3, 4);
    put(obsolete, order, 3, 4);
    Bytes simple;
    put(simple, order, 9, 4);
    const Read got = read(section(order) + interface_block(order, 1, 6) + block(order, 2, obsolete + text("old")) +
                          block(order, 3, simple + text("simple")));
    EXPECT_THAT(got.packets, ElementsAre("old", "simple"));
    EXPECT_THAT(got.wire_bytes, ElementsAre(3, 9));
    EXPECT_THAT(got.times, ElementsAre(77'000, 77'000));  // a simple packet has no time of its own
}

TEST(PcapngFile, CutShortAnywhereGivesWhatIsWholeAndSaysWhere) {
    const Bytes start = section(Order::little) + interface_block(Order::little, 1);
    const Bytes first = enhanced_packet(Order::little, 0, 1, text("one"));
    const Bytes whole = start + first + enhanced_packet(Order::little, 0, 2, text("two"));
    for (std::size_t length = section(Order::little).size(); length < whole.size(); ++length) {
        const Read got = read({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
        const std::size_t whole_packets = length < start.size() + first.size() ? 0 : 1;
        EXPECT_EQ(got.packets.size(), whole_packets) << length;
        const bool between_blocks =
            length == section(Order::little).size() || length == start.size() || length == start.size() + first.size();
        EXPECT_EQ(got.error,
                  between_blocks ? "" : fmt::format("cut short at byte {}, after packet {}", length, whole_packets));
    }
}

TEST(PcapngFile, DamagedInTheMiddleGivesWhatCameBefore) {
    const Order order = Order::little;
    const Bytes start = section(order) + interface_block(order, 1) + enhanced_packet(order, 0, 1, text("one"));
    const auto error_after = [&](const Bytes& rest) {
        const Read got = read(start + rest);
        EXPECT_THAT(got.packets, ElementsAre("one"));
        return got.error;
    };
    const std::string where = fmt::format("damaged at byte {}, after packet 1: ", start.size());
    EXPECT_EQ(error_after(enhanced_packet(order, 4, 1, text("x"))), where + "interface 4 is not described");
    Bytes beyond = enhanced_packet(order, 0, 1, text("x"));
    beyond[8 + 12] = 200;  // captured length
    EXPECT_EQ(error_after(beyond), where + "lengths beyond the block");
    Bytes odd = enhanced_packet(order, 0, 1, text("x"));
    odd[4] = 13;
    EXPECT_EQ(error_after(odd), where + "a block of 13 bytes");
}

TEST(PcapngFile, OfAnotherLinkTypeIsRefusedByName) {
    EXPECT_THAT(read(section(Order::little) + interface_block(Order::little, 105) +
                     enhanced_packet(Order::little, 0, 1, text("wifi")))
                    .error,
                StartsWith("not opened: has link type 105 (IEEE802_11"));
}

TEST(PcapngFile, PacketsOfAnInterfaceThatIsNotKnownAreLeftOutAndSaidSo) {
    const Order order = Order::little;
    const Read got = read(section(order) + interface_block(order, 105) + interface_block(order, 1) +
                          enhanced_packet(order, 0, 1, text("wifi")) + enhanced_packet(order, 1, 1, text("wire")));
    EXPECT_THAT(got.packets, ElementsAre("wire"));
    EXPECT_THAT(got.error, StartsWith("1 packets left out: link type 105 (IEEE802_11"));
}

TEST(CaptureFile, SaysWhatAFileLooksLikeThatIsNoCapture) {
    EXPECT_EQ(read({}).error, "not opened: is empty, not a capture file");
    EXPECT_EQ(read(text("REGISTER sip:example.com SIP/2.0\r\n")).error,
              "not opened: is not a pcap or pcapng capture file: it looks like text");
    EXPECT_THAT(read(text("RIFF1234WAVE")).error, HasSubstr("looks like a WAV or AVI file"));
    EXPECT_THAT(read({0x28, 0xb5, 0x2f, 0xfd, 0, 0}).error, HasSubstr("compressed with zstd: unpack it first"));
    EXPECT_THAT(read({1, 2, 3, 4}).error, HasSubstr("it begins with 01 02 03 04"));
    EXPECT_THAT(read(gzip(text("hello"))).error, HasSubstr("looks like text"));
}

}  // namespace
}  // namespace spantape
