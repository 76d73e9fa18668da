// SPDX-License-Identifier: AGPL-3.0-or-later
#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "capture/source/source.h"
#include "tests/capture/source/capture_builder.h"

namespace spantape {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::StartsWith;

constexpr TimeNs kStart = 1'600'000'000 * kNsPerSecond;
constexpr SourceOptions kMax{.pace = Pace::max};

// A capture whose packets hold their names; times in milliseconds from kStart.
Bytes capture(std::initializer_list<std::pair<std::string_view, std::int64_t>> packets) {
    Bytes body = pcap_header({});
    for (const auto& [name, ms] : packets) body = std::move(body) + pcap_packet({}, kStart + ms * kNsPerMs, text(name));
    return body;
}

std::unique_ptr<Source> open_one(const std::vector<std::string>& specs, const SourceOptions& options = kMax) {
    auto sources = open_sources(specs, options);
    if (!sources) {
        ADD_FAILURE() << sources.error().message;
        return nullptr;
    }
    EXPECT_EQ(sources->size(), 1u);
    return std::move(sources->front());
}

std::string error_of(const std::vector<std::string>& specs) {
    const auto sources = open_sources(specs, kMax);
    return sources ? "" : sources.error().message;
}

std::string text_of(const Packet& packet) { return {packet.data, packet.data + packet.captured_bytes}; }

std::vector<std::string> drain(Source& source, std::size_t burst_packets = kBurstPackets) {
    std::vector<std::string> all;
    std::vector<Packet> burst(burst_packets);
    while (!source.at_end()) {
        const std::size_t count = source.poll(burst);
        for (std::size_t i = 0; i < count; ++i) all.push_back(text_of(burst[i]));
    }
    EXPECT_EQ(source.poll(burst), 0u);
    return all;
}

TEST(FileSource, MergesFilesByTimeAndKeepsTheirOrderWithin) {
    const TempFile first(capture({{"a1", 10}, {"a4", 40}, {"a2 late", 20}, {"a5", 50}}));
    const TempFile second(capture({{"b0", 0}, {"b3", 30}, {"b5", 50}}));
    const TempFile third(capture({{"c45", 45}}));
    const auto source = open_one({first.spec(), second.spec(), third.spec()});
    EXPECT_THAT(drain(*source), ElementsAre("b0", "a1", "b3", "a4", "a2 late", "c45", "a5", "b5"));
    EXPECT_EQ(source->name(), first.spec() + ", " + second.spec() + ", " + third.spec());
}

TEST(FileSource, PassesTimesThatGoBackwardOnAsTheyAre) {
    const TempFile file(capture({{"x", 5}, {"y", 1}, {"z", 3}}));
    const auto source = open_one({file.spec()});
    std::array<Packet, 3> burst;
    ASSERT_EQ(source->poll(burst), 3u);
    EXPECT_EQ(burst[0].time_ns, kStart + 5 * kNsPerMs);
    EXPECT_EQ(burst[1].time_ns, kStart + 1 * kNsPerMs);
    EXPECT_EQ(burst[2].time_ns, kStart + 3 * kNsPerMs);
}

TEST(FileSource, NumbersPacketsByTheirPlaceInTheConfiguration) {
    const TempFile first(capture({{"a", 1}}));
    const TempFile second(capture({{"b", 0}}));
    const auto source = open_one({first.spec(), second.spec()});
    std::vector<int> numbers;
    std::array<Packet, 2> burst;
    while (!source->at_end()) {
        for (const Packet& packet : std::span(burst).first(source->poll(burst))) numbers.push_back(packet.source);
    }
    EXPECT_THAT(numbers, ElementsAre(1, 0));
}

TEST(FileSource, AllPacketsOfABurstStayValidTogether) {
    const auto bytes_of = [](int i) {
        return Bytes(static_cast<std::size_t>(i) * 37 % 20'000 + 1, static_cast<std::uint8_t>(i));
    };
    Bytes pcap = pcap_header({});
    Bytes pcapng = section(Order::big) + interface_block(Order::big, 1);
    for (int i = 0; i < 500; ++i) {
        pcap = std::move(pcap) + pcap_packet({}, kStart + i, bytes_of(i));
        pcapng = std::move(pcapng) + enhanced_packet(Order::big, 0, static_cast<std::uint64_t>(i), bytes_of(i));
        if (i % 7 == 0) pcapng = std::move(pcapng) + block(Order::big, 5, Bytes(static_cast<std::size_t>(i) * 3'000));
        if (i % 50 == 0) pcapng = std::move(pcapng) + section(Order::big) + interface_block(Order::big, 1);
    }
    for (const Bytes& body : {pcap, gzip(pcap), pcapng, gzip(pcapng)}) {
        const TempFile file(body);
        const TempFile other(capture({{"z", 1'000}}));  // with another one packets take another way
        for (const auto& specs : {std::vector{file.spec()}, std::vector{file.spec(), other.spec()}}) {
            const auto source = open_one(specs);
            std::array<Packet, kBurstPackets> burst;
            int number = 0;
            while (!source->at_end()) {
                const std::size_t count = source->poll(burst);
                ASSERT_TRUE(count > 0 || source->at_end());
                for (const Packet& packet : std::span(burst).first(count)) {
                    if (packet.source == 1) continue;
                    const auto bytes = std::span(packet.data, packet.captured_bytes);
                    ASSERT_TRUE(std::ranges::equal(bytes, bytes_of(number))) << number;
                    ++number;
                }
            }
            EXPECT_EQ(number, 500);
        }
    }
}

TEST(FileSource, TakesPacketsOfTheLargestSizeAndBurstsOfAnyLength) {
    const PcapFormat format{.snap_bytes = 262'144};
    Bytes body = pcap_header(format);
    for (int i = 0; i < 70; ++i)
        body = std::move(body) + pcap_packet(format, kStart + i, Bytes(262'144, static_cast<std::uint8_t>(i)));
    const TempFile file(body);
    for (const std::size_t burst_packets : {std::size_t{1}, std::size_t{7}, kBurstPackets, 10 * kBurstPackets}) {
        const auto source = open_one({file.spec()});
        const auto all = drain(*source, burst_packets);
        ASSERT_EQ(all.size(), 70u);
        for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], std::string(262'144, static_cast<char>(i)));
    }
}

TEST(FileSource, CountsPacketsAndBytesAndIsLossless) {
    const TempFile file(capture({{"four", 0}, {"seven77", 0}}));
    const auto source = open_one({file.spec()});
    EXPECT_TRUE(source->lossless());
    EXPECT_EQ(source->wait_fd(), -1);
    drain(*source);
    EXPECT_EQ(source->counters().packets, 2u);
    EXPECT_EQ(source->counters().bytes, 11u);
    EXPECT_EQ(source->counters().dropped_kernel, 0u);
    EXPECT_EQ(source->error(), "");
}

TEST(FileSource, AFileCutShortDoesNotStopTheOthers) {
    Bytes cut = capture({{"a0", 0}, {"a9", 9}});
    cut.pop_back();
    const TempFile first(cut);
    const TempFile second(capture({{"b5", 5}, {"b20", 20}}));
    const auto source = open_one({first.spec(), second.spec()});
    EXPECT_THAT(drain(*source), ElementsAre("a0", "b5", "b20"));
    EXPECT_EQ(source->error(), fmt::format("{}: cut short at byte {}, in packet 2", first.spec(), cut.size()));
}

TEST(FileSource, AtRealTimePacketsComeWhenTheyAreDue) {
    const TempFile file(capture({{"0", 0}, {"0 too", 0}, {"60", 60}, {"30 late", 30}, {"120", 120}}));
    const auto source = open_one({file.spec()}, {.pace = Pace::realtime});
    std::array<Packet, kBurstPackets> burst;
    const TimeNs began_ns = monotonic_ns();
    ASSERT_EQ(source->poll(burst), 2u);  // at once
    std::vector<std::pair<std::string, TimeNs>> arrivals;
    while (!source->at_end()) {
        const std::size_t count = source->poll(burst);
        for (std::size_t i = 0; i < count; ++i) arrivals.emplace_back(text_of(burst[i]), monotonic_ns() - began_ns);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_EQ(arrivals.size(), 3u);
    EXPECT_EQ(arrivals[0].first, "60");
    EXPECT_EQ(arrivals[1].first, "30 late");
    EXPECT_EQ(arrivals[2].first, "120");
    EXPECT_GE(arrivals[0].second, 60 * kNsPerMs);
    EXPECT_LT(arrivals[1].second - arrivals[0].second, 40 * kNsPerMs);  // it is over-due: no further wait
    EXPECT_GE(arrivals[2].second, 120 * kNsPerMs);
    EXPECT_LT(arrivals[2].second, 5 * kNsPerSecond);  // a busy machine may be late, but not that late
}

TEST(FileSource, AtRealTimeNobodyWaitsForYears) {
    constexpr std::int64_t kYearMs = 365LL * 24 * 3600 * 1000;
    const TempFile file(
        capture({{"then", 0}, {"years later", 5 * kYearMs}, {"30 on", 5 * kYearMs + 30}, {"back", 0}, {"30 on", 30}}));
    const auto source = open_one({file.spec()}, {.pace = Pace::realtime});
    const TimeNs began_ns = monotonic_ns();
    EXPECT_EQ(drain(*source).size(), 5u);
    EXPECT_GE(monotonic_ns() - began_ns, 60 * kNsPerMs);
    EXPECT_LT(monotonic_ns() - began_ns, 5 * kNsPerSecond);
}

TEST(OpenSources, GivesFilesToTheFirstWorkerOnly) {
    const TempFile file(capture({{"a", 0}}));
    EXPECT_EQ(open_sources({file.spec()}, {.worker = 0, .workers = 2})->size(), 1u);
    EXPECT_EQ(open_sources({file.spec()}, {.worker = 1, .workers = 2})->size(), 0u);
    EXPECT_EQ(open_sources({}, {})->size(), 0u);
}

TEST(OpenSources, NamesWhatIsWrong) {
    EXPECT_EQ(error_of({"file:/nowhere/a.pcap"}), "file:/nowhere/a.pcap: no such file");
    EXPECT_EQ(error_of({"file:/"}), "file:/: is a directory");
    EXPECT_EQ(error_of({"file:"}), "file:: the path is missing");
    EXPECT_EQ(error_of({"pcap:"}), "pcap:: the interface is missing");
    EXPECT_EQ(error_of({"eth0"}), "eth0: unknown kind of source (there are pcap:IFACE, file:PATH and dpdk:DEVARGS)");
    EXPECT_EQ(error_of({"dpdk:"}), "dpdk:: the device is missing");
    const TempFile words(text("no capture\n"));
    EXPECT_EQ(error_of({words.spec()}), words.spec() + ": is not a pcap or pcapng capture file: it looks like text");
    const TempFile wifi(pcap_header({.link = 105}));
    EXPECT_THAT(error_of({wifi.spec()}), StartsWith(wifi.spec() + ": has link type 105 (IEEE802_11"));
    EXPECT_EQ(error_of(std::vector<std::string>(257, words.spec())), "257 sources: 256 are the most");
}

}  // namespace
}  // namespace spantape
