// SPDX-License-Identifier: AGPL-3.0-or-later
// What workers and the control plane tell each other, through SPSC queues: plain values, no strings.
#pragma once

#include <cstdint>

#include "capture/base/spsc_queue.h"
#include "capture/rtp/payload_clock.h"
#include "capture/rtp/stream_handle.h"
#include "capture/rtp/stream_quality.h"
#include "capture/sip/events.h"

namespace spantape {

// control -> worker, in order
struct Decision {
    enum class Kind : std::uint8_t {
        watch,        // RTP to (or from) `endpoint` belongs to `session`; `party` receives there. port 0: any port
        srtp_key,     // `party` of `session` sends with this key from `endpoint`; comes before its watch
        end_session,  // stop storing: end its streams, forget its endpoints; answered by SessionEnded
        sync,         // everything sent before was seen: answers WorkerEvent's and the signalling's token
    };
    Kind kind = Kind::sync;
    CallParty party = CallParty::caller;
    std::uint64_t session = 0;
    std::uint64_t token = 0;
    Endpoint endpoint;
    TimeNs from_ns = 0;                     // watch: what arrived before is not the session's (0: what look-back holds)
    TimeNs cause_ns = 0;                    // watch: capture time of the SIP message that caused it; 0: none did
    PayloadClocks clocks;                   // watch: of the payload types that `party` said it receives there
    SrtpProfile srtp = SrtpProfile::clear;  // watch: what its description says of the media there
    SrtpKey key;                            // srtp_key
};

// worker -> control, in order
struct WorkerEvent {
    enum class Kind : std::uint8_t {
        stream_bound,      // `stream` belongs to `session`; `sender` speaks in it
        stream_left,       // `stream` does no longer belong to `session`; counters as of now
        session_ended,     // answers end_session: all `end` records are on their rings
        stream_unclaimed,  // no session knows `stream`, though it goes on; `time_ns`: of its first frame. Told again
        session_quiet,     // no frame of `session` came to this worker since `time_ns`, for media_timeout at least
        tick,              // the capture clock is at `time_ns`: what was captured before was seen
        source_ended,      // nothing more will come to this worker; `time_ns` is its last packet's
    };
    Kind kind = Kind::tick;
    CallParty sender = CallParty::caller;
    bool relay_copy = false;
    std::uint8_t payload_type = 0;                         // of the first frame
    StreamEncryption encryption = StreamEncryption::none;  // bound, left: as far as is known then
    std::uint16_t worker = 0;
    std::uint64_t session = 0;
    std::uint64_t stream = 0;
    std::uint64_t token = 0;  // not 0: the worker waits for Decision::sync with it
    TimeNs time_ns = 0;       // bound: arrival of the first frame kept; left: arrival of the last
    FlowKey flow;
    StreamCounters counters;         // left
    StreamQuality quality;           // left
    std::uint64_t extent_units = 0;  // left: audio in RTP clock units
};

// worker -> signalling: header of a record in the signalling ring; the payload follows
struct SignallingRecord {
    enum class Kind : std::uint8_t {
        datagram,  // one SIP message over UDP
        segment,   // a TCP segment of a connection that carries SIP
        end,       // nothing more will come from this worker; no payload
    };
    Kind kind = Kind::datagram;
    std::uint8_t tcp_flags = 0;      // Datagram::tcp_flags; of segment
    std::uint32_t tcp_sequence = 0;  // Datagram::tcp_sequence; of segment
    TimeNs time_ns = 0;
    Endpoint source;
    Endpoint destination;
    std::uint64_t token = 0;  // not 0: the worker waits until control has seen what this message caused
};

// The queues between one worker and its writer; created by the wiring, which outlives both.
struct WorkerToWriter {
    explicit WorkerToWriter(std::size_t streams) : opened(streams), returned(streams) {}
    SpscQueue<StreamHandle*> opened;    // worker -> writer: drain this stream from now on
    SpscQueue<StreamHandle*> returned;  // writer -> worker: `end` was read; the slot is the worker's again
};

}  // namespace spantape
