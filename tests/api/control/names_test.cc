// SPDX-License-Identifier: AGPL-3.0-or-later
// Whom a function means that names an alias or a user: agents who move, names longer than a field, calls that are named
// while they last; and what RECORDSTART and CALLSTART tell of a call that SIP shows later.
#include "api/control/directory.h"
#include "tests/api/control/control_fixture.h"

namespace spantape {
namespace {

class NamesTest : public CallControlTest {
protected:
    NamesTest() { control = std::make_unique<CallControl>(ControlOptions{.channels = 4}, outputs, now, &directory_); }
    // As a request gives them: whole to look for, cut in the fields.
    static FieldUpdate fields_of(const DeviceAddress& who) {
        const auto given = [](const std::string& name, std::size_t characters) {
            return name.empty() ? std::optional<std::string>()
                                : std::optional<std::string>(first_characters(name, characters));
        };
        FieldUpdate fields;
        fields.device_alias = given(who.device_alias, kAliasCharacters);
        fields.sys_user = given(who.sys_user, kUserCharacters);
        fields.crm_user = given(who.crm_user, kUserCharacters);
        return fields;
    }
    CallOutcome call_start(const DeviceAddress& who) { return control->call_start(who, fields_of(who), now); }
    CallOutcome update(const DeviceAddress& who, const std::string& user1) {
        FieldUpdate fields = fields_of(who);
        fields.user[0] = user1;
        return control->call_update(who, fields, now);
    }
    const Call* active(const std::string& device) { return control->devices().at(device).active_call(); }

    Directory directory_;
};

TEST_F(NamesTest, AnAgentWhoHasMovedIsNotLookedForWhereHeWas) {
    call_start({.device_id = "1000", .device_alias = "900", .sys_user = "jdoe"});
    control->call_stop({.device_id = "1000"}, now);
    call_start({.device_id = "1001", .device_alias = "900", .sys_user = "jdoe"});
    establish(1, "6001", "1000");  // somebody else's, and newer
    EXPECT_EQ(active("1000")->fields.sys_user, "");
    EXPECT_EQ(active("1000")->fields.device_alias, "");
    for (const DeviceAddress& who :
         {DeviceAddress{.sys_user = "jdoe"}, {.device_alias = "900"}, {.device_alias = "900", .sys_user = "jdoe"}}) {
        EXPECT_EQ(control->device_id_of(who), "1001");
        EXPECT_EQ(control->blackout_start(who, 0, now).outcome, CallOutcome::ok);
        EXPECT_TRUE(active("1000")->blackouts.all().empty());
        EXPECT_EQ(active("1001")->blackouts.all().size(), 1u);
        EXPECT_EQ(update(who, "4711"), CallOutcome::ok);
        EXPECT_EQ(active("1001")->fields.user[0], "4711");
        EXPECT_EQ(active("1000")->fields.user[0], "");
    }
}

TEST_F(NamesTest, OfTwoCallsOfANameTheNewerIsMeantAndAnIdleDeviceIsNot) {
    call_start({.device_id = "A100", .device_alias = "900"});
    call_start({.device_id = "B200", .device_alias = "900"});
    EXPECT_EQ(control->call_stop({.device_alias = "900"}, now), CallOutcome::ok);
    EXPECT_EQ(active("B200"), nullptr);
    EXPECT_EQ(control->call_stop({.device_alias = "900"}, now), CallOutcome::ok);
    EXPECT_EQ(active("A100"), nullptr);
    EXPECT_EQ(control->call_stop({.device_alias = "900"}, now), CallOutcome::nothing_active);
}

TEST_F(NamesTest, OfTheCallsOfADeviceTheOneThatIsNamedSoIsMeant) {
    call_start({.device_id = "port", .sys_user = "alice", .instance = "1"});
    call_start({.device_id = "port", .sys_user = "bob", .instance = "2"});
    EXPECT_EQ(update({.sys_user = "alice"}, "hers"), CallOutcome::ok);
    const auto& calls = control->devices().at("port").calls;
    EXPECT_EQ(calls.front()->fields.user[0], "hers");
    EXPECT_EQ(calls.back()->fields.user[0], "");
    EXPECT_EQ(update({.device_id = "port", .sys_user = "alice"}, "the last"), CallOutcome::ok);
    EXPECT_EQ(calls.back()->fields.user[0], "the last") << "as the decisions say of a DEVICEID";
    EXPECT_EQ(update({.device_id = "port", .sys_user = "bob"}, ""), CallOutcome::ok);
    EXPECT_EQ(control->call_stop({.sys_user = "alice"}, now), CallOutcome::ok);
    EXPECT_EQ(active("port")->fields.call_instance, "2");
    EXPECT_EQ(update({.device_id = "port"}, "last"), CallOutcome::ok);
    EXPECT_EQ(active("port")->fields.user[0], "last");
}

TEST_F(NamesTest, ACallIsFoundByTheNamesThatAnUpdateGaveIt) {
    call_start({.device_id = "C300"});
    EXPECT_EQ(update({.device_id = "C300", .device_alias = "77"}, ""), CallOutcome::ok);
    EXPECT_EQ(control->matching_devices({.device_alias = "77"}).size(), 1u);
    EXPECT_EQ(update({.device_alias = "77"}, "found"), CallOutcome::ok);
    EXPECT_EQ(active("C300")->fields.user[0], "found");
    EXPECT_EQ(control->call_stop({.device_alias = "77"}, now), CallOutcome::ok);
    EXPECT_EQ(control->call_stop({.device_alias = "77"}, now), CallOutcome::device_invalid);
}

TEST_F(NamesTest, NamesThatFieldsWouldCutAreToldApart) {
    const std::string domain = "CONTOSO-EMEA-WEST-CALLCENTER-1\\";  // 31 characters
    for (const auto& [device, user] : {std::pair("3101", "alice"), {"3102", "bob"}})
        call_start({.device_id = device, .sys_user = domain + user});
    establish(1, "6001", "3101");  // goes on as hers
    EXPECT_EQ(active("3101")->fields.sys_user, domain.substr(0, 30));
    EXPECT_EQ(control->blackout_start({.sys_user = domain + "alice"}, 0, now).outcome, CallOutcome::ok);
    EXPECT_EQ(active("3101")->blackouts.all().size(), 1u);
    EXPECT_TRUE(active("3102")->blackouts.all().empty());
    EXPECT_EQ(control->agent_blackout_start({.sys_user = domain + "bob"}, 0, now).outcome, CallOutcome::ok);
    EXPECT_TRUE(active("3101")->agent_blackouts.all().empty());
    EXPECT_EQ(active("3102")->agent_blackouts.all().size(), 1u);
    EXPECT_EQ(control->blackout_start({.sys_user = domain + "carol"}, 0, now).outcome, CallOutcome::agent_not_found);
    EXPECT_EQ(update({.sys_user = domain + "bob"}, "his"), CallOutcome::ok);
    EXPECT_EQ(active("3102")->fields.user[0], "his");
    // A new call on the device is hers as well.
    control->call_stop({.device_id = "3101"}, now);
    establish(2, "6001", "3101");
    EXPECT_EQ(control->device_id_of({.sys_user = domain + "alice"}), "3101");
    EXPECT_EQ(control->blackout_start({.sys_user = domain + "alice"}, 0, now).outcome, CallOutcome::ok);
}

TEST_F(NamesTest, APhoneThatTheDirectoryGotToKnowSinceIsWhereHeIs) {
    UserFields fields;
    fields.first_name = fields.last_name = fields.sys_user = "doe.1";
    const auto added = directory_.add_user(fields, 1);
    ASSERT_TRUE(added);
    call_start({.device_id = "5001", .sys_user = "doe.1"});
    control->call_stop({.device_id = "5001"}, now);
    EXPECT_EQ(control->device_id_of({.sys_user = "doe.1"}), "5001");
    ASSERT_TRUE(directory_.add_phone(added->id, "5002"));
    EXPECT_EQ(control->device_id_of({.sys_user = "doe.1"}), "5002");
    call_start({.device_id = "5001", .sys_user = "doe.1"});  // he says so himself
    EXPECT_EQ(control->device_id_of({.sys_user = "doe.1"}), "5001");
}

class NamesInDirectoryTest : public NamesTest {
protected:
    NamesInDirectoryTest() {
        for (const char* name : {"jdoe", "asmith"}) {
            UserFields fields;
            fields.first_name = fields.last_name = fields.sys_user = name;
            EXPECT_TRUE(directory_.add_user(fields, 1));
        }
        EXPECT_TRUE(directory_.add_phone(1, "1000"));  // jdoe's
    }
};

TEST_F(NamesInDirectoryTest, NobodyElsesCallIsMeantOnThePhoneThatIsHis) {
    call_start({.device_id = "1000", .sys_user = "asmith"});
    EXPECT_EQ(control->blackout_start({.sys_user = "jdoe"}, 0, now).outcome, CallOutcome::not_in_call);
    EXPECT_NE(control->call_stop({.sys_user = "jdoe"}, now), CallOutcome::device_invalid);
    ASSERT_NE(active("1000"), nullptr) << "asmith's call";
    call_start({.device_id = "1001", .sys_user = "jdoe"});
    control->call_stop({.device_id = "1001"}, now);
    EXPECT_EQ(control->blackout_start({.sys_user = "jdoe"}, 0, now).outcome, CallOutcome::not_in_call);
    EXPECT_TRUE(active("1000")->blackouts.all().empty());
}

TEST_F(NamesInDirectoryTest, TheCallThatTheApiNamedGoesBeforeOneThatRingsOnHisPhone) {
    call_start({.device_id = "1001", .sys_user = "jdoe"});
    start(1, "6001", "1000");
    EXPECT_EQ(active("1000")->fields.sys_user, "jdoe") << "by the directory";
    EXPECT_EQ(control->blackout_start({.sys_user = "jdoe"}, 0, now).outcome, CallOutcome::ok);
    EXPECT_EQ(active("1001")->blackouts.all().size(), 1u);
    EXPECT_TRUE(active("1000")->blackouts.all().empty());
    control->call_stop({.device_id = "1001"}, now);
    EXPECT_EQ(control->blackout_start({.sys_user = "jdoe"}, 0, now).outcome, CallOutcome::ok);
    EXPECT_EQ(active("1000")->blackouts.all().size(), 1u) << "it is all that he has";
}

TEST_F(NamesInDirectoryTest, WhoRecordstartNamesIsInTheCall) {
    EXPECT_EQ(control->agent_blackout_start({.sys_user = "asmith"}, 0, now).outcome, CallOutcome::ok);
    call_start({.device_id = "2000"});
    FieldUpdate fields;
    fields.sys_user = "asmith";
    control->record_start({.device_id = "2000", .sys_user = "asmith"}, fields, now);
    EXPECT_EQ(active("2000")->agent_blackouts.all().size(), 1u) << "before SIP shows it";

    call_start({.device_id = "3000", .sys_user = "yesterday"});
    control->call_stop({.device_id = "3000"}, now);
    establish(1, "6001", "3000");
    fields.sys_user = "today";
    EXPECT_EQ(control->record_start({.device_id = "3000", .sys_user = "today"}, fields, now), CallOutcome::ok);
    EXPECT_EQ(control->blackout_start({.sys_user = "today"}, 0, now).outcome, CallOutcome::ok);
    EXPECT_EQ(active("3000")->blackouts.all().size(), 1u);
    EXPECT_EQ(control->record_stop({.sys_user = "today"}, {}, now), CallOutcome::ok);
}

TEST_F(NamesInDirectoryTest, ANameThatTheDirectoryOverruledDoesNotComeBackWithTheNextCall) {
    call_start({.device_id = "5001", .sys_user = "asmith"});
    control->call_stop({.device_id = "5001"}, now);
    ASSERT_TRUE(directory_.add_phone(2, "5002"));
    call_start({.device_id = "5001", .device_alias = "77"});  // says nothing of a user
    EXPECT_EQ(active("5001")->fields.sys_user, "");
    EXPECT_EQ(active("5001")->fields.agent_id, 0);
    EXPECT_EQ(control->device_id_of({.sys_user = "asmith"}), "5002");
}

TEST_F(NamesTest, WhatABlackoutOfAnAgentBeganItsStopEndsWhoeverHasTheCallThen) {
    call_start({.device_id = "1000", .sys_user = "alice"});
    EXPECT_EQ(control->agent_blackout_start({.sys_user = "alice"}, 0, now).outcome, CallOutcome::ok);
    update({.device_id = "1000", .sys_user = "bob"}, "");
    EXPECT_EQ(control->agent_blackout_stop({.sys_user = "alice"}, 0, now), CallOutcome::ok);
    EXPECT_FALSE(active("1000")->agent_blackouts.pending(now + 1));
}

TEST_F(NamesTest, WhatRecordstartSaysHoldsWhenSipShowsTheCall) {
    call_start({.device_id = "1000"});
    FieldUpdate fields;
    fields.user[1] = "want";
    fields.max_record_time_s = 2;
    EXPECT_EQ(control->record_start({.device_id = "1000"}, fields, now), CallOutcome::ok);
    establish(1, "6001", "1000");
    const Recording& recorded = last_document();
    EXPECT_EQ(recorded.user[1], "want");
    EXPECT_EQ(recorded.ani, "6001");
    bound(1, 500, CallParty::caller);
    pass(1.5);
    EXPECT_NE(active("1000")->recording_now(), nullptr);
    pass(3);
    EXPECT_EQ(active("1000")->recording_now(), nullptr);
}

TEST_F(NamesTest, RecordingstartedTellsWhatRecordstartSaid) {
    establish(1, "6001", "1000");
    FieldUpdate fields;
    fields.user[0] = "TAG-1";
    fields.max_record_time_s = -1;  // none
    EXPECT_EQ(control->record_start({.device_id = "1000"}, fields, now), CallOutcome::ok);
    const auto& event = outputs.events.back();
    EXPECT_EQ(event.type, "RECORDINGSTARTED");
    const auto user1 = std::ranges::find(event.data, "USER1", &api::Element::name);
    ASSERT_NE(user1, event.data.end());
    EXPECT_EQ(user1->text, "TAG-1");
    EXPECT_EQ(active("1000")->fields.user[0], "") << "the call's own recording has another";
}

TEST_F(NamesTest, ARecordingThatTheApiBeganIsDescribedBySip) {
    establish(1, "6001", "1000");  // its address is known since
    bye(1);
    call_start({.device_id = "1000"});
    ASSERT_NE(active("1000")->recording_now(), nullptr);
    establish(2, "6145551212", "1000");
    const Recording& recorded = last_document();
    EXPECT_EQ(recorded.ani, "6145551212");
    EXPECT_EQ(recorded.dnis, "1000");
    EXPECT_EQ(recorded.call_id, "id-2");
    EXPECT_EQ(recorded.direction, "I");
}

TEST_F(NamesTest, ARecordingThatIsOverIsKnownWhileItsCallGoesOn) {
    establish(1, "6001", "1000");
    EXPECT_FALSE(control->recording_over({.device_id = "1000"}));
    const std::uint64_t ident = active("1000")->fields.ident;
    control->record_stop({.device_id = "1000"}, {}, now);
    EXPECT_EQ(control->recording_over({.device_id = "1000"}), ident);
    establish(2, "6001", "2000");
    bye(2);
    EXPECT_FALSE(control->recording_over({.device_id = "2000"})) << "its call is over, too";
}

}  // namespace
}  // namespace spantape
