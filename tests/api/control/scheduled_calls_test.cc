// SPDX-License-Identifier: AGPL-3.0-or-later
// What follows from the schedule's decisions: what is watched for, recorded, and answered.
#include "api/control/directory.h"
#include "tests/api/control/control_fixture.h"

namespace spantape {
namespace {

const RuleText kSales{{"name", "sales"}, {"group", "Sales"}, {"priority", "7"}, {"keep_days", "30"}};
const RuleText kForbidden{{"name", "forbidden"}, {"dnis", "911"}, {"decision", "block"}};
const RuleText kPhone{{"name", "phone"}, {"device", "1111"}};

class ScheduledCallsTest : public CallControlTest {
protected:
    ScheduledCallsTest() { with({}, {kForbidden, kSales, kPhone}); }
    void with(std::vector<std::string> match, std::vector<RuleText> rules, std::uint32_t channels = 4) {
        directory_ = std::make_unique<Directory>(Directory::Base{.schedule = std::move(rules)});
        ControlOptions options{.device_match = std::move(match), .channels = channels};
        control = std::make_unique<CallControl>(options, outputs, now, directory_.get());
    }
    [[nodiscard]] std::size_t decisions(Decision::Kind kind) const {
        return static_cast<std::size_t>(std::ranges::count(outputs.decisions, kind, &Decision::kind));
    }
    CallOutcome call_start(const std::string& device, const std::string& group) {
        FieldUpdate fields;
        fields.group = group;
        return control->call_start({.device_id = device}, fields, now);
    }
    std::unique_ptr<Directory> directory_;
};

TEST_F(ScheduledCallsTest, OfACallThatNoRuleWantsNoMediaIsWatchedFor) {
    establish(1, "a", "2222");
    EXPECT_EQ(decisions(Decision::Kind::watch), 0u);
    EXPECT_TRUE(outputs.documents.empty());
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART"}));
    bye(1);
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART", "CALLSTOP"}));
    EXPECT_TRUE(control->idle());
}

TEST_F(ScheduledCallsTest, OneThatARuleWantsCarriesItsNameAndActions) {
    establish(1, "a", "1111");
    EXPECT_EQ(decisions(Decision::Kind::watch), 2u);
    EXPECT_EQ(last_document().schedule_rule, "phone");
    EXPECT_EQ(last_document().priority, 0);
    EXPECT_EQ(recording_from_json(to_json(last_document()))->schedule_rule, "phone");
    // A field that comes later ends nothing.
    EXPECT_EQ(call_start("1111", "Service"), CallOutcome::ok);
    EXPECT_EQ(last_document().group, "Service");
}

TEST_F(ScheduledCallsTest, CallstartMayTellMoreOfACallThatSipShows) {
    establish(1, "a", "2222");
    pass(2);
    EXPECT_EQ(call_start("2222", "Service"), CallOutcome::no_schedule);
    EXPECT_TRUE(outputs.documents.empty());
    EXPECT_EQ(call_start("2222", "Sales"), CallOutcome::ok);
    EXPECT_EQ(decisions(Decision::Kind::watch), 2u);
    EXPECT_EQ(last_document().schedule_rule, "sales");
    EXPECT_EQ(last_document().priority, 7);
    EXPECT_EQ(last_document().keep_days, 30);
}

TEST_F(ScheduledCallsTest, RecordstartOverridesAllButABlock) {
    establish(1, "a", "2222");
    EXPECT_EQ(control->record_start({.device_id = "2222"}, {}, now), CallOutcome::ok);
    EXPECT_EQ(decisions(Decision::Kind::watch), 2u);
    EXPECT_EQ(last_document().schedule_rule, "");
    establish(2, "1111", "911");
    EXPECT_EQ(control->record_start({.device_id = "911"}, {}, now), CallOutcome::blocked);
    EXPECT_EQ(call_start("911", "Sales"), CallOutcome::blocked);
    EXPECT_EQ(outputs.documents.back().recording.device_id, "2222");
}

TEST_F(ScheduledCallsTest, WhatWasSaidBeforeRecordstartIsNotStored) {
    establish(1, "a", "2222");
    pass(5);
    EXPECT_EQ(control->record_start({.device_id = "2222"}, {}, now), CallOutcome::ok);
    for (const Decision& decision : outputs.decisions) EXPECT_EQ(decision.from_ns, now);
    outputs.decisions.clear();
    establish(2, "a", "1111");
    for (const Decision& decision : outputs.decisions) EXPECT_EQ(decision.from_ns, 0);

    // Of a phone whose calls SIP does not show, it is the same.
    sip(SipRegistered{"3333", kCallee.ip, "3333", 3600});
    outputs.decisions.clear();
    EXPECT_EQ(control->record_start({.device_id = "3333"}, {}, now), CallOutcome::ok);
    ASSERT_EQ(decisions(Decision::Kind::watch), 1u);
    EXPECT_EQ(outputs.decisions.back().from_ns, now);
}

TEST_F(ScheduledCallsTest, ACallThatIsNotWatchedForGoesOnAndCanBeRecordedMuchLater) {
    establish(1, "a", "2222");
    for (int minute = 0; minute < 120; ++minute) pass(60);
    EXPECT_EQ(outputs.types(), (Types{"CALLSTART"}));
    EXPECT_EQ(control->record_start({.device_id = "2222"}, {}, now), CallOutcome::ok);
    pass(30);
    EXPECT_TRUE(outputs.forgotten.empty());
    EXPECT_NE(control->active_calls(), 0u);
    pass(31);  // it was watched for, and nothing came
    EXPECT_EQ(outputs.forgotten, (std::vector<std::uint64_t>{1}));

    establish(2, "a", "2222");
    pass(13 * 3600);  // nobody knows what became of it
    EXPECT_EQ(outputs.forgotten, (std::vector<std::uint64_t>{1, 2}));
    EXPECT_TRUE(outputs.documents.back().recording.device_id == "2222");
}

TEST_F(ScheduledCallsTest, ApiCallsAreAskedFor) {
    FieldUpdate fields;
    fields.dnis = "911";
    EXPECT_EQ(control->record_start({.device_id = "3333"}, fields, now), CallOutcome::blocked);
    EXPECT_EQ(call_start("4444", "Service"), CallOutcome::no_schedule);
    EXPECT_EQ(call_start("5555", "Sales"), CallOutcome::ok);
    EXPECT_EQ(control->record_start({.device_id = "6666"}, {}, now), CallOutcome::ok) << "as soon as SIP shows it";
    EXPECT_EQ(control->record_stop({.device_id = "6666"}, {}, now), CallOutcome::nothing_active);
    establish(1, "a", "6666");
    EXPECT_EQ(control->devices().at("6666").active_call()->recording_now(), nullptr) << "it was taken back";
}

TEST_F(ScheduledCallsTest, OfTwoDevicesTheOneThatARuleWantsIsRecorded) {
    with({"^[0-9]{4}$"}, {kPhone});
    establish(1, "2222", "1111");
    EXPECT_EQ(decisions(Decision::Kind::watch), 2u);
    bound(1, 500, CallParty::caller);
    ASSERT_FALSE(outputs.documents.empty());
    for (const auto& put : outputs.documents) EXPECT_EQ(put.recording.device_id, "1111");
    EXPECT_EQ(outputs.numbers["ident"], 1u);
}

TEST_F(ScheduledCallsTest, ChangedRulesHoldForCallsThatBegin) {
    establish(1, "a", "2222");
    directory_->set_base_schedule({});
    establish(2, "a", "3333");
    EXPECT_EQ(last_document().device_id, "3333");
    ASSERT_TRUE(directory_->set_schedule(ScheduleEntry{{kPhone}}));
    establish(3, "a", "4444");
    EXPECT_EQ(outputs.numbers["ident"], 1u);
    ASSERT_TRUE(directory_->set_schedule(std::nullopt));
    establish(4, "a", "4444");
    EXPECT_EQ(outputs.numbers["ident"], 2u);
}

TEST_F(ScheduledCallsTest, NothingOfACallWithoutAChannelIsStored) {
    with({}, {}, 1);
    establish(1, "a", "1111");
    bound(1, 500, CallParty::caller);
    establish(2, "b", "2222");
    EXPECT_EQ(decisions(Decision::Kind::end_session), 1u);
    const ExplainedCall* call = control->explained([](const auto& each) { return each.fields.device_id == "2222"; });
    ASSERT_NE(call, nullptr);
    EXPECT_EQ(call->outcomes, std::vector<std::string>{"not recorded: all 1 channels were in use"});
    bye(1);
    answer_workers();
    EXPECT_EQ(control->record_start({.device_id = "2222"}, {}, now), CallOutcome::ok) << "in a session of its own";
    EXPECT_EQ(last_document().device_id, "2222");
}

TEST_F(ScheduledCallsTest, TheLatestCallsAreExplained) {
    establish(1, "a", "2222");
    const auto of_device = [](const auto& each) { return each.fields.device_id == "2222"; };
    const ExplainedCall* call = control->explained(of_device);
    ASSERT_NE(call, nullptr);
    EXPECT_EQ(call->decision.action, ScheduleAction::skip);
    const auto rules = control->explain(call->fields, call->at_ns);
    ASSERT_EQ(rules.size(), 3u);
    EXPECT_EQ(rules[1], (std::pair<std::string, std::string>("sales", "group none is not Sales")));
    EXPECT_EQ(rules[2].second, "device '2222' is not 1111");
    for (std::uint64_t i = 10; i < 1200; ++i) {
        establish(i, "a", "x" + std::to_string(i));
        bye(i);
    }
    EXPECT_EQ(control->explained(of_device), nullptr) << "so many are kept, and no more";
}

}  // namespace
}  // namespace spantape
