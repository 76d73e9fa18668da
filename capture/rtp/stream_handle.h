// SPDX-License-Identifier: AGPL-3.0-or-later
// What a worker shares with the writer about one stream: its ring and its identity. Slots live in the worker's arena
// for the life of the process; the worker fills identity, hands the handle to the writer once (through a queue), and
// gets it back (through another) after the writer has read RingRecordKind::end.
#pragma once

#include <array>
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

inline constexpr std::size_t kSessionsPerStream = 4;  // at once

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
    // Every session that it was bound to, the newest in place of the oldest; one that it left stays, for frames that
    // are on the ring yet. 0: none. Written before the frames that come after are on the ring.
    std::array<std::atomic<std::uint64_t>, kSessionsPerStream> sessions{};
    std::uint32_t bindings = 0;  // the worker's

    void joined(std::uint64_t session) {
        sessions[bindings++ % kSessionsPerStream].store(session, std::memory_order_release);
    }
    void forget_sessions() {
        bindings = 0;
        for (auto& session : sessions) session.store(0, std::memory_order_relaxed);
    }
};

}  // namespace spantape
