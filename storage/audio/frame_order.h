// SPDX-License-Identifier: AGPL-3.0-or-later
// Puts one stream's frames, as they arrived, into the order of their sequence numbers (RFC 3550 §5.1, wrapping):
// holes wait for late frames, duplicates are dropped, a restart on the same SSRC (sequence numbers jump back or far
// ahead, and go on from there) begins a new run. Memory is bounded by the window. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "storage/audio/codec.h"
#include "storage/segment/reader.h"

namespace spantape {

struct OrderedFrame {
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;
    TimeNs arrival_ns = 0;
    PayloadFormat format;
    bool restart = false;  // first frame of a run: nothing is known about its clock
    std::vector<std::uint8_t> payload;
};

class FrameOrder {
public:
    static constexpr int kWindowFrames = 64;
    static constexpr TimeNs kWindowNs = 200 * kNsPerMs;

    // In order of arrival.
    void push(const StoredFrame& frame, const PayloadFormat& format);
    // No more frames will come: what waits is given out.
    void finish();

    // Frames in order, ready to be taken from the front.
    std::deque<OrderedFrame>& ready() { return ready_; }

private:
    struct Slot {
        std::int64_t number = -1;  // extended sequence number that was last seen here
        std::uint32_t timestamp = 0;
        TimeNs arrival_ns = 0;
        bool waiting = false;
        OrderedFrame frame;
    };
    static constexpr std::int64_t kSlots = 128;  // a power of two, more than the window
    static constexpr int kMaxDropout = 3000;     // RFC 3550 §A.1

    OrderedFrame copy(const StoredFrame& frame, const PayloadFormat& format);
    Slot& slot(std::int64_t number) { return slots_[static_cast<std::size_t>(number & (kSlots - 1))]; }
    void place(OrderedFrame frame);
    bool is_duplicate(const OrderedFrame& frame, std::int64_t number);
    void begin(OrderedFrame frame);
    void store(std::int64_t number, OrderedFrame frame);
    void suspect(OrderedFrame frame);
    void release(TimeNs now_ns);
    void skip_hole();
    void flush();

    std::array<Slot, kSlots> slots_;
    std::deque<OrderedFrame> ready_;
    std::optional<OrderedFrame> suspect_;  // may be the first frame of a restart; the next frame decides
    std::int64_t next_ = 0;                // extended number that is given out next
    std::int64_t newest_ = 0;              // highest that arrived in this run
    int waiting_ = 0;
    TimeNs opened_ns_ = 0;
    bool started_ = false;
    bool opening_ = false;       // the first frames of a run may come out of order too: nothing is given out yet
    bool first_of_run_ = false;  // the next frame given out carries `restart`
};

}  // namespace spantape
