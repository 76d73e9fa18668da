// SPDX-License-Identifier: AGPL-3.0-or-later
// Parse -> look-up -> ring: the worker on packets in memory, one thread, streams in random order; beside its floor, the
// same memory walk doing only the look-up and the copy of a frame into the stream's ring.
#include <algorithm>
#include <array>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/traffic.h"
#include "capture/worker.h"

namespace spantape::bench {
namespace {

// A worker whose streams all belong to sessions, or none of them does.
class BenchWorker {
public:
    explicit BenchWorker(std::size_t streams)
        : traffic_(streams),
          links_(streams, control_, signalling_),
          worker_({.max_streams = static_cast<std::uint32_t>(streams), .ring_bytes = kRingBytes}, {}, links_) {}

    // One packet of each stream.
    void pass() {
        for (std::size_t first = 0; first < traffic_.size(); first += kBurstPackets) {
            const std::size_t count = std::min(kBurstPackets, traffic_.size() - first);
            for (std::size_t i = 0; i < count; ++i)
                burst_[i] = {traffic_.at(first + i), kPacketBytes, kPacketBytes, now_ns_, LinkType::ethernet, 0};
            worker_.process(std::span(burst_).first(count));
        }
    }
    // The next 20 ms.
    void advance() {
        traffic_.advance();
        now_ns_ += 20 * kNsPerMs;
    }
    // Two streams are a call, as in Traffic.
    void bind() {
        for (std::size_t stream = 0; stream < traffic_.size(); stream += 2) {
            Decision watch{.kind = Decision::Kind::watch, .session = stream / 2 + 1};
            watch.endpoint = Traffic::destination_of(stream);
            while (!links_.decisions.push(Decision(watch))) settle();
        }
        settle();
    }
    // As the writer does: takes all frames from the rings.
    void drain() {
        while (const auto opened = links_.writer.opened.pop()) bound_.push_back(*opened);
        for (StreamHandle* stream : bound_)
            while (!stream->ring.front().empty()) stream->ring.pop();
    }
    [[nodiscard]] const WorkerCounters& counters() const { return worker_.counters(); }

private:
    void settle() {
        worker_.step();
        while (links_.events.pop()) {
        }
    }

    Traffic traffic_;
    Wakeup control_, signalling_;
    WorkerLinks links_;
    Worker worker_;
    std::array<Packet, kBurstPackets> burst_;
    std::vector<StreamHandle*> bound_;
    TimeNs now_ns_ = wall_clock_ns() + 3600 * kNsPerSecond;  // before it the worker takes no stream for over
};

// Frames of a full ring of 16 KiB, as they are here.
constexpr int kFramesOfRing = 84;

// Streams of calls; the writer takes their frames before a ring is full.
void WorkerParseLookupRing(benchmark::State& state) {
    const auto streams = static_cast<std::size_t>(state.range(0));
    BenchWorker bench(streams);
    bench.pass();
    bench.bind();
    int on_ring = 1;
    const auto advance = [&] {
        bench.advance();
        if (++on_ring < kFramesOfRing) return;
        bench.drain();
        on_ring = 0;
    };
    for (int warm = 0; warm < kFramesOfRing; ++warm) {  // every page of every ring is touched
        advance();
        bench.pass();
    }
    for (auto _ : state) {
        state.PauseTiming();
        advance();
        state.ResumeTiming();
        bench.pass();
    }
    if (bench.counters().stored.get() != bench.counters().packets.get())
        state.SkipWithError("not every frame was put on the ring of a call's stream");
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(streams));
}
BENCHMARK(WorkerParseLookupRing)->Arg(2'000)->Arg(20'000)->Arg(200'000)->Unit(benchmark::kMillisecond);
// Two workers beside each other, each with streams of its own: what they share is the machine's memory.
BENCHMARK(WorkerParseLookupRing)->Arg(20'000)->Unit(benchmark::kMillisecond)->UseRealTime()->Threads(2);

// Streams of no call: each ring keeps the newest frames, and each frame pushes the oldest out.
void WorkerLookBack(benchmark::State& state) {
    const auto streams = static_cast<std::size_t>(state.range(0));
    BenchWorker bench(streams);
    for (int warm = 0; warm < kFramesOfRing + 6; ++warm) {
        bench.pass();
        bench.advance();
    }
    for (auto _ : state) {
        bench.pass();
        state.PauseTiming();
        bench.advance();
        state.ResumeTiming();
    }
    const WorkerCounters& seen = bench.counters();
    const std::uint64_t pushed_out = seen.drops[static_cast<std::size_t>(DropReason::unwatched)].get();
    if (seen.held.get() + pushed_out != seen.packets.get()) state.SkipWithError("not every frame was put on a ring");
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(streams));
}
BENCHMARK(WorkerLookBack)->Arg(2'000)->Arg(200'000)->Unit(benchmark::kMillisecond);

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
BENCHMARK(FloorLookupCopy)->Arg(2'000)->Arg(20'000)->Arg(200'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace spantape::bench

BENCHMARK_MAIN();
