// SPDX-License-Identifier: AGPL-3.0-or-later
// Live monitoring: frames of tapped sessions are looked at on their rings, every few milliseconds, before they are
// taken from there; with mask_dtmf, when they are, because only then is it known which of them carry digits. Nothing
// here costs anything while nobody listens.
#include <algorithm>

#include "storage/media_streams.h"

namespace spantape {

// Its streams are found by the next walk.
void MediaStreams::tap(std::shared_ptr<LiveTap> tap) { taps_.push_back({std::move(tap), {}}); }

// The walk came to this stream: somebody may listen to a session of it.
void MediaStreams::note_tapped(std::uint32_t slot) {
    Stream& stream = streams_[slot];
    const auto is_of = [&handle = *stream.handle](std::uint64_t session) {
        return handle.session_id == session || std::ranges::any_of(handle.sessions, [&](const auto& each) {
                   return each.load(std::memory_order_acquire) == session;
               });
    };
    for (Tapped& tapped : taps_) {
        if (!is_of(tapped.tap->session())) continue;
        stream.tapped = true;
        if (std::ranges::find(tapped.places, slot, &Tapped::Place::slot) == tapped.places.end())
            tapped.places.push_back({slot, 0});
    }
}

void MediaStreams::forget_tapped(std::uint32_t slot) {
    for (Tapped& tapped : taps_) std::erase_if(tapped.places, [&](const auto& place) { return place.slot == slot; });
}

Result<> MediaStreams::feed_taps(TimeNs now) {
    if (taps_.empty() || now - fed_ns_ < kTapNs) return {};
    fed_ns_ = now_ = now;
    read_clock();
    std::erase_if(taps_, [](const Tapped& tapped) { return tapped.tap->left(); });
    std::vector<std::uint32_t> slots;
    for (const Tapped& tapped : taps_)
        for (const auto& place : tapped.places)
            if (std::ranges::find(slots, place.slot) == slots.end()) slots.push_back(place.slot);
    for (const std::uint32_t slot : slots) {
        if (!streams_[slot].dtmf) {
            find_windows(streams_[slot]);
            feed(slot);
        } else if (auto drained = drain(slot, false); !drained) {
            return std::unexpected(drained.error());
        }
    }
    return {};
}

// What is on the ring and was not seen yet. The stream's windows are known.
void MediaStreams::feed(std::uint32_t slot) {
    const Stream& stream = streams_[slot];
    for (Tapped& tapped : taps_)
        for (auto& place : tapped.places) {
            if (place.slot != slot) continue;
            RingRecord record;
            for (auto bytes = stream.handle->ring.peek(place.position); !bytes.empty();
                 bytes = stream.handle->ring.peek(place.position)) {
                std::memcpy(&record, bytes.data(), sizeof record);
                if (record.kind != RingRecordKind::frame || record.arrival_ns < tapped.tap->from_ns()) continue;
                if (window_at(record.arrival_ns) == nullptr)
                    tapped.tap->put(stream.handle->stream_id, record, bytes.data() + sizeof record);
            }
        }
}

// A frame of a stream whose digits are masked was taken, and is none.
void MediaStreams::tap_taken(const Stream& stream, const RingRecord& record, const std::byte* payload) {
    for (Tapped& tapped : taps_)
        for (const auto& place : tapped.places)
            if (&streams_[place.slot] == &stream && record.arrival_ns >= tapped.tap->from_ns())
                tapped.tap->put(stream.handle->stream_id, record, payload);
}

}  // namespace spantape
