// SPDX-License-Identifier: AGPL-3.0-or-later
// What the benchmarks of the data path share: traffic in memory, and their floor, the memory walk of a recorder that
// does only the look-up and the copy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "capture/rtp/stream_pool.h"
#include "capture/source/source.h"

namespace spantape::bench {

inline constexpr std::size_t kPayloadBytes = 160;
inline constexpr std::size_t kFrameBytes = 12 + kPayloadBytes;          // RTP header and 20 ms of G.711
inline constexpr std::size_t kPacketBytes = 14 + 20 + 8 + kFrameBytes;  // Ethernet, IPv4, UDP
inline constexpr std::size_t kPacketStride = 256;
inline constexpr std::size_t kRingBytes = 16u << 10;  // the default

inline void put16(std::uint8_t* at, std::size_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value);
}
inline void put32(std::uint8_t* at, std::size_t value) {
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
    // Where `stream` and the one of the same pair send to.
    static Endpoint destination_of(std::size_t stream) {
        const std::size_t ip = kFirstDestination + stream / 2;
        std::uint8_t bytes[4];
        put32(bytes, ip);
        return {IpAddress::from_v4(bytes), kDestinationPort};
    }

    // The next 20 ms of every stream.
    void advance() {
        ++sequence_;
        for (std::size_t place = 0; place < size(); ++place) {
            put16(at(place) + 44, sequence_);
            put32(at(place) + 46, sequence_ * kPayloadBytes);
        }
    }

private:
    static constexpr std::size_t kFirstDestination = 0x0a800000;
    static constexpr std::uint16_t kDestinationPort = 20000;

    static void write(std::uint8_t* packet, std::size_t stream) {
        std::memset(packet, 0x55, kPacketBytes);
        put16(packet + 12, 0x0800);
        packet[14] = 0x45;
        put16(packet + 16, kPacketBytes - 14);
        put16(packet + 20, 0);  // no fragment
        packet[23] = 17;
        put32(packet + 26, 0x0a000000 + stream);
        put32(packet + 30, kFirstDestination + stream / 2);
        put16(packet + 34, 10000 + stream % 50000);
        put16(packet + 36, kDestinationPort);
        put16(packet + 38, 8 + kFrameBytes);
        packet[42] = 0x80;
        packet[43] = 0;
        put32(packet + 50, stream * 2654435761u);
    }
    std::vector<std::uint8_t> memory_;
    std::vector<std::size_t> order_;
    std::size_t sequence_ = 0;
};

// The floor: find the stream, copy the frame to where its ring stands, move on.
class LookupCopy {
public:
    explicit LookupCopy(Traffic& traffic)
        : pool_(0, static_cast<std::uint32_t>(traffic.size()), 256),
          rings_(traffic.size() * kRingBytes),
          tail_(traffic.size()) {
        for (std::size_t place = 0; place < traffic.size(); ++place) {
            const FlowKey key = key_of(traffic.at(place));
            pool_.open(key, hash_of(key), place + 1);
        }
    }
    // At most kBurstPackets.
    void take(std::span<const std::uint8_t* const> packets) {
        for (std::size_t i = 0; i < packets.size(); ++i) {
            keys_[i] = key_of(packets[i]);
            hashes_[i] = hash_of(keys_[i]);
            pool_.prefetch(hashes_[i]);
        }
        for (std::size_t i = 0; i < packets.size(); ++i) pool_.prefetch_stream(hashes_[i]);
        for (std::size_t i = 0; i < packets.size(); ++i) {
            const std::uint32_t slot = pool_.find(keys_[i], hashes_[i]);
            std::memcpy(rings_.data() + slot * kRingBytes + tail_[slot], packets[i] + 42, kFrameBytes);
            tail_[slot] = (tail_[slot] + 192) % (kRingBytes - 192);
        }
    }
    std::byte* rings() { return rings_.data(); }

private:
    static FlowKey key_of(const std::uint8_t* packet) {
        FlowKey key;
        key.source.ip = IpAddress::from_v4(packet + 26);
        key.destination.ip = IpAddress::from_v4(packet + 30);
        key.source.port = static_cast<std::uint16_t>(packet[34] << 8 | packet[35]);
        key.destination.port = static_cast<std::uint16_t>(packet[36] << 8 | packet[37]);
        std::memcpy(&key.ssrc, packet + 50, 4);
        return key;
    }
    StreamPool pool_;
    std::vector<std::byte> rings_;
    std::vector<std::uint32_t> tail_;
    FlowKey keys_[kBurstPackets];
    std::uint64_t hashes_[kBurstPackets];
};

}  // namespace spantape::bench
