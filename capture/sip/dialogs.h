// SPDX-License-Identifier: AGPL-3.0-or-later
// SIP messages -> call events. One instance, on the signalling thread; pure of clocks and sockets: time comes with
// each message and with expire().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "capture/sip/events.h"

namespace spantape {

struct SipLimits {
    // Dialogs known at once; the oldest that got no response gives way first, then the oldest unanswered (told as
    // failed), then the oldest (not told: its audio goes on, and its recording ends with the audio).
    std::size_t max_calls = 200'000;
    std::size_t max_users = 200'000;  // registrations remembered while unconfirmed
    // A call without final answer is forgotten (ended as failed) when nothing was heard of it for so long.
    TimeNs unanswered_ns = 300 * kNsPerSecond;
    // An ended Call-ID is remembered for so long, so that retransmissions start nothing.
    TimeNs ended_linger_ns = 64 * kNsPerSecond;
};

struct SipCounters {
    std::uint64_t messages = 0;       // understood
    std::uint64_t malformed = 0;      // looked like SIP and could not be parsed
    std::uint64_t duplicates = 0;     // seen before (mirrored twice, retransmitted)
    std::uint64_t out_of_dialog = 0;  // understood, of no call (OPTIONS, SUBSCRIBE, ...)
    std::uint64_t calls_evicted = 0;
};

class SipDialogs {
public:
    // Called within on_message() and expire(); must not call back into this object.
    using Emit = std::function<void(SipEvent&&)>;
    SipDialogs(SipLimits limits, Emit emit);
    ~SipDialogs();
    SipDialogs(const SipDialogs&) = delete;
    SipDialogs& operator=(const SipDialogs&) = delete;

    // One datagram that looked like SIP. Never fails: what cannot be understood is counted, and whatever part of a
    // broken message is usable (start line, Call-ID, CSeq, From, To) is used.
    void on_message(TimeNs time_ns, const Endpoint& source, const Endpoint& destination,
                    std::span<const std::uint8_t> message);
    // Control ended this call itself (media timeout): its dialog is forgotten.
    void forget(std::uint64_t call);
    // Forgets what is too old; cheap, may be called every second of the capture clock.
    void expire(TimeNs now_ns);

    [[nodiscard]] SipCounters counters() const;
    [[nodiscard]] std::size_t calls() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// True when a UDP payload begins like a SIP message: "SIP/2.0 " or METHOD SP, METHOD one of RFC 3261's and its
// extensions'. Cheap: for the worker's per-packet use; no allocation.
[[nodiscard]] bool looks_like_sip(std::span<const std::uint8_t> payload);

}  // namespace spantape
