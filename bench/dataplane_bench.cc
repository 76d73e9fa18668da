// SPDX-License-Identifier: AGPL-3.0-or-later
// Parse -> look-up -> ring: the worker on packets in memory, one thread, streams in random order; beside its floor, the
// same memory walk doing only the look-up and the copy of a frame into the stream's ring.
#include <algorithm>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/traffic.h"
#include "capture/worker.h"

namespace spantape::bench {
namespace {

// Streams of no session: each ring keeps the newest frames, so the ring is written all around without a consumer.
void WorkerParseLookupRing(benchmark::State& state) {
    const auto streams = static_cast<std::size_t>(state.range(0));
    Traffic traffic(streams);
    Wakeup control, signalling;
    WorkerLinks links(16, control, signalling);
    Worker worker({.max_streams = static_cast<std::uint32_t>(streams), .ring_bytes = kRingBytes}, {}, links);
    std::vector<Packet> burst(kBurstPackets);
    TimeNs now_ns = kNsPerSecond;
    const auto pass = [&] {
        for (std::size_t first = 0; first < streams; first += kBurstPackets) {
            const std::size_t count = std::min(kBurstPackets, streams - first);
            for (std::size_t i = 0; i < count; ++i)
                burst[i] = {traffic.at(first + i), kPacketBytes, kPacketBytes, now_ns, LinkType::ethernet, 0};
            worker.process(std::span(burst).first(count));
        }
    };
    for (int warm = 0; warm < 90; ++warm) {  // every page of every ring is touched
        pass();
        traffic.advance();
    }
    for (auto _ : state) {
        pass();
        state.PauseTiming();
        traffic.advance();
        now_ns += 20 * kNsPerMs;
        state.ResumeTiming();
    }
    const WorkerCounters& seen = worker.counters();
    const std::uint64_t pushed_out = seen.drops[static_cast<std::size_t>(DropReason::unwatched)].get();
    if (seen.held.get() + pushed_out != seen.packets.get()) state.SkipWithError("not every frame was put on a ring");
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(streams));
}
BENCHMARK(WorkerParseLookupRing)->Arg(2'000)->Arg(20'000)->Arg(200'000)->Unit(benchmark::kMillisecond)->MinTime(1);
// Two workers beside each other, each with streams of its own: what they share is the machine's memory.
BENCHMARK(WorkerParseLookupRing)->Arg(20'000)->Unit(benchmark::kMillisecond)->MinTime(1)->UseRealTime()->Threads(2);

void FloorLookupCopy(benchmark::State& state) {
    const auto streams = static_cast<std::size_t>(state.range(0));
    Traffic traffic(streams);
    LookupCopy floor(traffic);
    std::vector<const std::uint8_t*> burst(kBurstPackets);
    const auto pass = [&] {
        for (std::size_t first = 0; first < streams; first += kBurstPackets) {
            const std::size_t count = std::min(kBurstPackets, streams - first);
            for (std::size_t i = 0; i < count; ++i) burst[i] = traffic.at(first + i);
            floor.take(std::span(burst).first(count));
        }
    };
    for (int warm = 0; warm < 90; ++warm) pass();
    for (auto _ : state) {
        pass();
        state.PauseTiming();
        traffic.advance();  // the packets' lines are as warm as the worker finds them
        state.ResumeTiming();
    }
    benchmark::DoNotOptimize(floor.rings());
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(streams));
}
BENCHMARK(FloorLookupCopy)->Arg(2'000)->Arg(20'000)->Arg(200'000)->Unit(benchmark::kMillisecond)->MinTime(1);

}  // namespace
}  // namespace spantape::bench

BENCHMARK_MAIN();
