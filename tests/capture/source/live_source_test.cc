// SPDX-License-Identifier: AGPL-3.0-or-later
// Live capture on interfaces of a network namespace of the test's own; needs root, iproute2 and a kernel with veth.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <thread>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/source/source.h"
#include "tests/capture/packet/packet_builder.h"

namespace spantape {
namespace {

using test::Bytes;
using testing::HasSubstr;

bool run(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

// What the tests send is told from the system's own chatter by its EtherType's payload: UDP to this port.
constexpr std::uint16_t kPort = 47'000;

Bytes frame(std::uint32_t number, std::uint16_t source_port = 40'000, std::size_t payload_bytes = 172) {
    Bytes payload(payload_bytes);
    for (std::size_t i = 0; i < 4; ++i) payload[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
    return test::ethernet(0x0800, test::ipv4(test::udp(payload, source_port, kPort)));
}

// The same with addresses and ports exchanged.
Bytes reversed(Bytes bytes) {
    std::swap_ranges(bytes.begin() + 26, bytes.begin() + 30, bytes.begin() + 30);
    std::swap_ranges(bytes.begin() + 34, bytes.begin() + 36, bytes.begin() + 36);
    return bytes;
}

class FrameSender {
public:
    explicit FrameSender(const std::string& interface) : fd_(socket(AF_PACKET, SOCK_RAW, 0)) {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
        EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << interface;
    }
    ~FrameSender() { close(fd_); }
    FrameSender(const FrameSender&) = delete;
    FrameSender& operator=(const FrameSender&) = delete;

    bool send(const Bytes& bytes) const {
        return ::send(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
    }

private:
    int fd_;
};

struct Seen {
    std::uint32_t number = 0;
    std::uint32_t captured_bytes = 0;
    std::uint32_t wire_bytes = 0;
    TimeNs time_ns = 0;
    int source = 0;
    std::array<std::uint16_t, 2> ports{};
};

// Polls until `expected` packets of the tests came or `limit_ms` are over.
std::vector<Seen> collect(Source& source, std::size_t expected, int limit_ms = 5000) {
    std::vector<Seen> seen;
    std::array<Packet, kBurstPackets> burst;
    const TimeNs until_ns = monotonic_ns() + limit_ms * kNsPerMs;
    while (seen.size() < expected && monotonic_ns() < until_ns && !source.at_end()) {
        const std::size_t count = source.poll(burst);
        for (const Packet& packet : std::span(burst).first(count)) {
            if (packet.captured_bytes < 46 || packet.data[12] != 8 || packet.data[13] != 0) continue;
            const auto word = [&packet](std::size_t at) {
                return static_cast<std::uint16_t>(packet.data[at] << 8 | packet.data[at + 1]);
            };
            const std::array<std::uint16_t, 2> ports{word(34), word(36)};
            if (ports[0] != kPort && ports[1] != kPort) continue;
            seen.push_back({static_cast<std::uint32_t>(word(42) << 16 | word(44)), packet.captured_bytes,
                            packet.wire_bytes, packet.time_ns, packet.source, ports});
        }
        if (count == 0) {
            pollfd waiting{source.wait_fd(), POLLIN, 0};
            ::poll(&waiting, 1, 10);
        }
    }
    return seen;
}

// How often each number was seen: a packet seen twice or never stands out.
std::map<std::uint32_t, int> tally(const std::vector<Seen>& seen) {
    std::map<std::uint32_t, int> times;
    for (const Seen& each : seen) ++times[each.number];
    return times;
}

class LiveSource : public testing::Test {
protected:
    static void SetUpTestSuite() {
        if (geteuid() != 0) {
            skip_ = "needs root";
        } else if (unshare(CLONE_NEWNET) != 0) {
            skip_ = "no network namespace of our own to be had";
        } else if (!run("ip link set lo up")) {
            skip_ = "needs iproute2";
        }
    }

    void SetUp() override {
        if (!skip_.empty()) GTEST_SKIP() << skip_;
        run("ip link del spta");
        if (!run("ip link add spta type veth peer name sptb")) GTEST_SKIP() << "this kernel has no veth";
        ASSERT_TRUE(run("ip link set spta up") && run("ip link set sptb up"));
    }

    static std::unique_ptr<Source> open(const std::string& interface, SourceOptions options = {}) {
        auto sources = open_sources({"pcap:" + interface}, options);
        if (!sources) {
            ADD_FAILURE() << sources.error().message;
            return nullptr;
        }
        return std::move(sources->front());
    }

    static inline std::string skip_;
};

TEST_F(LiveSource, SeesEachPacketOfBothDirectionsOnce) {
    const auto source = open("sptb");
    EXPECT_FALSE(source->lossless());
    EXPECT_GE(source->wait_fd(), 0);
    EXPECT_EQ(source->name(), "pcap:sptb");
    const FrameSender incoming("spta");
    const FrameSender outgoing("sptb");
    const TimeNs began_ns = wall_clock_ns();
    constexpr std::uint32_t kPackets = 2000;
    for (std::uint32_t i = 0; i < kPackets; i += 2) {
        ASSERT_TRUE(incoming.send(frame(i)));
        ASSERT_TRUE(outgoing.send(frame(i + 1)));
    }
    const auto seen = collect(*source, kPackets);
    const auto times = tally(seen);
    ASSERT_EQ(seen.size(), kPackets);
    ASSERT_EQ(times.size(), kPackets);
    EXPECT_TRUE(collect(*source, 1, 50).empty());
    for (const Seen& each : seen) {
        ASSERT_EQ(each.captured_bytes, 14u + 20 + 8 + 172);
        ASSERT_EQ(each.wire_bytes, each.captured_bytes);
        ASSERT_GE(each.time_ns, began_ns - kNsPerMs);
        ASSERT_LE(each.time_ns, wall_clock_ns() + kNsPerMs);
    }
    EXPECT_TRUE(std::any_of(seen.begin(), seen.end(), [](const Seen& each) { return each.time_ns % 1000 != 0; }))
        << "no nanoseconds";
    EXPECT_GE(source->counters().packets, kPackets);
    EXPECT_GE(source->counters().bytes, kPackets * 214u);
    EXPECT_EQ(source->error(), "");
}

TEST_F(LiveSource, PollNeverBlocks) {
    const auto source = open("sptb");
    collect(*source, 1, 100);
    std::array<Packet, kBurstPackets> burst;
    const TimeNs began_ns = monotonic_ns();
    for (int i = 0; i < 100; ++i) source->poll(burst);
    EXPECT_LT(monotonic_ns() - began_ns, kNsPerSecond);
}

TEST_F(LiveSource, SeesLoopbackPacketsOnceAndSaysWhatTheSnapLengthCut) {
    const auto source = open("lo");
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(kPort);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (std::uint32_t i = 0; i < 100; ++i) {
        const std::array<std::uint8_t, 60> payload{0, 0, 0, static_cast<std::uint8_t>(i)};
        sendto(fd, payload.data(), payload.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    EXPECT_EQ(tally(collect(*source, 100)).size(), 100u);
    const Bytes largest(65'507);
    sendto(fd, largest.data(), largest.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    close(fd);
    const auto seen = collect(*source, 2, 300);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].captured_bytes, 65'535u);
    EXPECT_EQ(seen[0].wire_bytes, 14u + 20 + 8 + 65'507);
}

TEST_F(LiveSource, GivesVlanTagsBackThatTheKernelTookOff) {
    const auto source = open("sptb");
    const FrameSender sender("spta");
    const Bytes inner = frame(1);
    const Bytes tagged = test::ethernet(0x8100, test::tag(77, 0x0800, Bytes(inner.begin() + 14, inner.end())));
    ASSERT_TRUE(sender.send(tagged));
    std::array<Packet, kBurstPackets> burst;
    const TimeNs until_ns = monotonic_ns() + 5 * kNsPerSecond;
    while (monotonic_ns() < until_ns) {
        const std::size_t count = source->poll(burst);
        for (const Packet& packet : std::span(burst).first(count)) {
            if (packet.captured_bytes == tagged.size() && std::equal(tagged.begin(), tagged.end(), packet.data)) return;
        }
    }
    FAIL() << "the tagged packet never came";
}

TEST_F(LiveSource, SharedByTwoWorkersGivesEachPacketToOneAndBothDirectionsToTheSame) {
    const SourceOptions first{.worker = 0, .workers = 2, .fanout_group = getpid()};
    const SourceOptions second{.worker = 1, .workers = 2, .fanout_group = getpid()};
    const FrameSender sender("spta");
    const std::array sources{open("sptb", first), open("sptb", second)};
    constexpr std::uint32_t kFlows = 200;
    constexpr std::uint32_t kPackets = 10 * kFlows;
    for (std::uint32_t i = 0; i < kPackets; ++i) {
        const Bytes bytes = frame(i, static_cast<std::uint16_t>(20'000 + 2 * (i % kFlows)));
        ASSERT_TRUE(sender.send(i % 3 == 0 ? reversed(bytes) : bytes));
    }
    std::map<std::uint32_t, int> times;
    std::map<std::uint16_t, std::size_t> worker_of_flow;
    for (std::size_t worker = 0; worker < sources.size(); ++worker) {
        const auto seen = collect(*sources[worker], kPackets, 700);
        EXPECT_GT(seen.size(), kPackets / 10) << "worker " << worker;
        for (const Seen& each : seen) {
            ++times[each.number];
            const std::uint16_t flow = each.ports[0] == kPort ? each.ports[1] : each.ports[0];
            EXPECT_EQ(worker_of_flow.emplace(flow, worker).first->second, worker) << "flow " << flow;
        }
    }
    EXPECT_EQ(times.size(), kPackets);
    EXPECT_TRUE(std::all_of(times.begin(), times.end(), [](const auto& each) { return each.second == 1; }));
}

TEST_F(LiveSource, WorkersShareSeveralInterfaces) {
    for (int worker = 0; worker < 2; ++worker) {
        const auto sources =
            open_sources({"pcap:spta", "pcap:sptb"}, {.worker = worker, .workers = 2, .fanout_group = getpid()});
        EXPECT_TRUE(sources) << sources.error().message;
    }
}

TEST_F(LiveSource, CountsWhatTheKernelDropped) {
    const auto source = open("sptb", {.kernel_ring_bytes = 1u << 20});
    const FrameSender sender("spta");
    constexpr std::uint32_t kPackets = 20'000;
    for (std::uint32_t i = 0; i < kPackets; ++i) ASSERT_TRUE(sender.send(frame(i)));
    const std::size_t seen = collect(*source, kPackets, 2500).size();
    EXPECT_LT(seen, kPackets);
    const SourceCounters counters = source->counters();
    EXPECT_GE(counters.dropped_kernel + counters.packets, kPackets);
    EXPECT_LE(counters.dropped_kernel + counters.packets, kPackets + 100);  // and the system's own
}

TEST_F(LiveSource, GoesOnWhenTheInterfaceComesBack) {
    const auto source = open("sptb");
    ASSERT_TRUE(run("ip link set sptb down"));
    collect(*source, 1, 1500);
    EXPECT_EQ(source->error(), "the interface is down");
    EXPECT_FALSE(source->at_end());
    ASSERT_TRUE(run("ip link set sptb up"));
    const FrameSender sender("spta");
    std::size_t seen = 0;
    for (std::uint32_t i = 0; i < 50 && seen == 0; ++i) {  // the carrier needs a moment
        sender.send(frame(i));
        seen = collect(*source, 1, 100).size();
    }
    EXPECT_GT(seen, 0u);
    collect(*source, 1'000'000, 1200);
    EXPECT_EQ(source->error(), "");
}

TEST_F(LiveSource, WaitsWhenTheInterfaceIsRemoved) {
    const auto source = open("sptb");
    ASSERT_TRUE(run("ip link del spta"));
    collect(*source, 1, 3000);
    EXPECT_FALSE(source->at_end());
    EXPECT_FALSE(source->error().empty());
    EXPECT_EQ(source->wait_fd(), -1);
    std::array<Packet, kBurstPackets> burst;
    EXPECT_EQ(source->poll(burst), 0u);
}

TEST_F(LiveSource, GoesOnWithAnotherInterfaceOfTheName) {
    const auto source = open("sptb");
    ASSERT_TRUE(run("ip link del spta") && run("ip link add spta type veth peer name sptb") &&
                run("ip link set spta up") && run("ip link set sptb up"));
    collect(*source, 1, 3000);
    EXPECT_EQ(source->error(), "");
    const FrameSender sender("spta");
    std::size_t seen = 0;
    for (std::uint32_t i = 0; i < 50 && seen == 0; ++i) {
        sender.send(frame(i));
        seen = collect(*source, 1, 100).size();
    }
    EXPECT_GT(seen, 0u);
}

TEST_F(LiveSource, NumbersPacketsByTheirPlaceInTheConfiguration) {
    auto sources = open_sources({"pcap:lo", "pcap:sptb"}, {});
    ASSERT_TRUE(sources) << sources.error().message;
    const FrameSender sender("spta");
    ASSERT_TRUE(sender.send(frame(9)));
    const auto seen = collect(*sources->at(1), 1);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].source, 1);
}

TEST_F(LiveSource, NamesWhyAnInterfaceCannotBeOpened) {
    const auto error_of = [](const std::string& spec) {
        const auto sources = open_sources({spec}, {});
        return sources ? "" : sources.error().message;
    };
    EXPECT_EQ(error_of("pcap:nosuch0"), "pcap:nosuch0: no such interface");
    ASSERT_TRUE(run("ip link set sptb down"));
    EXPECT_EQ(error_of("pcap:sptb"), "pcap:sptb: the interface is down");
    ASSERT_EQ(seteuid(65'534), 0);
    const std::string refused = error_of("pcap:spta");
    ASSERT_EQ(seteuid(0), 0);
    EXPECT_THAT(refused, HasSubstr("pcap:spta: no permission to capture"));
}

}  // namespace
}  // namespace spantape
