// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/session_table.h"

#include <gtest/gtest.h>

namespace spantape {
namespace {

Endpoint at(const char* ip, std::uint16_t port) { return {*IpAddress::parse(ip), port}; }
const Endpoint kCaller = at("10.0.0.1", 4000);
const Endpoint kCallee = at("10.0.0.2", 5000);

TEST(SessionTable, WhoSendsFollowsFromWhoReceives) {
    SessionTable table;
    table.watch(1, kCaller, CallParty::caller);
    table.watch(1, kCallee, CallParty::callee);
    const auto forward = table.match({kCaller, kCallee, 7});
    ASSERT_EQ(forward.size(), 1u);
    EXPECT_EQ(forward[0].sender, CallParty::caller);
    EXPECT_TRUE(forward[0].exact);
    EXPECT_EQ(table.match({kCallee, kCaller, 7})[0].sender, CallParty::callee);
}

TEST(SessionTable, BehindNatTheDestinationAloneIsEnough) {
    SessionTable table;
    table.watch(1, kCallee, CallParty::callee);
    const auto found = table.match({at("203.0.113.9", 31000), kCallee, 7});
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].sender, CallParty::caller);
    EXPECT_FALSE(found[0].exact);
}

TEST(SessionTable, TwoDialogsThatDescribeTheSameMediaBothGetIt) {
    SessionTable table;
    for (const std::uint64_t session : {1, 2}) {
        table.watch(session, kCaller, CallParty::caller);
        table.watch(session, kCallee, CallParty::callee);
    }
    EXPECT_EQ(table.match({kCaller, kCallee, 7}).size(), 2u);
}

TEST(SessionTable, APortUsedAgainBelongsToTheNewestCall) {
    SessionTable table;
    table.watch(1, kCaller, CallParty::caller);
    table.watch(2, kCaller, CallParty::caller);
    const auto found = table.match({at("10.0.0.9", 9000), kCaller, 7});
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].session, 2u);
    table.erase(2);
    EXPECT_EQ(table.match({at("10.0.0.9", 9000), kCaller, 7})[0].session, 1u);
}

TEST(SessionTable, ADevicesAddressMatchesAnyPortButOnlyAfterExactEndpoints) {
    SessionTable table;
    table.watch(1, at("10.0.0.2", 0), CallParty::callee);
    EXPECT_EQ(table.match({at("10.0.0.2", 7000), kCaller, 7})[0].sender, CallParty::callee);
    EXPECT_EQ(table.match({kCaller, at("10.0.0.2", 7000), 7})[0].sender, CallParty::caller);
    table.watch(2, kCallee, CallParty::callee);
    EXPECT_EQ(table.match({kCaller, kCallee, 7})[0].session, 2u);
    EXPECT_TRUE(table.match({kCaller, at("10.0.0.3", 7000), 7}).empty());
}

TEST(SessionTable, AnEndedSessionMatchesNothing) {
    SessionTable table;
    table.watch(1, kCaller, CallParty::caller);
    table.erase(1);
    EXPECT_TRUE(table.match({kCallee, kCaller, 7}).empty());
    EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace spantape
