// SPDX-License-Identifier: AGPL-3.0-or-later
// Ordering by extended sequence number over a small ring of slots.
#include "storage/audio/frame_order.h"

#include <algorithm>
#include <utility>

namespace spantape {

OrderedFrame FrameOrder::copy(const StoredFrame& frame, const PayloadFormat& format) {
    return {frame.sequence, frame.timestamp, frame.arrival_ns,
            format,         false,           {frame.payload.begin(), frame.payload.end()}};
}

void FrameOrder::push(const StoredFrame& frame, const PayloadFormat& format) {
    OrderedFrame owned = copy(frame, format);
    if (!started_) {
        begin(std::move(owned));
        return;
    }
    place(std::move(owned));
}

void FrameOrder::place(OrderedFrame frame) {
    const TimeNs now_ns = frame.arrival_ns;
    const int delta = static_cast<std::int16_t>(frame.sequence - static_cast<std::uint16_t>(newest_));
    const std::int64_t number = newest_ + delta;
    if (delta > kMaxDropout || delta <= -kWindowFrames) return suspect(std::move(frame));
    if (delta <= 0 && slot(number).number == number) {
        // Seen already. A mirror's copy comes at once; one that comes later is the sender's second use of the number.
        if (!is_duplicate(frame, number)) suspect(std::move(frame));
        return;
    }
    suspect_.reset();  // the run goes on: that one was astray
    if (opening_ && number < next_) next_ = number;
    if (number < next_) return;  // its place was given up: too late
    store(number, std::move(frame));
    release(now_ns);
}

bool FrameOrder::is_duplicate(const OrderedFrame& frame, std::int64_t number) {
    const Slot& seen = slot(number);
    return seen.timestamp == frame.timestamp && frame.arrival_ns - seen.arrival_ns <= kWindowNs;
}

void FrameOrder::begin(OrderedFrame frame) {
    for (auto& each : slots_) each.number = -1;
    // Away from zero, so that frames before the first one have numbers too.
    next_ = newest_ = (std::int64_t{1} << 32) + frame.sequence;
    opened_ns_ = frame.arrival_ns;
    started_ = opening_ = first_of_run_ = true;
    store(newest_, std::move(frame));
}

void FrameOrder::store(std::int64_t number, OrderedFrame frame) {
    while (number - next_ >= kWindowFrames && waiting_ > 0) {
        opening_ = false;
        skip_hole();
    }
    if (number - next_ >= kWindowFrames) next_ = number;
    Slot& place = slot(number);
    place.number = number;
    place.timestamp = frame.timestamp;
    place.arrival_ns = frame.arrival_ns;
    place.frame = std::move(frame);
    place.waiting = true;
    ++waiting_;
    newest_ = std::max(newest_, number);
}

void FrameOrder::suspect(OrderedFrame frame) {
    const int delta = suspect_ ? static_cast<std::int16_t>(frame.sequence - suspect_->sequence) : 0;
    if (delta <= 0 || delta > kWindowFrames) {
        suspect_ = std::move(frame);
        return;
    }
    // Two that follow one another, away from the run: the sender began anew.
    OrderedFrame first = std::move(*suspect_);
    suspect_.reset();
    flush();
    begin(std::move(first));
    place(std::move(frame));
}

void FrameOrder::release(TimeNs now_ns) {
    if (opening_ && now_ns - opened_ns_ < kWindowNs) return;
    opening_ = false;
    while (waiting_ > 0) {
        if (!slot(next_).waiting) {
            std::int64_t after = next_;
            while (!slot(after).waiting) ++after;
            if (now_ns - slot(after).arrival_ns < kWindowNs) return;  // the hole may still be filled
        }
        skip_hole();
    }
}

// Gives out the first frame that waits, whatever is missing before it, and those that follow it directly.
void FrameOrder::skip_hole() {
    while (!slot(next_).waiting) ++next_;
    while (waiting_ > 0 && slot(next_).waiting) {
        Slot& place = slot(next_++);
        place.waiting = false;
        --waiting_;
        place.frame.restart = std::exchange(first_of_run_, false);
        ready_.push_back(std::move(place.frame));
    }
}

void FrameOrder::flush() {
    opening_ = false;
    while (waiting_ > 0) skip_hole();
}

void FrameOrder::finish() {
    flush();
    // A lone last frame far from the run may be the first of a restart that was cut off; near it, it is a late copy.
    if (!suspect_) return;
    const int delta = static_cast<std::int16_t>(suspect_->sequence - static_cast<std::uint16_t>(newest_));
    if (delta <= -kWindowFrames || delta > 0) {
        begin(std::move(*suspect_));
        flush();
    }
    suspect_.reset();
}

}  // namespace spantape
