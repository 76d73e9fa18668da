// SPDX-License-Identifier: AGPL-3.0-or-later
// The writer thread's work: drains the rings of its workers into chunks, writes recording documents among them, makes
// all of it durable, then indexes it, then says so. One instance per writer thread; `step` turns it once, so that
// tests can turn it by hand with their own clock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "capture/base/counters.h"
#include "capture/base/spsc_queue.h"
#include "capture/base/wakeup.h"
#include "capture/rtp/stream_handle.h"
#include "capture/worker_messages.h"
#include "storage/blackout_windows.h"
#include "storage/index/index.h"
#include "storage/live_tap.h"
#include "storage/redaction.h"
#include "storage/segment/writer.h"

namespace spantape {

// control -> writer
struct PutRecording {
    Recording recording;
    // The recording's session is over: its streams carry `end` records already; drain them before this document is
    // written, so that the final document is durable after all of its audio.
    bool final = false;
};
struct FlushAll {  // drain, write and sync everything now (shutdown, end of a file); answered by Flushed
    std::uint64_t token = 0;
};
// Frames of the session's streams that arrive in the window are not stored: of all streams that ever are the session's,
// and of frames that wait on their rings already. A window known by this number gets other edges. Answered by
// BlackoutReady when the token is not 0.
struct Blackout {
    std::uint64_t session = 0;
    std::uint64_t id = 0;  // unique within the session
    BlackoutWindow window;
    std::uint64_t token = 0;
    std::vector<std::uint64_t> streams;  // the session's, as far as control knows; those that have ended count
};
struct EndBlackout {  // the window's end is known, or another one
    std::uint64_t session = 0;
    std::uint64_t id = 0;
    TimeNs to_ns = 0;
};
struct SessionOver {  // no stream of it will come any more: its windows and payload types may be forgotten
    std::uint64_t session = 0;
};
// What one party's description says of the payload types that it receives at an endpoint; types named before stay. For
// mask_dtmf alone; comes before the streams.
struct EndpointPayloads {
    std::uint64_t session = 0;
    Endpoint endpoint;
    std::vector<PayloadMapping> payloads;
};
// Says when all streams of the session have been silent for so long; once. limit_ns 0: nobody asks any more.
struct WatchSilence {
    std::uint64_t session = 0;
    TimeNs limit_ns = 0;
    TimeNs since_ns = 0;                   // there was sound until then; where it is watched already, that counts
    std::vector<PayloadMapping> payloads;  // of its descriptions
};
struct PutPurge {  // the purge record of one recording; answered by Flushed when it is durable
    std::uint64_t ident = 0;
    std::vector<std::uint64_t> streams;
    std::uint64_t token = 0;
};
struct Listen {  // live monitoring of a session, until the listener leaves
    std::shared_ptr<LiveTap> tap;
};
using WriterCommand = std::variant<PutRecording, FlushAll, Blackout, EndBlackout, SessionOver, EndpointPayloads,
                                   WatchSilence, PutPurge, Listen>;

// writer -> control, each only after the data is durable and indexed
struct RecordingStored {
    std::uint64_t ident = 0;
    bool final = false;
};
struct Flushed {
    std::uint64_t token = 0;
};
// What was taken before the command is durable and indexed, and nothing of the window comes after it: `redact` is what
// may lie on disk of it. No streams: nothing does.
struct BlackoutReady {
    std::uint64_t token = 0;
    std::uint64_t session = 0;
    RedactionWindow redact;
};
struct SessionSilent {  // answers WatchSilence
    std::uint64_t session = 0;
    TimeNs since_ns = 0;  // arrival of the last frame with sound
};
struct StorageFailed {      // goes on trying; said once per part and second
    std::string_view part;  // "segments", "index", "keyring", "documents"
    std::string message;
};
using WriterEvent = std::variant<RecordingStored, Flushed, BlackoutReady, SessionSilent, StorageFailed>;

inline constexpr TimeNs kDtmfPatienceNs = 500 * kNsPerMs;  // later audio does not tell of a tone any more

struct MediaWriterOptions {
    TimeNs flush_ns = kNsPerSecond;  // storage.flush: no audio stays in memory longer than this and hold_back_ns
    // recording.hold_back: frames younger than this, by the capture clock, stay on their rings, until their session
    // ends, the writer ends, or three quarters of their ring are full.
    TimeNs hold_back_ns = 0;
    // recording.mask_dtmf: digits are left out, as telephone events (RFC 4733) and in G.711 and L16. What came within
    // the last kDtmfPatienceNs may be held back for it.
    bool mask_dtmf = false;
    // Frames are silent below this level (WatchSilence): root of their mean square, in dB of full scale.
    double silence_dbov = -50;
    std::function<TimeNs()> capture_now;  // the capture clock; only asked when one of these is used
};

// How full the streams' rings were when the writer last walked over all of them.
struct RingFill {
    static constexpr std::size_t kSteps = 8;
    Counter rings, used_bytes, capacity_bytes;
    Counter fullest_permille;
    Counter worst_permille;               // the fullest of all walks
    std::array<Counter, kSteps> by_fill;  // rings, by eighths; an empty one is in the first
};

struct MediaWriterCounters {  // readable from any thread
    std::atomic<std::uint64_t> chunks{0}, frames{0}, bytes_written{0}, recordings{0}, failures{0};
    RingFill ring_fill;
};

class MediaWriter {
public:
    // keyring: where each stream's key is made; none: audio is stored in the clear. What the writer is given outlives
    // it.
    MediaWriter(MediaWriterOptions options, SegmentWriter& segments, Index& index, std::vector<WorkerToWriter*> workers,
                SpscQueue<WriterCommand>& commands, SpscQueue<WriterEvent>& events, Wakeup& control_wakeup,
                Keyring* keyring = nullptr);
    ~MediaWriter();

    // One turn on the monotonic clock: takes commands and new streams, drains what is due (every stream at least once
    // per flush_ns / 2; at once when its ring is more than half full), flushes, reaps, indexes, reports.
    // True when there was work.
    bool step(TimeNs monotonic_now_ns);
    // step() until `stop` and everything is durable; sleeps on wakeup() when idle.
    void run(const std::atomic<bool>& stop);

    [[nodiscard]] Wakeup& wakeup();  // notify after pushing commands or streams
    [[nodiscard]] const MediaWriterCounters& counters() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace spantape
