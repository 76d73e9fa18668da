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

SrtpKey key(std::uint8_t seed) {
    SrtpKey made;
    made.key_and_salt.fill(seed);
    return made;
}
std::vector<int> seeds(const SrtpTerms& terms) {
    std::vector<int> out;
    for (const auto& context : terms.keys) out.push_back(context->key().key_and_salt[0]);
    return out;
}

TEST(SessionTable, AStreamTakesTheKeysOfItsSendersWords) {
    SessionTable table;
    for (const std::uint8_t seed : {1, 2, 2, 1}) table.add_key(1, kCaller, CallParty::caller, key(seed));
    table.watch(1, kCaller, CallParty::caller, {}, SrtpProfile::required);
    table.add_key(1, kCallee, CallParty::callee, key(3));
    table.watch(1, kCallee, CallParty::callee, {}, SrtpProfile::required);
    const auto forward = table.srtp_terms(*table.find(1), {kCaller, kCallee, 7}, CallParty::caller);
    EXPECT_EQ(forward.profile, SrtpProfile::required);
    EXPECT_EQ(seeds(forward), (std::vector<int>{1, 2}));
    EXPECT_EQ(seeds(table.srtp_terms(*table.find(1), {kCallee, kCaller, 7}, CallParty::callee)), std::vector<int>{3});
}

TEST(SessionTable, BehindNatTheDestinationTellsTheLegAndThePartyTheKeys) {
    SessionTable table;
    const Endpoint relay_in = at("10.0.0.9", 1), relay_out = at("10.0.0.9", 3), nat = at("203.0.113.9", 31000);
    table.add_key(1, kCaller, CallParty::caller, key(1));
    table.watch(1, kCaller, CallParty::caller, {}, SrtpProfile::required);
    table.watch(1, relay_in, CallParty::callee, {}, SrtpProfile::required);
    table.watch(1, relay_out, CallParty::caller);
    table.watch(1, kCallee, CallParty::callee);
    const auto secure = table.srtp_terms(*table.find(1), {nat, relay_in, 7}, CallParty::caller);
    EXPECT_EQ(secure.profile, SrtpProfile::required);
    EXPECT_EQ(seeds(secure), std::vector<int>{1});
    const auto clear = table.srtp_terms(*table.find(1), {at("203.0.113.9", 8), kCallee, 7}, CallParty::caller);
    EXPECT_EQ(clear.profile, SrtpProfile::clear);
}

TEST(SessionTable, AnOfferOfSrtpIsSettledByTheAnswer) {
    SessionTable table;
    table.add_key(1, kCaller, CallParty::caller, key(1));
    table.watch(1, kCaller, CallParty::caller, {}, SrtpProfile::offered);
    const auto profile = [&] {
        return table.srtp_terms(*table.find(1), {kCaller, kCallee, 7}, CallParty::caller).profile;
    };
    EXPECT_EQ(profile(), SrtpProfile::offered);
    table.watch(1, kCallee, CallParty::callee, {}, SrtpProfile::clear);
    EXPECT_EQ(profile(), SrtpProfile::clear);
    table.watch(1, kCallee, CallParty::callee, {}, SrtpProfile::offered);
    EXPECT_EQ(profile(), SrtpProfile::offered);
}

TEST(SessionTable, KeysOfManyReInvitesAreBoundedAndTheNewestStay) {
    SessionTable table;
    for (int n = 0; n < 200; ++n) table.add_key(1, kCaller, CallParty::caller, key(static_cast<std::uint8_t>(n)));
    table.watch(1, kCaller, CallParty::caller, {}, SrtpProfile::required);
    const auto kept = seeds(table.srtp_terms(*table.find(1), {kCaller, kCallee, 7}, CallParty::caller));
    EXPECT_LE(kept.size(), 16u);
    EXPECT_EQ(kept.back(), 199);
}

}  // namespace
}  // namespace spantape
