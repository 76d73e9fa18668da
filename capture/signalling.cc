// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/signalling.h"

#include <algorithm>
#include <cstring>

namespace spantape {

namespace {
constexpr int kIdleWaitMs = 200;
constexpr int kControlWaitMs = 1;
constexpr int kMessagesPerTurn = 64;
}  // namespace

Signalling::Signalling(SipLimits limits, std::vector<WorkerLinks*> workers, SpscQueue<SignallingEvent>& events,
                       SpscQueue<std::uint64_t>& forget, Wakeup& own, Wakeup& control)
    : workers_(std::move(workers)),
      events_(events),
      forget_(forget),
      own_wakeup_(own),
      control_wakeup_(control),
      dialogs_(limits,
               [this](SipEvent&& event) {
                   const TimeNs time_ns = event.time_ns;
                   emit({std::move(event), 0, 0, time_ns});
               }),
      tcp_({}, [this](TimeNs time_ns, const Endpoint& source, const Endpoint& destination,
                      std::span<const std::uint8_t> message) {
          dialogs_.on_message(time_ns, source, destination, message);
      }) {}

bool Signalling::step() {
    while (!waiting_.empty() && events_.push(std::move(waiting_.front()))) waiting_.pop_front();
    while (const auto call = forget_.pop()) dialogs_.forget(*call);
    // What control cannot take yet waits on the workers' rings, which are bounded, and not here.
    if (!waiting_.empty()) return false;
    bool any = false;
    for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
        for (int i = 0; i < kMessagesPerTurn && !workers_[worker]->signalling.front().empty(); ++i) {
            take(*workers_[worker], static_cast<std::uint16_t>(worker));
            any = true;
        }
    }
    if (any) publish_counters();
    return any;
}

void Signalling::take(WorkerLinks& links, std::uint16_t worker) {
    const auto bytes = links.signalling.front();
    SignallingRecord record;
    std::memcpy(&record, bytes.data(), sizeof record);
    const auto payload = bytes.subspan(sizeof record);
    handle(record, {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()});
    links.signalling.pop();
    expire(record.time_ns);
    live_ = record.token == 0;
    if (record.token != 0) emit({{}, record.token, worker, record.time_ns});
}

void Signalling::handle(const SignallingRecord& record, std::span<const std::uint8_t> payload) {
    switch (record.kind) {
        case SignallingRecord::Kind::datagram:
            return dialogs_.on_message(record.time_ns, record.source, record.destination, payload);
        case SignallingRecord::Kind::segment:
            return tcp_.on_segment(
                {record.time_ns, record.source, record.destination, record.tcp_flags, record.tcp_sequence, payload});
        case SignallingRecord::Kind::end:
            return tcp_.flush(record.time_ns);
    }
}

void Signalling::expire(TimeNs time_ns) {
    if (time_ns - last_expire_ns_ <= kNsPerSecond && time_ns >= last_expire_ns_) return;
    last_expire_ns_ = time_ns;
    tcp_.expire(time_ns);
    dialogs_.expire(time_ns);
}

// What waits for a segment that never comes waits no longer because the line is quiet.
void Signalling::expire_while_idle() {
    if (!live_ || !tcp_.waiting()) return;
    tcp_.expire(wall_clock_ns());
    publish_counters();
}

void Signalling::emit(SignallingEvent&& event) {
    if (!waiting_.empty() || !events_.push(std::move(event))) waiting_.push_back(std::move(event));
    control_wakeup_.notify();
}

void Signalling::publish_counters() {
    const SipCounters now = dialogs_.counters();
    counters_.messages.set(now.messages);
    counters_.malformed.set(now.malformed);
    counters_.duplicates.set(now.duplicates);
    counters_.out_of_dialog.set(now.out_of_dialog);
    counters_.calls.set(dialogs_.calls());
    counters_.calls_evicted.set(now.calls_evicted);
    const SipTcpCounters& tcp = tcp_.counters();
    counters_.tcp_connections.set(tcp.connections);
    counters_.tcp_gaps.set(tcp.gaps);
    counters_.tcp_resyncs.set(tcp.resyncs);
    counters_.tcp_evicted.set(tcp.evicted);
}

void Signalling::run(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
        if (step()) continue;
        expire_while_idle();
        own_wakeup_.wait(waiting_.empty() ? kIdleWaitMs : kControlWaitMs, [this] {
            if (!waiting_.empty()) return true;
            return std::all_of(workers_.begin(), workers_.end(),
                               [](const WorkerLinks* links) { return links->signalling.used_bytes() == 0; });
        });
    }
}

}  // namespace spantape
