// SPDX-License-Identifier: AGPL-3.0-or-later
// Calls and their agents: by the device's phone, by what the API names, and devices by their agents.
#include "api/control/directory.h"
#include "tests/api/control/control_fixture.h"

namespace spantape {
namespace {

class AgentsTest : public CallControlTest {
protected:
    AgentsTest() {
        add("John", "jdoe", "john", {"7001", "7002"});
        add("Jane", "jroe", "jane", {"7101"});
        EXPECT_TRUE(directory_.set_station({"PC-7001", "7001", 1}));
        control = std::make_unique<CallControl>(ControlOptions{.channels = 4}, outputs, now, &directory_);
    }
    void add(const char* name, const char* sys_user, const char* crm_user, const std::vector<std::string>& phones) {
        UserFields fields;
        fields.first_name = fields.last_name = name;
        fields.sys_user = sys_user;
        fields.crm_user = crm_user;
        const auto added = directory_.add_user(fields, 1);
        ASSERT_TRUE(added);
        for (const auto& phone : phones) ASSERT_TRUE(directory_.add_phone(added->id, phone));
    }
    const Recording& fields_of(const std::string& device) {
        return control->devices().at(device).latest_call()->fields;
    }
    CallOutcome call_start(const DeviceAddress& who, const FieldUpdate& fields = {}) {
        return control->call_start(who, fields, now);
    }
    Directory directory_{{.terms = {}, .locations = {{1, "Main"}}, .sites = {}, .archive_actions = {}}};
};

TEST_F(AgentsTest, ACallSeenInSipCarriesTheAgentOfItsPhone) {
    establish(1, "6001", "7001");
    EXPECT_EQ(fields_of("7001").agent_id, 1);
    EXPECT_EQ(fields_of("7001").sys_user, "jdoe");
    EXPECT_EQ(fields_of("7001").crm_user, "john");
    EXPECT_EQ(fields_of("7001").station, "PC-7001");
    establish(2, "6001", "7900");
    EXPECT_EQ(fields_of("7900").agent_id, 0);
}

TEST_F(AgentsTest, WhatTheApiGivesStands) {
    FieldUpdate given;
    given.sys_user = "somebody";
    call_start({.device_id = "7001", .sys_user = "somebody"}, given);
    EXPECT_EQ(fields_of("7001").agent_id, 1);
    EXPECT_EQ(fields_of("7001").sys_user, "somebody");
    EXPECT_EQ(fields_of("7001").crm_user, "john");
}

TEST_F(AgentsTest, TheAgentWhoLogsOnToACallsDeviceTakesThePlaceOfItsOwn) {
    call_start({.device_id = "7001"});
    FieldUpdate update;
    update.device_alias = "7101";
    EXPECT_EQ(control->call_update({.device_id = "7001"}, update, now), CallOutcome::ok);
    EXPECT_EQ(fields_of("7001").agent_id, 2);
    EXPECT_EQ(fields_of("7001").sys_user, "jroe");  // what was put there for John went with him
    EXPECT_EQ(fields_of("7001").crm_user, "jane");
    FieldUpdate other;
    other.user[0] = "x";
    EXPECT_EQ(control->call_update({.device_id = "7001"}, other, now), CallOutcome::ok);
    EXPECT_EQ(fields_of("7001").agent_id, 2);
}

TEST_F(AgentsTest, AUserNamedByTheApiIsTheAgentOnAnyDevice) {
    FieldUpdate given;
    given.crm_user = "jane";
    call_start({.device_id = "7900"}, given);
    EXPECT_EQ(fields_of("7900").agent_id, 2);
    EXPECT_EQ(fields_of("7900").sys_user, "jroe");
}

TEST_F(AgentsTest, OfAnAgentsPhonesTheOneInACallIsMeant) {
    EXPECT_EQ(control->device_id_of({.sys_user = "jdoe"}), "7001");
    call_start({.device_id = "7002"});
    EXPECT_EQ(control->device_id_of({.sys_user = "jdoe"}), "7002");
    EXPECT_EQ(control->call_stop({.crm_user = "john"}, now), CallOutcome::ok);
    EXPECT_EQ(control->call_stop({.crm_user = "john"}, now), CallOutcome::nothing_active);
    EXPECT_EQ(control->call_stop({.crm_user = "nobody"}, now), CallOutcome::device_invalid);
}

TEST_F(AgentsTest, WhatWasFoundThroughTheDirectoryFollowsIt) {
    EXPECT_EQ(call_start({.sys_user = "jroe"}), CallOutcome::ok);
    EXPECT_EQ(fields_of("7101").agent_id, 2);
    ASSERT_TRUE(directory_.remove_phone(2, "7101"));
    ASSERT_TRUE(directory_.add_phone(2, "7102"));
    EXPECT_EQ(control->device_id_of({.sys_user = "jroe"}), "7102");
}

TEST_F(AgentsTest, ABlackoutFindsTheCallByAliasAndStation) {
    establish(1, "6001", "7001");
    EXPECT_EQ(control->blackout_start({.device_alias = "7001"}, 0, now).outcome, CallOutcome::ok);
    EXPECT_EQ(control->blackout_stop({.sys_user = "jdoe"}, 0, now), CallOutcome::ok);
    EXPECT_EQ(control->blackout_start({.sys_user = "jroe"}, 0, now).outcome, CallOutcome::not_in_call);
}

TEST_F(AgentsTest, ADeletedAgentIsOnNoNewCall) {
    call_start({.device_id = "7001"});
    ASSERT_TRUE(directory_.delete_user(1, 2));
    EXPECT_EQ(fields_of("7001").agent_id, 1);  // the call goes on as his
    call_start({.device_id = "7002"});
    EXPECT_EQ(fields_of("7002").agent_id, 0);
    EXPECT_EQ(call_start({.sys_user = "jdoe"}), CallOutcome::device_invalid);
}

}  // namespace
}  // namespace spantape
