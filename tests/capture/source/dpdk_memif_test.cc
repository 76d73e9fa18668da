// SPDX-License-Identifier: AGPL-3.0-or-later
// Packets from another process by DPDK's shared memory port: this program runs itself a second time, which connects as
// the client and sends.
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/source/dpdk_eal.h"
#include "capture/source/source.h"
#include "tests/capture/source/capture_builder.h"

namespace spantape {
namespace {

using namespace test;

constexpr std::uint32_t kPackets = 5000;
DpdkOptions dpdk_options() { return {.huge = DpdkHuge::never, .memory_mib = 128, .eal_arguments = {}}; }

std::string port(const std::string& socket, const char* role) {
    return fmt::format("net_memif0,role={},socket={},socket-abstract=no", role, socket);
}

Bytes numbered(std::uint32_t number) {
    Bytes payload(20 + number % 1000, static_cast<std::uint8_t>(number));
    std::memcpy(payload.data(), &number, sizeof number);
    return ethernet(0x0800, ipv4(udp(payload)));
}

// --- the other process

bool wait_for_link(std::uint16_t port_id) {
    rte_eth_link link{};
    for (int turn = 0; turn < 1000; ++turn) {
        if (rte_eth_link_get_nowait(port_id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

bool send_packet(std::uint16_t port_id, rte_mempool* pool, const Bytes& packet) {
    rte_mbuf* buffer = rte_pktmbuf_alloc(pool);
    if (buffer == nullptr) return false;
    char* room = rte_pktmbuf_append(buffer, static_cast<std::uint16_t>(packet.size()));
    if (room == nullptr) return false;
    std::memcpy(room, packet.data(), packet.size());
    for (int turn = 0; turn < 100'000; ++turn) {
        if (rte_eth_tx_burst(port_id, 0, &buffer, 1) == 1) return true;
        std::this_thread::sleep_for(std::chrono::microseconds(100));  // the other side has not read yet
    }
    return false;
}

int send(const std::string& socket) {
    if (!start_eal(dpdk_options()) || rte_dev_probe(port(socket, "client").c_str()) != 0) return 2;
    rte_mempool* pool = rte_pktmbuf_pool_create("sender", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    const rte_eth_conf plain{};
    constexpr std::uint16_t kPort = 0, kSlots = 512;
    if (pool == nullptr || rte_eth_dev_configure(kPort, 1, 1, &plain) != 0) return 3;
    if (rte_eth_rx_queue_setup(kPort, 0, kSlots, SOCKET_ID_ANY, nullptr, pool) != 0) return 4;
    if (rte_eth_tx_queue_setup(kPort, 0, kSlots, SOCKET_ID_ANY, nullptr) != 0) return 5;
    if (rte_eth_dev_start(kPort) != 0 || !wait_for_link(kPort)) return 6;
    for (std::uint32_t number = 0; number < kPackets; ++number)
        if (!send_packet(kPort, pool, numbered(number))) return 7;
    char end = 0;
    while (read(STDIN_FILENO, &end, 1) > 0) {  // what was not read goes with us
    }
    return 0;
}

// --- this one

class Sender {
public:
    explicit Sender(std::string socket) {
        std::array<int, 2> pipe{};
        if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return;
        end_ = pipe[1];
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, pipe[0], STDIN_FILENO);
        std::string name = "sender", what = "send";
        std::array<char*, 4> arguments{name.data(), what.data(), socket.data(), nullptr};
        if (posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, arguments.data(), environ) != 0) process_ = 0;
        posix_spawn_file_actions_destroy(&actions);
        close(pipe[0]);
    }
    ~Sender() {
        if (process_ != 0) end();
    }
    int end() {
        close(end_);
        int status = -1;
        waitpid(std::exchange(process_, 0), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

private:
    pid_t process_ = 0;
    int end_ = -1;
};

TEST(DpdkMemif, GivesWhatAnotherProcessSends) {
    const std::string socket = fmt::format("{}/spantape-memif-{}.sock", testing::TempDir(), getpid());
    auto sources =
        open_sources({"dpdk:" + port(socket, "server")}, {.worker = 0, .workers = 1, .dpdk = dpdk_options()});
    ASSERT_TRUE(sources) << sources.error().message;
    Source& source = *sources->front();
    Sender sender(socket);
    std::array<Packet, kBurstPackets> burst;
    std::uint32_t next = 0;
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (next < kPackets && std::chrono::steady_clock::now() < patience) {
        const std::size_t count = source.poll(burst);
        for (const Packet& packet : std::span(burst).first(count)) {
            const Bytes wanted = numbered(next++);
            ASSERT_EQ(Bytes(packet.data, packet.data + packet.captured_bytes), wanted) << "packet " << next;
        }
    }
    EXPECT_EQ(next, kPackets);
    EXPECT_EQ(sender.end(), 0);
    const SourceCounters counters = source.counters();
    EXPECT_EQ(counters.packets, kPackets);
    EXPECT_EQ(counters.dropped_kernel + counters.dropped_card, 0u);
    std::error_code ignored;
    std::filesystem::remove(socket, ignored);
}

}  // namespace
}  // namespace spantape

int main(int argc, char** argv) {
    if (argc == 3 && std::string_view(argv[1]) == "send") return spantape::send(argv[2]);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
