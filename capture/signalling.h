// SPDX-License-Identifier: AGPL-3.0-or-later
// The signalling thread: takes SIP messages and TCP segments from the workers' rings, puts the segments together,
// follows the dialogs, and gives call events to the control plane in the order in which they happened.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "capture/base/counters.h"
#include "capture/base/spsc_queue.h"
#include "capture/base/wakeup.h"
#include "capture/sip/dialogs.h"
#include "capture/sip/tcp_streams.h"
#include "capture/worker.h"

namespace spantape {

// signalling -> control
struct SignallingEvent {
    SipEvent event;
    // A worker waits for what was before this: control answers with Decision::sync. No event then.
    std::uint64_t token = 0;
    std::uint16_t worker = 0;
    TimeNs time_ns = 0;
};

struct SignallingCounters {  // readable from any thread
    Counter messages, malformed, duplicates, out_of_dialog;
    Counter calls;  // followed now
    Counter calls_evicted;
    Counter tcp_connections, tcp_gaps, tcp_resyncs, tcp_evicted;  // SipTcpCounters
};

class Signalling {
public:
    // `workers`, `events`, `forget` (calls that control ended itself) and the wakeups outlive it.
    Signalling(SipLimits limits, std::vector<WorkerLinks*> workers, SpscQueue<SignallingEvent>& events,
               SpscQueue<std::uint64_t>& forget, Wakeup& own, Wakeup& control);

    // One turn over all rings; true when there was work.
    bool step();
    void run(const std::atomic<bool>& stop);

    [[nodiscard]] const SignallingCounters& counters() const { return counters_; }

private:
    void take(WorkerLinks& links, std::uint16_t worker);
    void handle(const SignallingRecord& record, std::span<const std::uint8_t> payload);
    void expire(TimeNs time_ns);
    void expire_while_idle();
    void emit(SignallingEvent&& event);
    void publish_counters();

    std::vector<WorkerLinks*> workers_;
    SpscQueue<SignallingEvent>& events_;
    SpscQueue<std::uint64_t>& forget_;
    Wakeup& own_wakeup_;
    Wakeup& control_wakeup_;
    std::deque<SignallingEvent> waiting_;  // control's queue was full
    TimeNs last_expire_ns_ = 0;
    bool live_ = false;  // capture time is the wall clock's
    SignallingCounters counters_;
    SipDialogs dialogs_;
    SipTcpStreams tcp_;
};

}  // namespace spantape
