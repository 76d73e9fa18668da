// SPDX-License-Identifier: AGPL-3.0-or-later
// What a worker shares with the writer about one stream: its ring and its identity. Slots live in the worker's arena
// for the life of the process; the worker fills identity, hands the handle to the writer once (through a queue), and
// gets it back (through another) after the writer has read RingRecordKind::end.
#pragma once

#include <atomic>
#include <cstdint>

#include "capture/base/counters.h"
#include "capture/base/record_ring.h"
#include "capture/rtp/frame.h"

namespace spantape {

// Source address and port, destination address and port, SSRC: a stream's identity on the wire.
struct FlowKey {
    Endpoint source;
    Endpoint destination;
    std::uint32_t ssrc = 0;
    auto operator<=>(const FlowKey&) const = default;
};

struct StreamHandle {
    RecordRing ring;               // worker produces, writer consumes
    std::uint64_t stream_id = 0;   // unique on this core for ever: boot count, worker, number
    std::uint64_t session_id = 0;  // the media session it was first bound to
    FlowKey flow;
    std::uint32_t slot = 0;    // worker's
    std::uint16_t worker = 0;  // which worker owns it
    // What the ring does not tell; the worker's, for the writer to put into chunks.
    std::atomic<std::uint64_t> lost_before{0};
    std::atomic<std::uint64_t> duplicates{0};
};

}  // namespace spantape
