// SPDX-License-Identifier: AGPL-3.0-or-later
// What somebody who listens to a running recording hears: the frames of its session as they come, without what is
// blacked out or masked. A ring between the writer, which puts them there, and one listener.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "capture/base/record_ring.h"
#include "capture/rtp/frame.h"
#include "storage/segment/reader.h"

namespace spantape {

class LiveTap {
public:
    struct Frame {
        std::uint64_t stream_id = 0;
        StoredFrame frame;
    };

    // from_ns: what arrived before, by the capture clock, is not heard.
    LiveTap(std::uint64_t session, TimeNs from_ns) : session_(session), from_ns_(from_ns) {
        ring_.attach(std::span(memory_.get(), kRingBytes));
    }

    [[nodiscard]] std::uint64_t session() const { return session_; }
    [[nodiscard]] TimeNs from_ns() const { return from_ns_; }

    // The writer. What finds no room is dropped: nobody listens fast enough.
    void put(std::uint64_t stream_id, const RingRecord& record, const std::byte* payload) {
        std::byte* room = ring_.reserve(sizeof stream_id + sizeof record + record.payload_bytes);
        if (room == nullptr) return;
        std::memcpy(room, &stream_id, sizeof stream_id);
        std::memcpy(room + sizeof stream_id, &record, sizeof record);
        if (record.payload_bytes > 0)
            std::memcpy(room + sizeof stream_id + sizeof record, payload, record.payload_bytes);
        ring_.commit();
    }
    [[nodiscard]] bool left() const { return left_.load(std::memory_order_relaxed); }

    // The listener: the oldest frame, valid until pop().
    [[nodiscard]] std::optional<Frame> front() {
        const auto bytes = ring_.front();
        if (bytes.empty()) return std::nullopt;
        Frame out;
        RingRecord record;
        std::memcpy(&out.stream_id, bytes.data(), sizeof out.stream_id);
        std::memcpy(&record, bytes.data() + sizeof out.stream_id, sizeof record);
        const auto* payload =
            reinterpret_cast<const std::uint8_t*>(bytes.data()) + sizeof out.stream_id + sizeof record;
        out.frame = {.sequence = record.sequence,
                     .payload_type = record.payload_type,
                     .marker = record.marker != 0,
                     .timestamp = record.timestamp,
                     .arrival_ns = record.arrival_ns,
                     .payload = {payload, record.payload_bytes}};
        return out;
    }
    void pop() { ring_.pop(); }
    // Nobody listens any more: the writer forgets it.
    void leave() { left_.store(true, std::memory_order_relaxed); }

private:
    static constexpr std::size_t kRingBytes = 128u << 10;  // seconds of two streams
    struct Free {
        void operator()(std::byte* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
    };

    std::uint64_t session_;
    TimeNs from_ns_;
    std::unique_ptr<std::byte[], Free> memory_{
        static_cast<std::byte*>(::operator new[](kRingBytes, std::align_val_t{64}))};
    RecordRing ring_;
    std::atomic<bool> left_{false};
};

}  // namespace spantape
