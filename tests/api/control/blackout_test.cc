// SPDX-License-Identifier: AGPL-3.0-or-later
// Blackouts as decisions: which window, on which call, told to whom.
#include "api/control/blackout.h"

#include <algorithm>
#include <random>

#include "tests/api/control/control_fixture.h"

namespace spantape {
namespace {

constexpr TimeNs kSecond = kNsPerSecond;

class BlackoutTest : public CallControlTest {
protected:
    BlackoutTest() : CallControlTest({.channels = 4, .blackout_limit_ns = 600 * kSecond}) {
        establish(1, "a", "1111");
        bound(1, 500, CallParty::caller);
        bound(1, 501, CallParty::callee);
        pass(100);
        outputs.events.clear();
        outputs.commands.clear();
    }
    CallControl::BlackoutStarted black(int offset_s = 0, DeviceAddress who = {.device_id = "1111"}) {
        return control->blackout_start(who, offset_s * kSecond, now);
    }
    CallOutcome resume(int offset_s = 0, DeviceAddress who = {.device_id = "1111"}) {
        return control->blackout_stop(who, offset_s * kSecond, now);
    }
    template <class Command>
    Command last() {
        return std::get<Command>(outputs.commands.back());
    }
    ChannelState channel() const { return control->channels().all()[0].state; }
};

TEST_F(BlackoutTest, FromStartToStopTheWriterStoresNothingAndEventsMarkTheEdges) {
    EXPECT_EQ(black().outcome, CallOutcome::ok);
    const auto begun = last<Blackout>();
    EXPECT_EQ(begun.session, 1u);
    EXPECT_EQ(begun.window.from_ns, now);
    EXPECT_EQ(begun.window.to_ns, now + 600 * kSecond);  // where the limit ends it
    EXPECT_EQ(begun.streams, (std::vector<std::uint64_t>{500, 501}));
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGPAUSED"}));
    EXPECT_EQ(channel(), ChannelState::waiting);
    const TimeNs from_ns = now;
    EXPECT_EQ(last_document().blackouts, (std::vector<BlackoutWindow>{{from_ns, INT64_MAX}}));
    pass(5);
    EXPECT_EQ(resume(), CallOutcome::ok);
    EXPECT_EQ(last<EndBlackout>().id, begun.id);
    EXPECT_EQ(last<EndBlackout>().to_ns, now);
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGPAUSED", "RECORDINGRESUMED"}));
    EXPECT_EQ(channel(), ChannelState::recording);
    EXPECT_EQ(last_document().blackouts, (std::vector<BlackoutWindow>{{from_ns, now}}));
    EXPECT_EQ(recording_from_json(to_json(last_document()))->blackouts, last_document().blackouts);
    EXPECT_NE(to_public_json(last_document()).find("\"blackouts\":[{\"from\":"), std::string::npos);
}

TEST_F(BlackoutTest, WhatMayCarryItOnceMoreIsDarkToo) {
    for (const char* encoding : {"red", "OPUS"}) {
        sip(SipCallMedia{1, {{CallParty::caller, kCaller, {{111, encoding, 48000, 2, ""}}, false, false}}});
        black();
        const TimeNs from_ns = now;
        pass(5);
        resume();
        EXPECT_EQ(last<EndBlackout>().to_ns, now + 200 * kNsPerMs) << encoding;
        EXPECT_EQ(last_document().blackouts.back(), (BlackoutWindow{from_ns, now}));
        pass(5);
    }
}

TEST_F(BlackoutTest, NegativeOffsetsReachIntoThePastAndAwaitIt) {
    const auto started = black(-7);
    EXPECT_NE(started.token, 0u);
    EXPECT_EQ(last<Blackout>().token, started.token);
    EXPECT_EQ(last<Blackout>().window.from_ns, now - 7 * kSecond);
    EXPECT_EQ(last<Blackout>().window.to_ns, now + 600 * kSecond);
    pass(30);
    EXPECT_EQ(resume(-10), CallOutcome::ok);
    EXPECT_EQ(last<EndBlackout>().to_ns, now - 10 * kSecond);
    EXPECT_NE(black(0).token, 0u);  // what arrives until the writer hears of it
    EXPECT_EQ(resume(), CallOutcome::ok);
    EXPECT_EQ(black(1).token, 0u);  // nothing of it is past
}

TEST_F(BlackoutTest, PositiveOffsetsComeWithTime) {
    const TimeNs begin = now;
    black(10);
    EXPECT_EQ(last<Blackout>().window.from_ns, begin + 10 * kSecond);
    EXPECT_TRUE(outputs.events.empty());
    pass(9);
    EXPECT_TRUE(outputs.events.empty());
    pass(1);
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGPAUSED"}));
    resume(20);
    EXPECT_EQ(last<EndBlackout>().to_ns, begin + 30 * kSecond);
    pass(19);
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGPAUSED"}));
    pass(1);
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGPAUSED", "RECORDINGRESUMED"}));
}

// manual: BLACKOUTSTOP, Notes
TEST_F(BlackoutTest, AStopBeforeTheStartMakesThemTheSame) {
    black();
    const TimeNs from_ns = now;
    pass(30);
    EXPECT_EQ(resume(-60), CallOutcome::ok);
    EXPECT_EQ(last<EndBlackout>().to_ns, from_ns);
}

TEST_F(BlackoutTest, AStopWithoutAStartHasNoBlackout) {
    EXPECT_EQ(resume(), CallOutcome::no_blackout);
    black();
    EXPECT_EQ(resume(), CallOutcome::ok);
    EXPECT_EQ(resume(), CallOutcome::no_blackout);
    EXPECT_EQ(resume(0, {.device_id = "9"}), CallOutcome::device_invalid);
    EXPECT_EQ(resume(0, {.sys_user = "nobody"}), CallOutcome::agent_not_found);
}

TEST_F(BlackoutTest, ASecondStartBeginsEarlierAtMostAndOneStopEndsBoth) {
    black();
    const auto first = last<Blackout>();
    pass(5);
    black(-20);
    EXPECT_EQ(last<Blackout>().id, first.id);
    EXPECT_EQ(last<Blackout>().window.from_ns, now - 20 * kSecond);
    black(3);
    EXPECT_EQ(last<Blackout>().window.from_ns, now - 20 * kSecond);
    EXPECT_EQ(resume(), CallOutcome::ok);
    EXPECT_EQ(resume(), CallOutcome::no_blackout);
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGPAUSED", "RECORDINGRESUMED"}));
}

TEST_F(BlackoutTest, AWindowBeforeTheCallIsCutToTheRecording) {
    black(-100'000);
    const Recording document = last_document();
    EXPECT_EQ(document.blackouts.at(0).from_ns, document.start_ns);
}

TEST_F(BlackoutTest, AMissingStopEndsItAtTheLimit) {
    black();
    const TimeNs begin = now;
    pass(599);
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGPAUSED"}));
    pass(1);
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGPAUSED", "RECORDINGRESUMED"}));
    EXPECT_EQ(last<EndBlackout>().to_ns, begin + 600 * kSecond);
    EXPECT_NE(outputs.lines.back().find("had no stop"), std::string::npos);
    EXPECT_EQ(resume(), CallOutcome::no_blackout);
}

TEST_F(BlackoutTest, TheCallEndsInsideAWindowAndItsDocumentTells) {
    black();
    const TimeNs from_ns = now;
    pass(5);
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    pass(1);
    answer_workers();
    EXPECT_TRUE(outputs.documents.back().final);
    const Recording document = last_document();
    EXPECT_EQ(document.blackouts, (std::vector<BlackoutWindow>{{from_ns, document.stop_ns}}));
    EXPECT_EQ(last<SessionOver>().session, 1u);
    EXPECT_EQ(std::ranges::count(outputs.types(), "RECORDINGRESUMED"), 0);
    EXPECT_EQ(black().outcome, CallOutcome::not_in_call);
}

TEST_F(BlackoutTest, TheCallIsFoundByAliasUsersAndInstance) {
    FieldUpdate fields{.device_alias = "Desk", .sys_user = "JSMITH", .crm_user = "crm7"};
    control->call_update({.device_id = "1111"}, fields, now);
    EXPECT_EQ(black(0, {.device_alias = "Desk"}).outcome, CallOutcome::ok);
    EXPECT_EQ(resume(0, {.sys_user = "JSMITH"}), CallOutcome::ok);
    EXPECT_EQ(black(0, {.crm_user = "crm7", .instance = "1"}).outcome, CallOutcome::ok);
    EXPECT_EQ(resume(0, {.crm_user = "crm7", .instance = "2"}), CallOutcome::not_in_call);
    EXPECT_EQ(black(0, {.device_alias = "Nobody's"}).outcome, CallOutcome::device_invalid);
}

// manual: BLACKOUTSTOP, Notes: without CALLINSTANCE, the last call on the device.
TEST_F(BlackoutTest, WithoutAnInstanceItIsTheLastCall) {
    establish(2, "b", "1111");
    black();
    EXPECT_EQ(last<Blackout>().session, 2u);
    black(0, {.device_id = "1111", .instance = "1"});
    EXPECT_EQ(last<Blackout>().session, 1u);
}

TEST_F(BlackoutTest, ARecordingThatStartsInAWindowIsPaused) {
    black();
    outputs.events.clear();
    control->record_start({.device_id = "1111"}, {}, now);
    EXPECT_EQ(outputs.types(), (Types{"RECORDINGSTARTED", "RECORDINGPAUSED"}));
    resume();
    EXPECT_EQ(std::ranges::count(outputs.types(), "RECORDINGRESUMED"), 2);  // of both recordings
}

TEST_F(BlackoutTest, ARecordingBegunAnewInAnotherSessionStaysDark) {
    black(-5);
    const auto window = last<Blackout>().window;
    control->record_stop({.device_id = "1111"}, {}, now);
    control->record_start({.device_id = "1111"}, {}, now);
    EXPECT_EQ(last<Blackout>().session, 2u);
    EXPECT_EQ(last<Blackout>().window, window);
    EXPECT_EQ(outputs.types().back(), "RECORDINGPAUSED");
}

TEST_F(BlackoutTest, WhatWasTakenOffTheDiskIsInTheLedger) {
    control->on_worker({.kind = WorkerEvent::Kind::stream_left,
                        .session = 1,
                        .stream = 500,
                        .time_ns = now,
                        .counters = {.stored = 100}});
    control->redacted(1, 40);
    EXPECT_NE(to_public_json(last_document()).find("\"stored\":60"), std::string::npos);
    EXPECT_NE(to_public_json(last_document()).find("\"blacked_out\":40"), std::string::npos);
}

// Of a call of the agent that is over: on its media as long as that is under way, else by its recording.
TEST_F(BlackoutTest, AnAgentsReachesBackIntoCallsThatAreOver) {
    sip(SipCallEnded{1, SipCallEnd::bye, 0});
    const TimeNs ended_ns = now;
    now += kSecond / 10;
    const TimeNs first_ns = now - 5 * kSecond;
    auto started = control->agent_blackout_start({.device_id = "1111"}, -5 * kSecond, now);
    EXPECT_EQ(started.outcome, CallOutcome::ok);
    ASSERT_EQ(started.tokens.size(), 1u);
    EXPECT_EQ(last<Blackout>().token, started.tokens[0]);
    EXPECT_EQ(last<Blackout>().session, 1u);
    EXPECT_EQ(last<Blackout>().window.from_ns, first_ns);
    ASSERT_TRUE(started.past);
    EXPECT_EQ(started.past->window, (BlackoutWindow{first_ns, now}));
    EXPECT_EQ(started.past->whose, (std::vector<std::pair<std::string, std::string>>{{"device_id", "1111"}}));
    pass(2);
    answer_workers();
    EXPECT_TRUE(control->completing(*started.past)) << "its document is on its way";
    const Recording stored = outputs.documents.back().recording;
    EXPECT_EQ(stored.blackouts, (std::vector<BlackoutWindow>{{first_ns, stored.stop_ns}}));
    EXPECT_TRUE(started.past->reaches(stored));
    answer_writer();
    EXPECT_FALSE(control->completing(*started.past));

    control->agent_blackout_stop({.device_id = "1111"}, 0, now);
    started = control->agent_blackout_start({.device_id = "1111"}, -1 * kSecond, now);
    EXPECT_TRUE(started.tokens.empty());
    ASSERT_TRUE(started.past);
    EXPECT_FALSE(started.past->reaches(stored)) << "it had ended before";
    EXPECT_GT(now - ended_ns, kSecond);
    EXPECT_FALSE(control->agent_blackout_start({.device_id = "1111"}, 0, now).past);
}

// Random starts and stops against a plain list of what is dark: what the writer is told, put together, is dark at the
// same instants as a model that knows edges alone.
// A daemon that is started anew, with what the one before it said last.
class ResumedBlackoutTest : public BlackoutTest {
protected:
    void restart() {
        const auto running = control->running_blackouts();
        control = std::make_unique<CallControl>(options(), outputs, now);
        control->resume_blackouts(running, now);
        outputs.events.clear();
        outputs.commands.clear();
    }
    [[nodiscard]] static ControlOptions options() { return {.channels = 4, .blackout_limit_ns = 600 * kSecond}; }
    // A call that is found while it goes on.
    void joined(std::uint64_t call, const std::string& device) {
        sip(SipCallStarted{
            call, "id-" + std::to_string(call), {"a", "pbx", ""}, {device, "pbx", ""}, device, {}, {}, false});
        media(call, CallParty::caller, kCaller);
        media(call, CallParty::callee, kCallee);
        sip(SipCallAnswered{call});
    }
};

TEST_F(ResumedBlackoutTest, ACallThatGoesOnStaysDarkUntilItsStop) {
    black(-5);
    const TimeNs from_ns = now - 5 * kSecond;
    restart();
    EXPECT_EQ(control->running_blackouts().size(), 1u);
    pass(3);
    joined(7, "1111");
    const auto begun = last<Blackout>();
    EXPECT_EQ(begun.window.from_ns, from_ns);
    EXPECT_EQ(control->running_blackouts().size(), 1u) << "told twice";
    EXPECT_EQ(resume(), CallOutcome::ok);
    EXPECT_EQ(last<EndBlackout>().to_ns, now);
    EXPECT_EQ(resume(), CallOutcome::no_blackout);
    pass(1);
    EXPECT_TRUE(control->running_blackouts().empty());
}

TEST_F(ResumedBlackoutTest, ACallThatBeginsIsAnother) {
    black();
    restart();
    establish(7, "a", "1111");
    EXPECT_TRUE(outputs.commands.empty());
    joined(8, "2222");
    EXPECT_TRUE(outputs.commands.empty()) << "another device's";
}

TEST_F(ResumedBlackoutTest, ItsStopMayComeBeforeTheCallIsFound) {
    black();
    restart();
    EXPECT_EQ(resume(), CallOutcome::ok);
    EXPECT_EQ(resume(), CallOutcome::device_invalid);
    joined(7, "1111");
    EXPECT_TRUE(outputs.commands.empty());
}

TEST_F(ResumedBlackoutTest, TheLimitHoldsOverRestarts) {
    black();
    restart();
    pass(300);
    restart();
    joined(7, "1111");
    const auto begun = last<Blackout>();
    pass(301);
    EXPECT_EQ(last<EndBlackout>().id, begun.id);
    EXPECT_TRUE(control->running_blackouts().empty());
    black();
    pass(601);
    restart();
    EXPECT_TRUE(control->running_blackouts().empty());
}

TEST_F(ResumedBlackoutTest, AnAgentsGoesOnWithCallsThatBegin) {
    control->agent_blackout_start({.device_id = "1111"}, 0, now);
    restart();
    establish(7, "a", "1111");
    EXPECT_TRUE(std::holds_alternative<Blackout>(outputs.commands.back()));
    EXPECT_EQ(resume(), CallOutcome::no_blackout) << "a call's stop does not end its agent's";
    EXPECT_EQ(control->agent_blackout_stop({.device_id = "1111"}, 0, now), CallOutcome::ok);
    EXPECT_TRUE(std::holds_alternative<EndBlackout>(outputs.commands.back()));
}

TEST_F(BlackoutTest, RandomEdgesGiveTheWindowsOfAPlainModel) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 200; ++round) {
        CallBlackouts blackouts;
        struct Model {
            TimeNs from, to;
            bool open;
        };
        std::vector<Model> model;
        TimeNs at = 1'000'000;
        std::uint64_t id = 1;
        for (int i = 0; i < 20; ++i) {
            at += static_cast<TimeNs>(random() % 100);
            const TimeNs edge = at + static_cast<TimeNs>(random() % 200) - 100;
            auto open = std::ranges::find(model, true, &Model::open);
            if (random() % 2 == 0) {
                blackouts.start(id++, edge, at, 0);
                if (open == model.end())
                    model.push_back({edge, INT64_MAX, true});
                else
                    open->from = std::min(open->from, edge);
            } else {
                const auto* stopped = blackouts.stop(edge, at);
                if (open == model.end()) {  // one whose end is to come, the latest; else none
                    for (auto each = model.begin(); each != model.end(); ++each)
                        if (each->to > at && each->to > each->from && (open == model.end() || each->to >= open->to))
                            open = each;
                }
                ASSERT_EQ(stopped == nullptr, open == model.end());
                if (stopped != nullptr) *open = {open->from, std::max(open->from, edge), false};
            }
        }
        for (TimeNs probe = 1'000'000 - 200; probe < at + 300; ++probe) {
            const bool expected =
                std::ranges::any_of(model, [&](const Model& m) { return probe >= m.from && probe < m.to; });
            const bool dark =
                std::ranges::any_of(blackouts.all(), [&](const auto& each) { return each.window.holds(probe); });
            ASSERT_EQ(dark, expected) << round << " " << probe;
        }
    }
}

}  // namespace
}  // namespace spantape
