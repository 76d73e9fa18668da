// SPDX-License-Identifier: AGPL-3.0-or-later
// Parse -> look-up -> ring: the worker on packets in memory, one thread, streams in random order; beside its floor, the
// same memory walk doing only the look-up and the copy of a frame into the stream's ring.
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "capture/worker.h"

namespace spantape {
namespace {

constexpr std::size_t kPayloadBytes = 160;
constexpr std::size_t kFrameBytes = 12 + kPayloadBytes;          // RTP header and 20 ms of G.711
constexpr std::size_t kPacketBytes = 14 + 20 + 8 + kFrameBytes;  // Ethernet, IPv4, UDP
constexpr std::size_t kPacketStride = 256;
constexpr std::size_t kRingBytes = 16u << 10;  // the default

void put16(std::uint8_t* at, std::size_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value);
}
void put32(std::uint8_t* at, std::size_t value) {
    put16(at, value >> 16);
    put16(at + 2, value);
}

// One packet a stream, in random order, as a capture card lays them into its buffers.
class Traffic {
public:
    explicit Traffic(std::size_t streams) : memory_(streams * kPacketStride + 64), order_(streams) {
        std::iota(order_.begin(), order_.end(), 0);
        std::shuffle(order_.begin(), order_.end(), std::mt19937(1));
        for (std::size_t place = 0; place < streams; ++place) write(at(place), order_[place]);
    }
    std::uint8_t* at(std::size_t place) { return memory_.data() + place * kPacketStride; }
    std::size_t size() const { return order_.size(); }

    // The next 20 ms of every stream.
    void advance() {
        ++sequence_;
        for (std::size_t place = 0; place < size(); ++place) {
            put16(at(place) + 44, sequence_);
            put32(at(place) + 46, sequence_ * kPayloadBytes);
        }
    }

private:
    static void write(std::uint8_t* packet, std::size_t stream) {
        std::memset(packet, 0x55, kPacketBytes);
        put16(packet + 12, 0x0800);
        packet[14] = 0x45;
        put16(packet + 16, kPacketBytes - 14);
        put16(packet + 20, 0);  // no fragment
        packet[23] = 17;
        put32(packet + 26, 0x0a000000 + stream);
        put32(packet + 30, 0x0a800000 + stream / 2);
        put16(packet + 34, 10000 + stream % 50000);
        put16(packet + 36, 20000);
        put16(packet + 38, 8 + kFrameBytes);
        packet[42] = 0x80;
        packet[43] = 0;
        put32(packet + 50, stream * 2654435761u);
    }
    std::vector<std::uint8_t> memory_;
    std::vector<std::size_t> order_;
    std::size_t sequence_ = 0;
};

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
    if (worker.counters().stored.get() != worker.counters().packets.get())
        state.SkipWithError("not every frame was stored");
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(streams));
}
BENCHMARK(WorkerParseLookupRing)->Arg(2'000)->Arg(20'000)->Arg(200'000)->Unit(benchmark::kMillisecond)->MinTime(1);

// The floor: find the stream, copy the frame to where its ring stands, move on.
void FloorLookupCopy(benchmark::State& state) {
    const auto streams = static_cast<std::size_t>(state.range(0));
    Traffic traffic(streams);
    StreamPool pool(0, static_cast<std::uint32_t>(streams), 256);
    std::vector<std::byte> rings(streams * kRingBytes);
    std::vector<std::uint32_t> tail(streams);
    const auto key_of = [](const std::uint8_t* packet) {
        FlowKey key;
        key.source.ip = IpAddress::from_v4(packet + 26);
        key.destination.ip = IpAddress::from_v4(packet + 30);
        key.source.port = static_cast<std::uint16_t>(packet[34] << 8 | packet[35]);
        key.destination.port = static_cast<std::uint16_t>(packet[36] << 8 | packet[37]);
        std::memcpy(&key.ssrc, packet + 50, 4);
        return key;
    };
    for (std::size_t place = 0; place < streams; ++place) {
        const FlowKey key = key_of(traffic.at(place));
        pool.open(key, hash_of(key), place + 1);
    }
    constexpr std::size_t kBatch = kBurstPackets;
    FlowKey keys[kBatch];
    std::uint64_t hashes[kBatch];
    const auto pass = [&] {
        for (std::size_t first = 0; first < streams; first += kBatch) {
            const std::size_t count = std::min(kBatch, streams - first);
            for (std::size_t i = 0; i < count; ++i) {
                keys[i] = key_of(traffic.at(first + i));
                hashes[i] = hash_of(keys[i]);
                pool.prefetch(hashes[i]);
            }
            for (std::size_t i = 0; i < count; ++i) pool.prefetch_stream(hashes[i]);
            for (std::size_t i = 0; i < count; ++i) {
                const std::uint32_t slot = pool.find(keys[i], hashes[i]);
                std::memcpy(rings.data() + slot * kRingBytes + tail[slot], traffic.at(first + i) + 42, kFrameBytes);
                tail[slot] = (tail[slot] + 192) % (kRingBytes - 192);
            }
        }
    };
    for (int warm = 0; warm < 90; ++warm) pass();
    for (auto _ : state) {
        pass();
        state.PauseTiming();
        traffic.advance();  // the packets' lines are as warm as the worker finds them
        state.ResumeTiming();
    }
    benchmark::DoNotOptimize(rings.data());
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(streams));
}
BENCHMARK(FloorLookupCopy)->Arg(2'000)->Arg(20'000)->Arg(200'000)->Unit(benchmark::kMillisecond)->MinTime(1);

}  // namespace
}  // namespace spantape

BENCHMARK_MAIN();
