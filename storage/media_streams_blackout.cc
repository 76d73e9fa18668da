// SPDX-License-Identifier: AGPL-3.0-or-later
// What is not to be stored. Nothing here costs anything while there is no blackout.
#include <algorithm>

#include "storage/media_streams.h"

namespace spantape {

namespace {

bool holds(const std::vector<std::uint64_t>& numbers, std::uint64_t number) {
    return std::ranges::find(numbers, number) != numbers.end();
}

}  // namespace

// A stream's sessions, with those that it has left: their windows hold for what came before.
void MediaStreams::see_sessions(Stream& stream) {
    const auto see = [&](std::uint64_t session) {
        if (session != 0 && !holds(stream.sessions, session)) stream.sessions.push_back(session);
    };
    see(stream.handle->session_id);
    for (const auto& session : stream.handle->sessions) see(session.load(std::memory_order_acquire));
}

RedactionWindow MediaStreams::black_out(const Blackout& command) {
    rules_[command.session].windows.set(command.id, command.window);
    RedactionWindow redact{command.streams, command.window.from_ns, command.window.to_ns};
    for (Stream& stream : streams_) {
        if (stream.handle == nullptr) continue;
        see_sessions(stream);
        if (!holds(stream.sessions, command.session)) continue;
        const std::uint64_t id = stream.handle->stream_id;
        std::erase(redact.streams, id);
        if (stream.newest_ns >= command.window.from_ns) redact.streams.push_back(id);
    }
    return redact;
}

void MediaStreams::end_blackout(const EndBlackout& command) {
    if (const auto known = rules_.find(command.session); known != rules_.end())
        known->second.windows.end(command.id, command.to_ns);
}

BlackoutWindow MediaStreams::blackout(std::uint64_t session, std::uint64_t id, BlackoutWindow unless) const {
    const auto known = rules_.find(session);
    const BlackoutWindow* window = known == rules_.end() ? nullptr : known->second.windows.find(id);
    return window == nullptr ? unless : *window;
}

void MediaStreams::session_over(std::uint64_t session) {
    const auto known = rules_.find(session);
    if (known == rules_.end()) return;
    known->second.over = true;
    for (Stream& stream : streams_)
        if (stream.handle != nullptr) see_sessions(stream);
    forget_windows({session});
}

// Those of the sessions that are over and have no stream left.
void MediaStreams::forget_windows(const std::vector<std::uint64_t>& sessions) {
    for (const std::uint64_t session : sessions) {
        const auto known = rules_.find(session);
        if (known == rules_.end() || !known->second.over) continue;
        const bool used = std::ranges::any_of(streams_, [&](const Stream& stream) {
            return stream.handle != nullptr && holds(stream.sessions, session);
        });
        if (!used) rules_.erase(known);
    }
}

void MediaStreams::find_windows(Stream& stream) {
    windows_.clear();
    silences_.clear();
    if (rules_.empty()) return;
    see_sessions(stream);
    for (const std::uint64_t session : stream.sessions)
        if (const auto known = rules_.find(session); known != rules_.end()) {
            windows_.push_back(&known->second.windows);
            if (known->second.silence) silences_.push_back(&*known->second.silence);
        }
}

const BlackoutWindow* MediaStreams::window_at(TimeNs arrival_ns) const {
    for (const BlackoutWindows* windows : windows_)
        if (const BlackoutWindow* window = windows->at(arrival_ns)) return window;
    return nullptr;
}

// The first of a row of frames left out is preceded by a mark at the window's edge, or behind what was stored last
// where that came later.
Result<> MediaStreams::leave_out(Stream& stream, const RingRecord& record, const BlackoutWindow& window,
                                 std::size_t ring_bytes) {
    if (!stream.paused) {
        const TimeNs before_ns = stream.counters.stored == 0 ? record.arrival_ns : stream.last_ns;
        const TimeNs edge_ns = std::min(std::max(window.from_ns, before_ns), record.arrival_ns);
        if (auto room = make_room(stream, 0, edge_ns, ring_bytes); !room) return room;
        chunk_.add_mark(FrameKind::pause, edge_ns, 0);
        stream.paused = true;
    }
    stream.dark_ns = record.arrival_ns;
    ++stream.counters.blacked_out;
    stream.left_out_bytes += record.payload_bytes;
    return {};
}

// A frame is stored again: it came behind the window, or out of order from before it.
Result<> MediaStreams::mark_resume(Stream& stream, const RingRecord& record, std::size_t ring_bytes) {
    const BlackoutWindow* window = window_at(stream.dark_ns);  // its end may be known by now
    TimeNs edge_ns = window == nullptr ? stream.dark_ns : window->to_ns;
    if (record.arrival_ns < edge_ns) edge_ns = window == nullptr ? stream.dark_ns : window->from_ns;
    if (auto room = make_room(stream, 0, edge_ns, ring_bytes); !room) return room;
    chunk_.add_mark(FrameKind::resume, edge_ns, 0);
    stream.paused = false;
    return {};
}

void MediaStreams::note_left_out(const Stream& stream) {
    if (stream.counters.blacked_out == 0) return;
    left_out_[stream.handle->stream_id] = {stream.counters.blacked_out, stream.left_out_bytes};
}

void MediaStreams::correct_counters(Recording& recording) const {
    if (left_out_.empty()) return;
    for (RecordedStream& stream : recording.streams) {
        const auto known = left_out_.find(stream.stream_id);
        if (known == left_out_.end() || known->second.frames <= stream.counters.blacked_out) continue;
        // One that was read back from the index is corrected already; one of a running call has no counters yet.
        const std::uint64_t frames = known->second.frames - stream.counters.blacked_out;
        stream.counters.blacked_out += frames;
        stream.counters.stored -= std::min(stream.counters.stored, frames);
        stream.counters.payload_bytes -= std::min(stream.counters.payload_bytes, known->second.bytes);
    }
}

}  // namespace spantape
