// SPDX-License-Identifier: AGPL-3.0-or-later
// DPDK's software ports without huge pages: as any machine can run them.
#include <algorithm>
#include <array>
#include <csignal>
#include <map>
#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/source/dpdk_eal.h"
#include "capture/source/source.h"
#include "tests/capture/source/capture_builder.h"

namespace spantape {
namespace {

using namespace test;
using testing::HasSubstr;
using testing::StartsWith;
using Sources = std::vector<std::unique_ptr<Source>>;

SourceOptions options_of(int worker = 0, int workers = 1) {
    return {.worker = worker, .workers = workers, .dpdk = {.huge = DpdkHuge::never, .memory_mib = 128}};
}

std::unique_ptr<Source> open_one(const std::string& spec, int worker = 0, int workers = 1) {
    auto sources = open_sources({spec}, options_of(worker, workers));
    if (!sources || sources->size() != 1) {
        ADD_FAILURE() << spec << ": " << (sources ? "not one source" : sources.error().message);
        return nullptr;
    }
    return std::move(sources->front());
}

std::string error_of(const std::string& spec, int worker = 0, int workers = 1) {
    const auto sources = open_sources({spec}, options_of(worker, workers));
    return sources ? "no error" : sources.error().message;
}

std::string pcap_port(const TempFile& file, const std::string& name = "net_pcap0") {
    return "dpdk:" + name + ",rx_pcap=" + file.path();
}

struct Seen {
    Bytes data;
    std::uint32_t wire_bytes = 0;
    TimeNs time_ns = 0;
    int source = 0;
};

// Whatever there is until nothing has come twenty times.
std::vector<Seen> drain(Source& source) {
    std::vector<Seen> seen;
    std::array<Packet, kBurstPackets> burst;
    for (int idle = 0; idle < 20; ++idle) {
        const std::size_t count = source.poll(burst);
        if (count != 0) idle = 0;
        for (const Packet& packet : std::span(burst).first(count)) {
            EXPECT_EQ(packet.link, LinkType::ethernet);
            seen.push_back({Bytes(packet.data, packet.data + packet.captured_bytes), packet.wire_bytes, packet.time_ns,
                            packet.source});
        }
    }
    return seen;
}

Bytes numbered(std::uint32_t number, std::size_t payload_bytes) {
    Bytes payload(payload_bytes, static_cast<std::uint8_t>(number));
    for (std::size_t i = 0; i < 4; ++i) payload[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
    return ethernet(0x0800, ipv4(udp(payload)));
}

Bytes capture_of(const std::vector<Bytes>& packets, TimeNs first_ns, TimeNs apart_ns) {
    const PcapFormat format;
    Bytes body = pcap_header(format);
    for (std::size_t i = 0; i < packets.size(); ++i) {
        const Bytes packet = pcap_packet(format, first_ns + static_cast<TimeNs>(i) * apart_ns, packets[i]);
        body.insert(body.end(), packet.begin(), packet.end());
    }
    return body;
}

// Whole microseconds, as a capture file has them.
TimeNs now_us() { return wall_clock_ns() / 1000 * 1000; }

// The first of all tests: it is the one that starts DPDK.
TEST(DpdkEal, LeavesTheThreadAndItsProcessAsTheyWere) {
    cpu_set_t cpus_before, cpus_after;
    ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof cpus_before, &cpus_before), 0);
    std::array<struct sigaction, 32> before{}, after{};
    for (std::size_t number = 1; number < before.size(); ++number)
        sigaction(static_cast<int>(number), nullptr, &before[number]);
    const auto started = start_eal(options_of().dpdk);
    ASSERT_TRUE(started) << started.error().message;
    ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof cpus_after, &cpus_after), 0);
    EXPECT_TRUE(CPU_EQUAL(&cpus_before, &cpus_after));
    for (std::size_t number = 1; number < before.size(); ++number) {
        sigaction(static_cast<int>(number), nullptr, &after[number]);
        EXPECT_EQ(before[number].sa_handler, after[number].sa_handler) << number;
    }
    EXPECT_EQ(rte_eth_dev_count_avail(), 0) << "no device may be taken before it is asked for";
}

TEST(DpdkSource, GivesEveryPacketByteForByteWithItsTimeStamp) {
    std::vector<Bytes> packets;
    for (std::uint32_t number = 0; number < 1000; ++number) packets.push_back(numbered(number, 4 + number * 7 % 1450));
    packets[500] = numbered(500, 8900);  // in several buffers
    packets[501] = numbered(501, 60'000);
    const TimeNs first_ns = now_us();
    const TempFile file(capture_of(packets, first_ns, 123'000));
    const auto source = open_one(pcap_port(file));
    ASSERT_TRUE(source);
    EXPECT_EQ(source->name(), pcap_port(file));
    const auto seen = drain(*source);
    ASSERT_EQ(seen.size(), packets.size());
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < seen.size(); ++i) {
        EXPECT_EQ(seen[i].data, packets[i]) << i;
        EXPECT_EQ(seen[i].wire_bytes, packets[i].size()) << i;
        EXPECT_EQ(seen[i].time_ns, first_ns + static_cast<TimeNs>(i) * 123'000) << i;
        EXPECT_EQ(seen[i].source, 0);
        bytes += packets[i].size();
    }
    EXPECT_EQ(source->counters().packets, packets.size());
    EXPECT_EQ(source->counters().bytes, bytes);
    EXPECT_EQ(source->counters().dropped_card + source->counters().dropped_spread, 0u);
    EXPECT_FALSE(source->at_end());  // a port has none
    EXPECT_FALSE(source->lossless());
    EXPECT_EQ(source->wait_fd(), -1);
}

TEST(DpdkSource, OldTimeStampsBeginNowAndKeepTheirDistances) {
    const std::vector<Bytes> packets(100, numbered(1, 172));
    const TempFile file(capture_of(packets, 1'000'000'000 * kNsPerSecond, 20 * kNsPerMs));
    const auto source = open_one(pcap_port(file));
    ASSERT_TRUE(source);
    const TimeNs before_ns = wall_clock_ns();
    const auto seen = drain(*source);
    ASSERT_EQ(seen.size(), packets.size());
    EXPECT_GE(seen[0].time_ns, before_ns);
    EXPECT_LE(seen[0].time_ns, wall_clock_ns());
    for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_EQ(seen[i].time_ns - seen[i - 1].time_ns, 20 * kNsPerMs) << i;
}

TEST(DpdkSource, SeveralFilesBehindOnePortAreAllRead) {
    const TempFile one(capture_of({numbered(1, 50), numbered(2, 50)}, now_us(), 1000));
    const TempFile two(capture_of({numbered(3, 50)}, now_us(), 1000));
    const auto source = open_one(pcap_port(one) + ",rx_pcap=" + two.path());
    ASSERT_TRUE(source);
    EXPECT_EQ(drain(*source).size(), 3u);
}

// A packet of flow `number` in one direction or the other, the way back with a VLAN tag.
Bytes of_flow(std::uint32_t number, bool back) {
    Bytes frame = ethernet(0x0800, ipv4(udp(Bytes(172, 0x55), static_cast<std::uint16_t>(10'000 + number), 20'000)));
    frame[28] = static_cast<std::uint8_t>(number >> 8);
    frame[29] = static_cast<std::uint8_t>(number);
    if (!back) return frame;
    std::swap_ranges(frame.begin() + 26, frame.begin() + 30, frame.begin() + 30);
    std::swap_ranges(frame.begin() + 34, frame.begin() + 36, frame.begin() + 36);
    const Bytes vlan{0x81, 0x00, 0x00, 0x07};
    frame.insert(frame.begin() + 12, vlan.begin(), vlan.end());
    return frame;
}

TEST(DpdkSource, SeveralWorkersShareAPortByCallAndNothingIsLost) {
    constexpr int kWorkers = 3;
    constexpr std::uint32_t kFlows = 500;
    std::vector<Bytes> packets;
    for (std::uint32_t flow = 0; flow < kFlows; ++flow)
        for (const bool back : {false, true}) packets.push_back(of_flow(flow, back));
    const TimeNs first_ns = now_us();
    const TempFile file(capture_of(packets, first_ns, 1000));
    std::vector<std::unique_ptr<Source>> workers;
    for (int worker = 0; worker < kWorkers; ++worker) workers.push_back(open_one(pcap_port(file), worker, kWorkers));
    std::map<Bytes, int> worker_of;
    std::uint64_t sum = 0;
    for (int worker = 0; worker < kWorkers; ++worker) {
        const auto seen = drain(*workers[static_cast<std::size_t>(worker)]);
        EXPECT_GT(seen.size(), packets.size() / 10) << worker;
        for (const Seen& each : seen) {
            EXPECT_TRUE(worker_of.emplace(each.data, worker).second);
            const auto at = std::ranges::find(packets, each.data) - packets.begin();
            EXPECT_EQ(each.time_ns, first_ns + at * 1000);
        }
        sum += workers[static_cast<std::size_t>(worker)]->counters().packets;
    }
    EXPECT_EQ(worker_of.size(), packets.size());
    EXPECT_EQ(sum, packets.size());
    for (std::uint32_t flow = 0; flow < kFlows; ++flow)
        EXPECT_EQ(worker_of[of_flow(flow, false)], worker_of[of_flow(flow, true)]) << flow;
    for (const auto& worker : workers) EXPECT_EQ(worker->counters().dropped_spread, 0u);
}

TEST(DpdkSource, WhatAStandingWorkerHasNoRoomForIsCounted) {
    std::vector<Bytes> packets;
    for (std::uint32_t i = 0; i < 12'000; ++i) packets.push_back(of_flow(i, false));
    const TempFile file(capture_of(packets, now_us(), 1000));
    const auto first = open_one(pcap_port(file), 0, 2);
    const auto second = open_one(pcap_port(file), 1, 2);
    ASSERT_TRUE(first && second);
    const auto kept = drain(*first).size();
    const auto handed = drain(*second).size();
    EXPECT_GT(handed, 4000u);
    EXPECT_GT(first->counters().dropped_spread, 0u);
    EXPECT_EQ(kept + handed + first->counters().dropped_spread, packets.size());
    EXPECT_EQ(second->counters().dropped_spread, 0u);  // counted once
}

// A tap says that it has queues and a hash, but the kernel fills them by another one.
TEST(DpdkSource, ASoftwarePortThatClaimsToHashIsNotBelieved) {
    const std::string spec = fmt::format("dpdk:net_tap0,iface=dpt{}", getpid() % 100'000);
    if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "no tap to be had";
    const auto first = open_one(spec, 0, 2);
    const auto second = open_one(spec, 1, 2);
    ASSERT_TRUE(first && second);
    const int out = socket(AF_PACKET, SOCK_RAW, 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(if_nametoindex(spec.substr(spec.find('=') + 1).c_str()));
    ASSERT_EQ(bind(out, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    std::map<Bytes, int> worker_of;
    const auto take = [&worker_of](Source& source, int worker) {
        for (const Seen& each : drain(source)) {
            if (std::ranges::count(each.data, 0x55) < 160) continue;  // the system's own chatter
            EXPECT_TRUE(worker_of.emplace(each.data, worker).second);
            EXPECT_LT(std::abs(each.time_ns - wall_clock_ns()), kNsPerSecond);
        }
    };
    for (std::uint32_t flow = 0; flow < 200; ++flow) {
        for (const bool back : {false, true}) {
            const Bytes frame = of_flow(flow, back);
            ASSERT_EQ(send(out, frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()));
        }
        if (flow % 50 != 49) continue;
        take(*first, 0);
        take(*second, 1);
    }
    close(out);
    EXPECT_EQ(worker_of.size(), 400u);
    std::array<int, 2> share{};
    for (const auto& [frame, worker] : worker_of) ++share[static_cast<std::size_t>(worker)];
    EXPECT_THAT(share, testing::Each(testing::Gt(50)));
    for (std::uint32_t flow = 0; flow < 200; ++flow)
        EXPECT_EQ(worker_of[of_flow(flow, false)], worker_of[of_flow(flow, true)]) << flow;
}

TEST(DpdkSource, PacketsWithoutAStampGetTheTimeOfTheirBurst) {
    const auto source = open_one("dpdk:net_null0,size=214");
    ASSERT_TRUE(source);
    std::array<Packet, kBurstPackets> burst;
    const TimeNs before_ns = wall_clock_ns();
    ASSERT_EQ(source->poll(burst), kBurstPackets);
    for (const Packet& packet : burst) {
        EXPECT_EQ(packet.captured_bytes, 214u);
        EXPECT_EQ(packet.time_ns, burst[0].time_ns);
    }
    EXPECT_GE(burst[0].time_ns, before_ns);
    EXPECT_LE(burst[0].time_ns, wall_clock_ns());
    EXPECT_EQ(source->poll(std::span(burst).first(5)), 5u);
}

TEST(DpdkSource, EachSourceHasItsPlaceInTheList) {
    const TempFile file(capture_of({numbered(1, 50)}, now_us(), 1000));
    auto sources = open_sources({"dpdk:net_null0", pcap_port(file)}, options_of());
    ASSERT_TRUE(sources) << sources.error().message;
    ASSERT_EQ(sources->size(), 2u);
    const auto seen = drain(*sources->at(1));
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].source, 1);
}

TEST(DpdkSource, APortIsASourceOnceAndAgainWhenItWasClosed) {
    const TempFile file(capture_of({numbered(1, 50)}, now_us(), 1000));
    for (int time = 0; time < 3; ++time) {
        const auto source = open_one(pcap_port(file));
        ASSERT_TRUE(source);
        EXPECT_EQ(error_of(pcap_port(file)), pcap_port(file) + ": is open already: each port can be a source once");
        EXPECT_EQ(drain(*source).size(), 1u);
    }
    EXPECT_EQ(rte_eth_dev_count_avail(), 0);
}

TEST(DpdkSource, NamesWhatIsWrong) {
    EXPECT_THAT(error_of("dpdk:0000:3b:1f.7"), StartsWith("dpdk:0000:3b:1f.7: no such device, or no driver"));
    EXPECT_THAT(error_of("dpdk:rubbish"), StartsWith("dpdk:rubbish: no such device, or no driver"));
    EXPECT_THAT(error_of("dpdk:net_pcap0,rx_pcap=/nowhere.pcap"),
                HasSubstr("/nowhere.pcap: No such file or directory"));
    EXPECT_THAT(error_of("dpdk:net_af_packet0,iface=nope0"), HasSubstr("No such device"));
    EXPECT_THAT(error_of("dpdk:net_null0", 1, 2), StartsWith("dpdk:net_null0: worker 1 found it closed"));
}

// A port that the test feeds, with packets of a pool of its own.
class RingPort {
public:
    RingPort()
        : pool_(rte_pktmbuf_pool_create("test", 1023, 0, 0, RTE_PKTMBUF_HEADROOM + 512, SOCKET_ID_ANY)),
          ring_(rte_ring_create("test", 1024, SOCKET_ID_ANY, 0)) {
        rte_ring* rings[] = {ring_};
        EXPECT_GE(rte_eth_from_rings(name_.c_str(), rings, 1, rings, 1, 0), 0);
    }
    ~RingPort() {
        rte_ring_free(ring_);
        rte_mempool_free(pool_);
    }
    RingPort(const RingPort&) = delete;
    RingPort& operator=(const RingPort&) = delete;

    void feed(const Bytes& bytes) {
        rte_mbuf* first = nullptr;
        for (std::size_t at = 0; at < bytes.size();) {
            rte_mbuf* piece = rte_pktmbuf_alloc(pool_);
            ASSERT_NE(piece, nullptr);
            const auto size = static_cast<std::uint16_t>(std::min<std::size_t>(512, bytes.size() - at));
            std::copy_n(bytes.data() + at, size, reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(piece, size)));
            at += size;
            if (first == nullptr)
                first = piece;
            else
                ASSERT_EQ(rte_pktmbuf_chain(first, piece), 0);
        }
        ASSERT_EQ(rte_ring_enqueue(ring_, first), 0);
    }
    [[nodiscard]] std::string spec() const { return "dpdk:net_ring_" + name_; }
    [[nodiscard]] unsigned out() const { return rte_mempool_in_use_count(pool_); }

private:
    static inline int made_ = 0;  // such a device stays known when its port is closed
    std::string name_ = fmt::format("fed{}", ++made_);
    rte_mempool* pool_;
    rte_ring* ring_;
};

TEST(DpdkSource, PacketsLiveUntilTheNextPollAndGoBackThen) {
    RingPort port;
    auto source = open_one(port.spec());
    ASSERT_TRUE(source);
    std::array<Packet, kBurstPackets> burst;
    const Bytes large = numbered(7, 3000), small = numbered(8, 100);
    for (int i = 0; i < 100; ++i) port.feed(i % 2 == 0 ? large : small);
    const unsigned all = port.out();
    ASSERT_EQ(source->poll(burst), kBurstPackets);
    EXPECT_EQ(port.out(), all);
    for (std::size_t i = 0; i < burst.size(); ++i) {
        const Bytes got(burst[i].data, burst[i].data + burst[i].captured_bytes);
        EXPECT_EQ(got, i % 2 == 0 ? large : small) << i;
    }
    ASSERT_EQ(source->poll(burst), 100 - kBurstPackets);
    EXPECT_LT(port.out(), all);
    EXPECT_EQ(source->poll(burst), 0u);
    EXPECT_EQ(port.out(), 0u);
    port.feed(large);
    ASSERT_EQ(source->poll(burst), 1u);
    source.reset();  // with a packet in its hands
    EXPECT_EQ(port.out(), 0u);
}

TEST(DpdkSource, PacketsOnTheWayBetweenWorkersGoBackWhenThePortIsClosed) {
    RingPort port;
    auto first = open_one(port.spec(), 0, 2);
    auto second = open_one(port.spec(), 1, 2);
    ASSERT_TRUE(first && second);
    for (std::uint32_t flow = 0; flow < 200; ++flow) port.feed(of_flow(flow, false));
    const auto kept = drain(*first).size();
    EXPECT_GT(kept, 0u);
    EXPECT_EQ(port.out(), 200 - kept);
    first.reset();
    second.reset();
    EXPECT_EQ(port.out(), 0u);
}

}  // namespace
}  // namespace spantape
