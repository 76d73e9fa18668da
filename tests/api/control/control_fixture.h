// SPDX-License-Identifier: AGPL-3.0-or-later
// CallControl with its inputs made up and its outputs kept.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "api/control/call_control.h"

namespace spantape {

inline Endpoint at(const char* ip, std::uint16_t port) { return {*IpAddress::parse(ip), port}; }
inline const Endpoint kCaller = at("10.0.0.1", 4000);
inline const Endpoint kCallee = at("10.0.0.2", 5000);

class Outputs : public ControlOutputs {
public:
    void decide(const Decision& decision) override { decisions.push_back(decision); }
    void put(PutRecording&& command) override { documents.push_back(std::move(command)); }
    void flush(std::uint64_t token) override { flushes.push_back(token); }
    void command_writer(WriterCommand&& command) override { commands.push_back(std::move(command)); }
    void publish(const api::Event& event) override { events.push_back(event); }
    void forget_sip_call(std::uint64_t call) override { forgotten.push_back(call); }
    std::uint64_t next_number(const std::string& series) override { return ++numbers[series]; }
    bool filename_taken(const std::string& filename) override { return taken.contains(filename); }
    void completed(std::uint64_t ident) override { complete.push_back(ident); }
    std::uint64_t dropped_by_kernel() override { return kernel_drops; }
    void log(std::string_view, const std::string& line) override { lines.push_back(line); }

    std::vector<std::string> types() const {
        std::vector<std::string> out;
        for (const auto& event : events) out.push_back(event.type);
        return out;
    }

    std::vector<Decision> decisions;
    std::vector<PutRecording> documents;
    std::vector<WriterCommand> commands;
    std::vector<std::uint64_t> flushes, forgotten, complete;
    std::vector<api::Event> events;
    std::map<std::string, std::uint64_t> numbers;
    std::set<std::string> taken;
    std::uint64_t kernel_drops = 0;
    std::vector<std::string> lines;
};

class CallControlTest : public ::testing::Test {
protected:
    explicit CallControlTest(ControlOptions options = {.channels = 4}) { restart(std::move(options)); }
    void restart(ControlOptions options) { control = std::make_unique<CallControl>(std::move(options), outputs, now); }

    void sip(auto what) { control->on_sip({now, std::move(what)}); }
    void start(std::uint64_t call, const std::string& from, const std::string& to) {
        sip(SipCallStarted{call, "id-" + std::to_string(call), {from, "pbx", ""}, {to, "pbx", ""}, to, {}, {}});
    }
    void media(std::uint64_t call, CallParty party, const Endpoint& endpoint, bool hold = false) {
        sip(SipCallMedia{call, {{party, endpoint, {{0, "PCMU", 8000, 1, ""}}, hold, false}}});
    }
    // INVITE with SDP, 200 with SDP.
    void establish(std::uint64_t call, const std::string& from, const std::string& to) {
        start(call, from, to);
        media(call, CallParty::caller, kCaller);
        media(call, CallParty::callee, kCallee);
        sip(SipCallAnswered{call});
    }
    void bound(std::uint64_t session, std::uint64_t stream, CallParty sender, TimeNs first = 0) {
        control->on_worker(
            {.kind = WorkerEvent::Kind::stream_bound,
             .sender = sender,
             .session = session,
             .stream = stream,
             .time_ns = first != 0 ? first : now,
             .flow = sender == CallParty::caller ? FlowKey{kCaller, kCallee, 7} : FlowKey{kCallee, kCaller, 8}});
    }
    // The worker answers end_session; the writer answers documents.
    void answer_workers() {
        std::vector<std::uint64_t> sessions;
        for (const auto& decision : outputs.decisions)
            if (decision.kind == Decision::Kind::end_session) sessions.push_back(decision.session);
        std::erase_if(outputs.decisions, [](const auto& d) { return d.kind == Decision::Kind::end_session; });
        for (const std::uint64_t session : sessions)
            control->on_worker({.kind = WorkerEvent::Kind::session_ended, .session = session});
    }
    void answer_writer() {
        for (const auto& document : std::exchange(outputs.documents, {}))
            control->on_writer(RecordingStored{document.recording.ident, document.final});
        for (const std::uint64_t token : std::exchange(outputs.flushes, {})) control->on_writer(Flushed{token});
    }
    void tick(std::uint16_t worker = 0) {
        control->on_worker({.kind = WorkerEvent::Kind::tick, .worker = worker, .time_ns = now});
        while (control->write_due_document()) {
        }
    }
    void pass(double s) {
        now += static_cast<TimeNs>(s * 1e9);
        tick();
    }
    void bye(std::uint64_t call) {
        sip(SipCallEnded{call, SipCallEnd::bye, 0});
        pass(1);
        answer_workers();
        answer_writer();
    }
    const Recording& last_document() {
        tick();  // documents that are due are written then
        return outputs.documents.back().recording;
    }

    TimeNs now = 1'700'000'000 * kNsPerSecond;
    Outputs outputs;
    std::unique_ptr<CallControl> control;
};

using Types = std::vector<std::string>;

}  // namespace spantape
