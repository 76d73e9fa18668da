// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/audit_trail.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>
#include <boost/json/serialize.hpp>

namespace spantape {
namespace {

struct Kept final : ChainedLog {
    Result<> append(boost::json::object members, bool) override {
        lines.push_back(boost::json::serialize(members));
        return {};
    }
    Result<> sync() override { return {}; }
    std::vector<std::string> lines;
};

TEST(Audit, WhatOnlyLooksIsLeftOut) {
    for (const char* type : {"TEST", "CHANNELS", "DEVICESTATUS", "APPLIANCESTATUS"})
        EXPECT_FALSE(api::is_audited(api::function_table().at(type))) << type;
    for (const char* type : {"CALLSTART", "RECORDSTOP", "CALLLIST", "EXPORT", "EVENTS", "RECORDINGPURGE", "IMPORTUSER"})
        EXPECT_TRUE(api::is_audited(api::function_table().at(type))) << type;
}

TEST(Audit, ALineTellsWhoWhatAndWhatCameOfItButNoValues) {
    api::Request request;
    request.type = "CALLUPDATE";
    request.parameters = {{"DEVICEID", "7001"}, {"RECORDID", "46"}, {"USER3", "4111111111111111"}};
    api::Reply reply;
    reply.code = api::ResultCode::API_RECORDID_INVALID;
    reply.recordings = {46, 47};
    const auto entry = api::audit_result(
        api::audit_entry(request, {.address = "10.0.0.9:555", .web = false, .listener = "xml"}), reply);
    EXPECT_EQ(boost::json::serialize(AuditTrail::members_of(entry)),
              R"({"what":"CALLUPDATE","by":"xml","from":"10.0.0.9:555","device":"7001","recordings":[46,47],)"
              R"("parameters":["DEVICEID","RECORDID","USER3"],"result":"API_RECORDID_INVALID","code":)" +
                  std::to_string(static_cast<int>(reply.code)) + "}");
}

TEST(Audit, AFloodOfRefusedConnectionsIsCounted) {
    Kept log;
    AuditTrail trail(&log);
    TimeNs now = kNsPerSecond;
    for (int i = 0; i < 1000; ++i) trail.refused("10.0.0.9:" + std::to_string(i), "webapi", now += kNsPerMs);
    EXPECT_EQ(log.lines.size(), 10u);
    EXPECT_EQ(log.lines[0], R"({"what":"refused","by":"webapi","from":"10.0.0.9:0"})");
    trail.tick(now + 30 * kNsPerSecond);
    EXPECT_EQ(log.lines.size(), 10u);
    trail.tick(now + 61 * kNsPerSecond);
    ASSERT_EQ(log.lines.size(), 11u);
    EXPECT_EQ(log.lines[10], R"({"what":"refused_more","count":990})");
    trail.refused("10.0.0.9:1", "xml", now + 90 * kNsPerSecond);
    EXPECT_EQ(log.lines.size(), 12u);
}

}  // namespace
}  // namespace spantape
