// SPDX-License-Identifier: AGPL-3.0-or-later
// The worker fed by a DPDK port: poll -> parse -> look-up -> ring -> buffers given back, one thread. The port is DPDK's
// own ring port, which costs what a card's descriptor ring does in memory, and nothing on a bus. Beside it its floor in
// the same run: the same port polled, look-up and copy of each frame alone, buffers given back. And fed by DPDK's
// capture-file port, which reads through libpcap and copies.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <unistd.h>

#include "bench/traffic.h"
#include "capture/source/dpdk_eal.h"
#include "capture/worker.h"
#include "tools/gen/sink.h"

namespace spantape::bench {
namespace {

constexpr std::size_t kMostStreams = 200'000;
constexpr std::uint32_t kMemoryMib = 512;
constexpr unsigned kBufferBytes = RTE_PKTMBUF_HEADROOM + 256;

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "dpdk_bench: %s\n", why.c_str());
    std::exit(1);
}

// One pool and ring for all benchmarks of this process; a port for each.
class Card {
public:
    static Card& get() {
        static Card card;
        return card;
    }

    // The source of a new port on the ring.
    std::unique_ptr<Source> open() {
        while (!rte_ring_empty(ring_)) release_one();
        const std::string name = fmt::format("bench{}", ++ports_);
        if (rte_eth_from_rings(name.c_str(), &ring_, 1, &ring_, 1, 0) < 0) give_up("no port");
        auto sources = open_sources({"dpdk:net_ring_" + name}, {.dpdk = kOptions});
        if (!sources) give_up(sources.error().message);
        return std::move(sources->front());
    }

    // All packets of the traffic as they stand, in their order; the last round's were given back.
    void load(Traffic& traffic) {
        for (std::size_t first = 0; first < traffic.size(); first += kBurstPackets) {
            const auto count = static_cast<unsigned>(std::min(kBurstPackets, traffic.size() - first));
            std::array<rte_mbuf*, kBurstPackets> packets;
            if (rte_pktmbuf_alloc_bulk(pool_, packets.data(), count) != 0) give_up("buffers are missing");
            for (unsigned i = 0; i < count; ++i)
                std::memcpy(rte_pktmbuf_append(packets[i], kPacketBytes), traffic.at(first + i), kPacketBytes);
            if (rte_ring_enqueue_bulk(ring_, reinterpret_cast<void**>(packets.data()), count, nullptr) != count)
                give_up("the ring is full");
        }
    }

    static inline const DpdkOptions kOptions{.huge = DpdkHuge::automatic, .memory_mib = kMemoryMib};

private:
    Card() {
        if (const auto started = start_eal(kOptions); !started) give_up(started.error().message);
        pool_ = rte_pktmbuf_pool_create_by_ops("bench", kMostStreams + 1024, 0, 0, kBufferBytes, SOCKET_ID_ANY,
                                               "ring_sp_sc");
        ring_ = rte_ring_create("bench", kMostStreams, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
        if (pool_ == nullptr || ring_ == nullptr) give_up("no memory for the packets");
    }
    void release_one() {
        void* packet = nullptr;
        if (rte_ring_dequeue(ring_, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    }

    rte_mempool* pool_ = nullptr;
    rte_ring* ring_ = nullptr;
    int ports_ = 0;
};

// One round: every packet that lies in the port, and one poll more, which gives the last ones back.
template <class Take>
std::size_t drain(Source& source, std::span<Packet> burst, Take take) {
    std::size_t packets = 0;
    while (const std::size_t count = source.poll(burst)) {
        take(burst.first(count));
        packets += count;
    }
    return packets;
}

// Loading, which also makes the packets new ones, is not part of what is timed.
template <class Take>
void run(benchmark::State& state, Traffic& traffic, Take take) {
    Card& card = Card::get();
    const auto source = card.open();
    std::vector<Packet> burst(kBurstPackets);
    std::size_t taken = 0, rounds = 0;
    const auto load = [&] {
        traffic.advance();
        card.load(traffic);
        ++rounds;
    };
    for (int warm = 0; warm < 90; ++warm) {  // every page of every ring is touched
        load();
        taken += drain(*source, burst, take);
    }
    for (auto _ : state) {
        state.PauseTiming();
        load();
        state.ResumeTiming();
        taken += drain(*source, burst, take);
    }
    if (taken != rounds * traffic.size()) state.SkipWithError("not every packet came out of the port");
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(traffic.size()));
}

// A worker that no call claims anything of: all goes into look-back rings.
struct LookBack {
    explicit LookBack(std::size_t streams)
        : worker({.max_streams = static_cast<std::uint32_t>(streams), .ring_bytes = kRingBytes}, {}, links) {}
    void check(benchmark::State& state) const {
        const WorkerCounters& seen = worker.counters();
        const std::uint64_t pushed_out = seen.drops[static_cast<std::size_t>(DropReason::unwatched)].get();
        if (seen.held.get() + pushed_out != seen.packets.get())
            state.SkipWithError("not every frame was put on a ring");
    }

    Wakeup control, signalling;
    WorkerLinks links{16, control, signalling};
    Worker worker;
};

// Until the next call.
std::span<const std::uint8_t* const> addresses(std::span<const Packet> burst) {
    static std::array<const std::uint8_t*, kBurstPackets> packets;
    std::ranges::transform(burst, packets.begin(), &Packet::data);
    return std::span(packets).first(burst.size());
}

void DpdkWorker(benchmark::State& state) {
    const auto streams = static_cast<std::size_t>(state.range(0));
    Traffic traffic(streams);
    LookBack look_back(streams);
    run(state, traffic, [&](std::span<const Packet> burst) { look_back.worker.process(burst); });
    look_back.check(state);
}
BENCHMARK(DpdkWorker)->Arg(2'000)->Arg(20'000)->Arg(200'000)->Unit(benchmark::kMillisecond);

void DpdkFloorLookupCopy(benchmark::State& state) {
    Traffic traffic(static_cast<std::size_t>(state.range(0)));
    LookupCopy floor(traffic);
    run(state, traffic, [&](std::span<const Packet> burst) { floor.take(addresses(burst)); });
    benchmark::DoNotOptimize(floor.rings());
}
BENCHMARK(DpdkFloorLookupCopy)->Arg(2'000)->Arg(20'000)->Arg(200'000)->Unit(benchmark::kMillisecond);

// A capture file of the traffic, and what is read of it before the clock starts: every stream's first rings' worth.
class CaptureFile {
public:
    explicit CaptureFile(Traffic& traffic) : rounds_(kPackets / traffic.size()) {
        auto sink = gen::open_pcap_sink(path_);
        if (!sink) give_up(sink.error().message);
        for (std::size_t round = 0; round < rounds_; ++round) {
            traffic.advance();
            for (std::size_t place = 0; place < traffic.size(); ++place)
                static_cast<void>(
                    (*sink)->put(static_cast<TimeNs>(round) * 20 * kNsPerMs, {traffic.at(place), kPacketBytes}));
        }
        if (const auto finished = (*sink)->finish(); !finished) give_up(finished.error().message);
        packets_ = rounds_ * traffic.size();
    }
    ~CaptureFile() { std::filesystem::remove(path_); }
    CaptureFile(const CaptureFile&) = delete;
    CaptureFile& operator=(const CaptureFile&) = delete;

    std::unique_ptr<Source> open() {
        static int ports = 0;
        Card::get();  // has DPDK started
        auto sources =
            open_sources({fmt::format("dpdk:net_pcap{},rx_pcap={}", ++ports, path_)}, {.dpdk = Card::kOptions});
        if (!sources) give_up(sources.error().message);
        return std::move(sources->front());
    }
    [[nodiscard]] std::size_t packets() const { return packets_; }

private:
    static constexpr std::size_t kPackets = 2'000'000;

    std::string path_ = fmt::format("/var/tmp/spantape-bench-{}.pcap", getpid());
    std::size_t rounds_;
    std::size_t packets_ = 0;
};

// The file once, its first half as the warm-up.
template <class Take>
void run_file(benchmark::State& state, Traffic& traffic, Take take) {
    CaptureFile file(traffic);
    std::vector<Packet> burst(kBurstPackets);
    for (auto _ : state) {
        const auto source = file.open();
        const auto read = [&](std::size_t until) {
            for (std::size_t packets = 0; packets < until;) {
                const std::size_t count = source->poll(burst);
                take(std::span<const Packet>(burst).first(count));
                packets += count;
            }
        };
        const std::size_t half = file.packets() / 2 / kBurstPackets * kBurstPackets;
        read(half);
        const TimeNs began_ns = monotonic_ns();
        read(file.packets() - half);
        state.SetIterationTime(seconds(monotonic_ns() - began_ns));
        state.SetItemsProcessed(static_cast<std::int64_t>(file.packets() - half));
    }
}

void DpdkFileWorker(benchmark::State& state) {
    const auto streams = static_cast<std::size_t>(state.range(0));
    Traffic traffic(streams);
    LookBack look_back(streams);
    run_file(state, traffic, [&](std::span<const Packet> burst) { look_back.worker.process(burst); });
    look_back.check(state);
}
BENCHMARK(DpdkFileWorker)->Arg(2'000)->Arg(20'000)->Arg(200'000)->UseManualTime()->Iterations(1);

void DpdkFileFloorLookupCopy(benchmark::State& state) {
    Traffic traffic(static_cast<std::size_t>(state.range(0)));
    LookupCopy floor(traffic);
    run_file(state, traffic, [&](std::span<const Packet> burst) { floor.take(addresses(burst)); });
    benchmark::DoNotOptimize(floor.rings());
}
BENCHMARK(DpdkFileFloorLookupCopy)->Arg(2'000)->Arg(20'000)->Arg(200'000)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace spantape::bench

BENCHMARK_MAIN();
