// SPDX-License-Identifier: AGPL-3.0-or-later
// Which unclaimed stream gives way when all slots are taken, in constant time whatever comes in. A new stream is on
// probation until two of its frames ran in sequence (RFC 3550 appendix A.1, MIN_SEQUENTIAL): those go first, the oldest
// first, so that a flood of flows that never show a second frame pushes out itself. Streams that have proven themselves
// go only when few are on probation, and then the first of a few that had no frame since they were last looked at.
// One worker owns it; nothing is allocated after construction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "capture/base/clock.h"

namespace spantape {

class LookBackQueue {
public:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};

    explicit LookBackQueue(std::uint32_t slots) : links_(slots), probation_room_(std::max(slots / 16, 1u)) {}

    // A new unclaimed stream.
    void admit(std::uint32_t slot) { append(probation_, slot, Place::probation); }
    // It runs in sequence; its last frame came at `last_arrival_ns`.
    void prove(std::uint32_t slot, TimeNs last_arrival_ns) {
        if (links_[slot].place != Place::probation) return;
        remove(slot);
        links_[slot].seen_ns = last_arrival_ns;
        append(proven_, slot, Place::proven);
    }
    // It was claimed, or is no more.
    void leave(std::uint32_t slot) {
        if (links_[slot].place != Place::none) remove(slot);
    }

    // Who gives way, or kNone when there is no unclaimed stream; it stays in the queue until leave().
    // last_arrival_ns(slot): of the stream's newest frame.
    template <class LastArrival>
    std::uint32_t victim(LastArrival last_arrival_ns) {
        if (probation_.count >= probation_room_) return probation_.first;
        for (int look = 0; look < kLooks && proven_.first != kNone; ++look) {
            const std::uint32_t slot = proven_.first;
            const TimeNs last_ns = last_arrival_ns(slot);
            if (last_ns <= links_[slot].seen_ns) return slot;
            remove(slot);
            links_[slot].seen_ns = last_ns;
            append(proven_, slot, Place::proven);
        }
        return probation_.first != kNone ? probation_.first : proven_.first;
    }

    [[nodiscard]] bool is_proven(std::uint32_t slot) const { return links_[slot].place == Place::proven; }
    [[nodiscard]] std::uint32_t on_probation() const { return probation_.count; }
    [[nodiscard]] std::uint32_t proven() const { return proven_.count; }

private:
    static constexpr int kLooks = 8;
    enum class Place : std::uint8_t { none, probation, proven };
    struct Link {
        std::uint32_t next = kNone, previous = kNone;
        TimeNs seen_ns = 0;  // its newest frame when it was last looked at
        Place place = Place::none;
    };
    struct List {  // oldest first
        std::uint32_t first = kNone, last = kNone, count = 0;
    };

    void append(List& list, std::uint32_t slot, Place place) {
        Link& link = links_[slot];
        link.next = kNone;
        link.previous = list.last;
        link.place = place;
        (list.last != kNone ? links_[list.last].next : list.first) = slot;
        list.last = slot;
        ++list.count;
    }
    void remove(std::uint32_t slot) {
        Link& link = links_[slot];
        List& list = link.place == Place::probation ? probation_ : proven_;
        (link.previous != kNone ? links_[link.previous].next : list.first) = link.next;
        (link.next != kNone ? links_[link.next].previous : list.last) = link.previous;
        link.place = Place::none;
        --list.count;
    }

    std::vector<Link> links_;
    std::uint32_t probation_room_;
    List probation_, proven_;
};

}  // namespace spantape
