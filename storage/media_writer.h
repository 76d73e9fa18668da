// SPDX-License-Identifier: AGPL-3.0-or-later
// The writer thread's work: drains the rings of its workers into chunks, writes recording documents among them, makes
// all of it durable, then indexes it, then says so. One instance per writer thread; `step` turns it once, so that
// tests can turn it by hand with their own clock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "capture/base/counters.h"
#include "capture/base/spsc_queue.h"
#include "capture/base/wakeup.h"
#include "capture/rtp/stream_handle.h"
#include "capture/worker_messages.h"
#include "storage/index/index.h"
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
using WriterCommand = std::variant<PutRecording, FlushAll>;

// writer -> control, each only after the data is durable and indexed
struct RecordingStored {
    std::uint64_t ident = 0;
    bool final = false;
};
struct Flushed {
    std::uint64_t token = 0;
};
struct StorageFailed {  // goes on trying; said once per kind and second
    std::string message;
};
using WriterEvent = std::variant<RecordingStored, Flushed, StorageFailed>;

struct MediaWriterOptions {
    TimeNs flush_ns = kNsPerSecond;  // storage.flush: no audio stays in memory longer than this
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
    MediaWriter(MediaWriterOptions options, SegmentWriter& segments, Index& index, std::vector<WorkerToWriter*> workers,
                SpscQueue<WriterCommand>& commands, SpscQueue<WriterEvent>& events, Wakeup& control_wakeup);
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
