// SPDX-License-Identifier: AGPL-3.0-or-later
// Calls at random, as a bad network and a hasty client make them: messages lost, doubled, out of order; API functions
// in between; workers and the writer that answer when they like. Whatever comes, nothing leaks, nothing is told twice,
// and what was answered and had media is recorded. SPANTAPE_TEST_SEED repeats one run; SPANTAPE_CALL_RUNS makes more.
#include <cstdlib>
#include <random>

#include "api/control/directory.h"
#include "tests/api/control/control_fixture.h"

namespace spantape {
namespace {

constexpr std::uint64_t kDevices = 4;

std::uint64_t number_of(const char* name, std::uint64_t by_default) {
    const char* given = std::getenv(name);
    return given != nullptr ? std::strtoull(given, nullptr, 10) : by_default;
}

class RandomCallsTest : public CallControlTest {
protected:
    void begin(std::uint64_t seed) {
        random_.seed(seed);
        outputs = {};
        messages_.clear();
        ended_sessions_.clear();
        last_.clear();
        next_call_ = next_stream_ = 0;
        clean_ = below(3) == 0;
        std::vector<RuleText> rules;
        scheduled_ = below(2) == 0;
        if (scheduled_) rules = {{{"name", "none of d3"}, {"device", "d3"}, {"decision", "skip"}}, {{"name", "rest"}}};
        directory_ = std::make_unique<Directory>(Directory::Base{.schedule = rules});
        channels_ = below(2) == 0 ? 3 : 100;
        ControlOptions options{.channels = channels_, .blackout_limit_ns = 20 * kNsPerSecond};
        if (below(2) == 0) options.device_match = {"^d[0-9]$"};
        if (below(4) == 0) options.hold_back_ns = kNsPerSecond;
        control = std::make_unique<CallControl>(options, outputs, now, directory_.get());
    }

    void step() {
        now += static_cast<TimeNs>(below(300)) * kNsPerMs;
        switch (below(10)) {
            case 0:
            case 1:
                plan_call();
                break;
            case 2:
            case 3:
            case 4:
            case 5:
                deliver();
                break;
            case 6:
                media_comes();
                break;
            case 7:
                ask();
                break;
            case 8:
                answer_some();
                break;
            default:
                tick();
        }
        check_channels();
    }

    // All ends: what was under way arrives, media ceases, workers and writer answer.
    void finish() {
        while (!messages_.empty()) deliver();
        tick();
        control->end_all(now, "shutdown");
        for (int round = 0; round < 50 && !control->idle(); ++round) {
            pass(1);
            end_sessions();
            answer_writer();
        }
    }

    void check() {
        ASSERT_TRUE(control->idle());
        ASSERT_EQ(control->channels().in_use(), 0u);
        ASSERT_EQ(control->active_calls(), 0u);
        std::map<std::string, int> counts;
        for (const auto& event : outputs.events) ++counts[event.type];
        ASSERT_EQ(counts["CALLSTART"], counts["CALLSTOP"]);
        ASSERT_EQ(counts["RECORDINGSTARTED"], counts["RECORDINGSTOPPED"]);
        ASSERT_EQ(counts["RECORDINGSTARTED"], counts["RECORDINGUPDATE"]);
        ASSERT_EQ(outputs.complete.size(), static_cast<std::size_t>(counts["RECORDINGSTARTED"]));
        const std::set<std::uint64_t> idents(outputs.complete.begin(), outputs.complete.end());
        ASSERT_EQ(idents.size(), outputs.complete.size()) << "completed twice";
        for (const auto& [ident, document] : last_) {
            ASSERT_EQ(document.state, RecordingState::stored) << ident;
            ASSERT_GE(document.stop_ns, document.start_ns) << ident;
            ASSERT_FALSE(document.ended_by.empty()) << ident;
            if (scheduled_) {
                ASSERT_NE(document.device_id, "d3") << "nobody wanted it, nor asked";
            }
        }
        const Assurance::Counts& told = control->assurance().counts();
        ASSERT_GE(told.whole + told.short_of, idents.size());
    }

    [[nodiscard]] std::uint64_t below(std::uint64_t limit) {
        return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(random_);
    }

private:
    // The messages of one call, with what the network does to them.
    void plan_call() {
        const std::uint64_t call = ++next_call_;
        const std::string device = fmt::format("d{}", below(kDevices));
        const std::string other = below(3) == 0 ? fmt::format("d{}", below(kDevices)) : "5551234";
        const auto port = static_cast<std::uint16_t>(10'000 + call);
        const Endpoint here = at("10.0.0.1", port), there = at("10.0.0.2", port);
        const auto described = [&](CallParty party, const Endpoint& endpoint) {
            return SipCallMedia{call, {{party, endpoint, {{0, "PCMU", 8000, 1, ""}}, false, false}}};
        };
        std::vector<decltype(SipEvent::what)> planned;
        planned.emplace_back(
            SipCallStarted{call, fmt::format("id-{}", call), {other, "pbx", ""}, {device, "pbx", ""}, device, {}, {}});
        planned.emplace_back(described(CallParty::caller, here));
        planned.emplace_back(described(CallParty::callee, there));
        if (below(5) != 0) planned.emplace_back(SipCallAnswered{call});
        planned.emplace_back(SipCallEnded{call, below(2) == 0 ? SipCallEnd::bye : SipCallEnd::failed, 0});
        for (auto& what : planned) {
            const std::uint64_t fate = clean_ ? 9 : below(12);
            if (fate == 0 && !std::holds_alternative<SipCallStarted>(what)) continue;
            messages_.push_back(what);
            if (fate == 1) messages_.push_back(what);
            if (fate == 2 && messages_.size() > 1) std::swap(messages_.back(), *(messages_.end() - 2));
        }
    }

    void deliver() {
        if (messages_.empty()) return;
        control->on_sip({now, messages_.front()});
        messages_.pop_front();
    }

    // Of some session that is watched for.
    void media_comes() {
        std::vector<std::uint64_t> watched;
        for (const Decision& decision : outputs.decisions)
            if (decision.kind == Decision::Kind::watch && !ended_sessions_.contains(decision.session))
                watched.push_back(decision.session);
        if (watched.empty()) return;
        const std::uint64_t session = watched[below(watched.size())];
        if (below(10) == 0)
            return control->on_worker({.kind = WorkerEvent::Kind::session_quiet, .session = session, .time_ns = now});
        bound(session, ++next_stream_, below(2) == 0 ? CallParty::caller : CallParty::callee);
    }

    void ask() {
        // d3 is nobody's wish.
        const DeviceAddress who{.device_id = fmt::format("d{}", below(kDevices - 1))};
        FieldUpdate fields;
        if (below(2) == 0) fields.priority = static_cast<std::int32_t>(below(3));
        if (below(4) == 0) fields.max_record_time_s = static_cast<std::int32_t>(1 + below(5));
        if (below(4) == 0) fields.max_record_silence_s = 1;
        switch (below(8)) {
            case 0:
                control->call_start(who, fields, now);
                break;
            case 1:
                control->call_stop(who, now);
                break;
            case 2:
                control->call_update(who, fields, now);
                break;
            case 3:
                control->record_start(who, fields, now);
                break;
            case 4:
                control->record_stop(who, fields, now);
                break;
            case 5:
                control->blackout_start(who, -kNsPerSecond, now);
                break;
            case 6:
                control->blackout_stop(who, 0, now);
                break;
            default:
                control->on_writer(SessionSilent{1 + below(outputs.numbers["session"] + 1), now - 3 * kNsPerSecond});
        }
    }

    void answer_some() {
        if (below(2) == 0) end_sessions();
        if (below(2) == 0) answer_writer();
    }
    void end_sessions() {
        for (const Decision& decision : outputs.decisions)
            if (decision.kind == Decision::Kind::end_session) ended_sessions_.insert(decision.session);
        answer_workers();
    }
    void answer_writer() {
        for (const auto& put : outputs.documents) {
            Recording& last = last_[put.recording.ident];
            ASSERT_TRUE(last.state != RecordingState::stored || put.recording.state == RecordingState::stored)
                << "a document of a running recording after the last one";
            last = put.recording;
        }
        CallControlTest::answer_writer();
    }

    void check_channels() {
        ASSERT_LE(control->channels().in_use(), channels_);
        std::set<std::uint32_t> held;
        for (const auto& [id, device] : control->devices())
            for (const auto& call : device.calls)
                for (const auto& recording : call->recordings)
                    if (!recording->stopped) {
                        ASSERT_NE(recording->fields.channel, 0u);
                        ASSERT_TRUE(held.insert(recording->fields.channel).second) << "one channel, two recordings";
                    }
    }

    std::mt19937_64 random_;
    std::unique_ptr<Directory> directory_;
    std::deque<decltype(SipEvent::what)> messages_;
    std::set<std::uint64_t> ended_sessions_;
    std::map<std::uint64_t, Recording> last_;
    std::uint64_t next_call_ = 0, next_stream_ = 0;
    std::uint32_t channels_ = 0;
    bool clean_ = false, scheduled_ = false;
};

TEST_F(RandomCallsTest, NothingLeaksAndNothingIsToldTwice) {
    const std::uint64_t first = number_of("SPANTAPE_TEST_SEED", 1);
    const std::uint64_t runs = number_of("SPANTAPE_CALL_RUNS", 300);
    for (std::uint64_t seed = first; seed < first + runs; ++seed) {
        SCOPED_TRACE(fmt::format("SPANTAPE_TEST_SEED={} SPANTAPE_CALL_RUNS=1", seed));
        begin(seed);
        for (std::uint64_t steps = 50 + below(200); steps > 0 && !HasFailure(); --steps) step();
        finish();
        check();
        if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace spantape
