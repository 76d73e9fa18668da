// SPDX-License-Identifier: AGPL-3.0-or-later
// The directory's rules one by one, and random operations against a model that scans.
#include "api/control/directory.h"

#include <algorithm>
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

namespace spantape {
namespace {

constexpr TimeNs kNow = 1'700'000'000 * kNsPerSecond;

Directory::Base places() { return {.terms = {{"agent", "Agent"}}, .locations = {{1, "Main"}}, .sites = {{1, "Main"}}}; }

UserFields named(const std::string& first, const std::string& last) {
    UserFields fields;
    fields.first_name = first;
    fields.last_name = last;
    return fields;
}

// What a store would hold after these changes.
using Stored = std::map<std::string, std::string>;
void keep(const DirectoryChanges& changes, Stored& stored) {
    for (const auto& change : changes) {
        if (change.after)
            stored[change.key] = encode(*change.after);
        else
            stored.erase(change.key);
    }
}
void load_all(const Stored& stored, Directory& directory) {
    for (const auto& [key, value] : stored) {
        const auto loaded = directory.load(key, value);
        ASSERT_TRUE(loaded) << loaded.error().message;
    }
}

class DirectoryRules : public testing::Test {
protected:
    std::int32_t add(const std::string& first, const std::string& last) {
        const auto added = directory_.add_user(named(first, last), kNow);
        EXPECT_TRUE(added);
        return added ? added->id : 0;
    }
    template <class T>
    static DirectoryFault fault(const DirectoryResult<T>& result) {
        EXPECT_FALSE(result);
        return result ? DirectoryFault::not_found : result.error().fault;
    }
    Directory directory_{places()};
};

TEST_F(DirectoryRules, IdsRiseFromOneAndAreNotUsedAgain) {
    EXPECT_EQ(add("John", "Doe"), 1);
    EXPECT_EQ(add("Jane", "Doe"), 2);
    ASSERT_TRUE(directory_.delete_user(2, kNow));
    EXPECT_EQ(add("Jane", "Doe"), 3);
}

TEST_F(DirectoryRules, TheSameNameIsRefusedUnlessDuplicatesAreAllowed) {
    add("John", "Doe");
    EXPECT_EQ(fault(directory_.add_user(named("John", "Doe"), kNow)), DirectoryFault::user_exists);
    UserFields twin = named("John", "Doe");
    twin.allow_duplicate = true;
    EXPECT_TRUE(directory_.add_user(twin, kNow));
    EXPECT_EQ(fault(directory_.find_user({.first_name = "John", .last_name = "Doe"})), DirectoryFault::not_unique);
    // A duplicate can be changed otherwise.
    UserFields mail;
    mail.email = "john@example.org";
    EXPECT_TRUE(directory_.modify_user(2, mail, kNow));
}

TEST_F(DirectoryRules, TheSameUserNameIsRefusedEvenWhereDuplicatesAreAllowed) {
    UserFields first = named("John", "Doe"), second = named("Jane", "Roe");
    first.username = second.username = "doe";
    second.allow_duplicate = true;
    ASSERT_TRUE(directory_.add_user(first, kNow));
    EXPECT_EQ(fault(directory_.add_user(second, kNow)), DirectoryFault::user_exists);
    EXPECT_EQ(directory_.users().size(), 1U);
    second.username = "roe";
    ASSERT_TRUE(directory_.add_user(second, kNow));
    UserFields rename;
    rename.username = "doe";
    EXPECT_EQ(fault(directory_.modify_user(2, rename, kNow)), DirectoryFault::user_exists);
    EXPECT_EQ(directory_.user(2)->username, "roe");
}

TEST_F(DirectoryRules, ADeletedUserIsStillNamedAndFreesWhatWasHis) {
    UserFields fields = named("John", "Doe");
    fields.username = "doe";
    fields.password = "scrypt$...";
    ASSERT_TRUE(directory_.add_user(fields, kNow));
    ASSERT_TRUE(directory_.add_phone(1, "1234"));
    ASSERT_TRUE(directory_.add_group("Sales"));
    ASSERT_TRUE(directory_.add_role("Boss", ""));
    ASSERT_TRUE(directory_.set_viewer(1, 1, true));
    ASSERT_TRUE(directory_.set_role_user(1, 1, true));
    ASSERT_TRUE(directory_.add_member(1, 1, ""));
    ASSERT_TRUE(directory_.delete_user(1, kNow));
    EXPECT_EQ(directory_.user(1)->first_name, "John");
    EXPECT_EQ(directory_.user(1)->status, UserStatus::deleted);
    EXPECT_EQ(directory_.user(1)->password, "");
    EXPECT_EQ(directory_.by_phone("1234"), nullptr);
    EXPECT_EQ(directory_.by_username("doe"), nullptr);
    EXPECT_TRUE(directory_.visible_groups(1).empty());
    EXPECT_EQ(directory_.groups_of(1, "1234"), std::set<std::int32_t>{1});  // his recordings stay the group's
    EXPECT_EQ(fault(directory_.delete_user(1, kNow)), DirectoryFault::user_not_found);
    EXPECT_EQ(fault(directory_.modify_user(1, {}, kNow)), DirectoryFault::user_not_found);
    EXPECT_EQ(fault(directory_.add_phone(1, "1")), DirectoryFault::user_not_found);
}

TEST_F(DirectoryRules, APhoneIsOnOneAgentOnly) {
    add("John", "Doe");
    add("Jane", "Roe");
    ASSERT_TRUE(directory_.add_phone(1, "1234"));
    EXPECT_EQ(fault(directory_.add_phone(2, "1234")), DirectoryFault::not_unique);
    EXPECT_TRUE(directory_.add_phone(1, "1234")->changes.empty());
    EXPECT_EQ(fault(directory_.remove_phone(2, "1234")), DirectoryFault::not_found);
    EXPECT_TRUE(directory_.remove_phone(0, "1234"));
    EXPECT_TRUE(directory_.add_phone(2, "1234"));
    EXPECT_EQ(directory_.by_phone("1234")->id, 2);
}

TEST_F(DirectoryRules, AStationReplacesThoseOfEitherName) {
    ASSERT_TRUE(directory_.set_station({"PC1", "100", 1}));
    ASSERT_TRUE(directory_.set_station({"PC2", "200", 1}));
    ASSERT_TRUE(directory_.set_station({"PC1", "200", 1}));
    EXPECT_EQ(directory_.stations().size(), 1U);
    EXPECT_EQ(directory_.station_of("200")->name, "PC1");
    EXPECT_EQ(directory_.station_of("100"), nullptr);
    EXPECT_EQ(fault(directory_.set_station({"PC3", "300", 9})), DirectoryFault::no_location);
}

TEST_F(DirectoryRules, ASiteThatIsNotThereIsRefused) {
    UserFields fields = named("John", "Doe");
    fields.site_id = 7;
    EXPECT_EQ(fault(directory_.add_user(fields, kNow)), DirectoryFault::no_site);
    ASSERT_TRUE(directory_.set_place({Place::Kind::site, 7, "North"}));
    ASSERT_TRUE(directory_.add_user(fields, kNow));
    EXPECT_EQ(fault(directory_.remove_place(Place::Kind::site, 7)), DirectoryFault::not_unique);
}

TEST_F(DirectoryRules, GroupsAreSeenByTheirViewersAndThroughRoles) {
    add("John", "Doe");
    ASSERT_TRUE(directory_.add_group("Sales"));
    ASSERT_TRUE(directory_.add_group("Support"));
    EXPECT_EQ(directory_.add_group("Sales")->id, 1);
    ASSERT_TRUE(directory_.add_role("Quality", ""));
    ASSERT_TRUE(directory_.set_viewer(1, 1, true));
    ASSERT_TRUE(directory_.set_role_group(1, 2, true));
    EXPECT_EQ(directory_.visible_groups(1), (std::set<std::int32_t>{1}));
    ASSERT_TRUE(directory_.set_role_user(1, 1, true));
    ASSERT_TRUE(directory_.set_role_classes(1, {"export"}));
    EXPECT_EQ(directory_.visible_groups(1), (std::set<std::int32_t>{1, 2}));
    EXPECT_EQ(directory_.classes_of(1), (std::set<std::string>{"export"}));
    ASSERT_TRUE(directory_.delete_role(1));
    EXPECT_EQ(directory_.visible_groups(1), (std::set<std::int32_t>{1}));
    EXPECT_TRUE(directory_.classes_of(1).empty());
    ASSERT_TRUE(directory_.add_role("Quality", ""));
    EXPECT_TRUE(directory_.links().from(Link::Kind::role_user, 2).empty());  // a new role, without the old one's users
}

TEST_F(DirectoryRules, AMemberOnOneDeviceIsNoMemberOnOthers) {
    add("John", "Doe");
    ASSERT_TRUE(directory_.add_group("Sales"));
    ASSERT_TRUE(directory_.add_member(1, 1, "100"));
    EXPECT_EQ(directory_.groups_of(1, "100").size(), 1U);
    EXPECT_EQ(directory_.groups_of(1, "200").size(), 0U);
    EXPECT_EQ(directory_.groups_of(0, "100").size(), 1U);
    ASSERT_TRUE(directory_.remove_member(1, 1, ""));
    EXPECT_EQ(directory_.groups_of(1, "100").size(), 0U);
    EXPECT_EQ(directory_.groups_of(0, "100").size(), 0U);
}

TEST_F(DirectoryRules, AUserNameThatACallFunctionCutIsFound) {
    UserFields fields = named("John", "Doe");
    fields.sys_user = std::string(40, 'x');
    ASSERT_TRUE(directory_.add_user(fields, kNow));
    EXPECT_EQ(directory_.by_sys_user(std::string(30, 'x'))->id, 1);
    EXPECT_EQ(directory_.by_sys_user(std::string(29, 'x')), nullptr);
    EXPECT_EQ(directory_.by_sys_user(std::string(40, 'x'))->id, 1);
}

TEST_F(DirectoryRules, TermsOfTheConfigurationStandBehindThoseThatWereSet) {
    ASSERT_TRUE(directory_.set_term({"agent", "Clerk"}));
    ASSERT_TRUE(directory_.set_term({"user1", "Account"}));
    EXPECT_EQ(directory_.terms(), (std::map<std::string, std::string>{{"agent", "Clerk"}, {"user1", "Account"}}));
    ASSERT_TRUE(directory_.reset_term("agent"));
    ASSERT_TRUE(directory_.reset_term("user1"));
    EXPECT_EQ(directory_.terms(), (std::map<std::string, std::string>{{"agent", "Agent"}}));
    EXPECT_EQ(fault(directory_.reset_term("user1")), DirectoryFault::not_found);
}

TEST_F(DirectoryRules, TokensLeadToTheirUser) {
    add("John", "Doe");
    ASSERT_TRUE(directory_.add_token(1, {"phone", "abcd", kNow}));
    EXPECT_EQ(directory_.by_token("abcd")->id, 1);
    EXPECT_EQ(fault(directory_.add_token(1, {"phone", "ef", kNow})), DirectoryFault::not_unique);
    ASSERT_TRUE(directory_.remove_token(1, "phone"));
    EXPECT_EQ(directory_.by_token("abcd"), nullptr);
}

TEST_F(DirectoryRules, AFullDirectoryRefusesAndChangesNothing) {
    Directory small(places(), 3);
    ASSERT_TRUE(small.add_user(named("John", "Doe"), kNow));
    ASSERT_TRUE(small.add_phone(1, "1"));
    ASSERT_TRUE(small.add_phone(1, "2"));
    EXPECT_EQ(fault(small.add_phone(1, "3")), DirectoryFault::full);
    EXPECT_EQ(fault(small.add_group("Sales")), DirectoryFault::full);
    EXPECT_EQ(fault(small.set_station({"PC", "1", 1})), DirectoryFault::full);
    EXPECT_TRUE(small.groups().empty());
    ASSERT_TRUE(small.remove_phone(1, "2"));
    EXPECT_TRUE(small.add_phone(1, "3"));
}

TEST_F(DirectoryRules, AnyTextComesBackFromItsEntry) {
    const std::string odd = "O'Neil & \"Söhne\" <x> \xF0\x9F\x93\x9E/\\";
    UserFields fields = named(odd, odd);
    fields.username = fields.email = odd;
    Stored stored;
    keep(directory_.add_user(fields, kNow)->changes, stored);
    keep(directory_.add_phone(1, odd)->changes, stored);
    keep(directory_.set_station({odd, odd, 1})->changes, stored);
    keep(directory_.add_group(odd)->changes, stored);
    keep(directory_.add_member(1, 1, odd)->changes, stored);
    keep(directory_
             .set_archive_action(
                 {.number = 5, .name = odd, .path = odd, .mode = ArchiveMode::move, .keep_days = 3, .wait_ns = 7})
             ->changes,
         stored);
    Directory again(places());
    load_all(stored, again);
    EXPECT_EQ(*again.user(1), *directory_.user(1));
    EXPECT_EQ(again.stations(), directory_.stations());
    EXPECT_EQ(again.archive_actions(), directory_.archive_actions());
    EXPECT_EQ(again.links().all(), directory_.links().all());
}

TEST_F(DirectoryRules, AnEntryThatCannotBeReadIsNamed) {
    const std::string good = encode(Group{1, "Sales"});
    const auto error = [&](const std::string& key, const std::string& value) {
        const auto loaded = directory_.load(key, value);
        EXPECT_FALSE(loaded);
        return loaded ? "" : loaded.error().message;
    };
    EXPECT_NE(error("group/0000000001", "{").find("entry 'group/0000000001'"), std::string::npos);
    EXPECT_NE(error("group/0000000002", good).find("belongs under 'group/0000000001'"), std::string::npos);
    EXPECT_NE(error("group/0000000001", R"({"version":1,"id":"1","name":"x"})").find("'id'"), std::string::npos);
    EXPECT_NE(error("group/0000000001", R"({"version":2,"id":1,"name":"x"})").find("version 2"), std::string::npos);
    EXPECT_NE(error("what/1", good).find("does not know"), std::string::npos);
    ASSERT_TRUE(directory_.load("group/0000000001", good));
    EXPECT_NE(error("group/0000000003", encode(Group{3, "Sales"})).find("group 1"), std::string::npos);
}

// --- random operations

// Everything a scan of the plain tables says, against what the look-ups say.
void check_invariants(const Directory& directory) {
    std::map<std::string, std::int32_t> phones;
    std::set<std::string> usernames;
    for (const auto& [id, user] : directory.users()) {
        ASSERT_EQ(id, user.id);
        for (const auto& phone : user.phones) {
            ASSERT_TRUE(phones.emplace(phone, id).second) << "phone " << phone << " on two agents";
            ASSERT_EQ(directory.by_phone(phone)->id, id);
        }
        if (user.status == UserStatus::deleted) {
            ASSERT_TRUE(user.phones.empty());
            continue;
        }
        if (!user.username.empty()) {
            ASSERT_TRUE(usernames.insert(user.username).second) << user.username;
            ASSERT_EQ(directory.by_username(user.username)->id, id);
        }
        std::vector<std::int32_t> same_name, same_last;
        const User* same_sys_user = nullptr;
        for (const auto& [other_id, other] : directory.users()) {
            if (other.status == UserStatus::deleted) continue;
            if (other.first_name == user.first_name && other.last_name == user.last_name) same_name.push_back(other_id);
            if (other.last_name == user.last_name) same_last.push_back(other_id);
            if (other.sys_user == user.sys_user && same_sys_user == nullptr) same_sys_user = &other;
        }
        ASSERT_EQ(directory.named(user.first_name, user.last_name), same_name);
        ASSERT_EQ(directory.named("", user.last_name), same_last);
        ASSERT_EQ(directory.by_sys_user(user.sys_user), user.sys_user.empty() ? nullptr : same_sys_user);
    }
    std::set<std::string> devices;
    for (const auto& [name, station] : directory.stations()) {
        ASSERT_TRUE(devices.insert(station.device_id).second) << station.device_id << " on two stations";
        ASSERT_EQ(directory.station_of(station.device_id), &station);
    }
    for (const auto& [id, user] : directory.users()) {
        std::set<std::int32_t> groups, visible;
        for (const Link& link : directory.links().all()) {
            if (link.kind == Link::Kind::member && link.right == id && (link.device.empty() || link.device == "d1"))
                groups.insert(link.left);
            if (link.kind == Link::Kind::viewer && link.right == id) visible.insert(link.left);
            if (link.kind != Link::Kind::role_user || link.right != id) continue;
            for (const Link& seen : directory.links().all())
                if (seen.kind == Link::Kind::role_group && seen.left == link.left) visible.insert(seen.right);
        }
        ASSERT_EQ(directory.groups_of(id, "d1"), groups);
        ASSERT_EQ(directory.visible_groups(id), visible);
    }
}

void expect_same(const Directory& one, const Directory& other) {
    ASSERT_EQ(one.users(), other.users());
    ASSERT_EQ(one.stations(), other.stations());
    ASSERT_EQ(one.groups(), other.groups());
    ASSERT_EQ(one.roles(), other.roles());
    ASSERT_EQ(one.links().all(), other.links().all());
    ASSERT_EQ(one.terms(), other.terms());
    ASSERT_EQ(one.entries(), other.entries());
}

class RandomOperations {
public:
    explicit RandomOperations(unsigned seed) : random_(seed) {}

    DirectoryResult<> one(Directory& to) {
        const std::int32_t user = number(12), group = number(4), role = number(4);
        switch (number(17)) {
            case 1:
            case 2:
                return to.add_user(fields(), kNow);
            case 3:
                return to.modify_user(user, fields(), kNow + 1);
            case 4:
                return number(4) == 1 ? to.delete_user(user, kNow + 2) : to.add_phone(user, phone());
            case 5:
            case 6:
                return to.add_phone(user, phone());
            case 7:
                return to.remove_phone(number(2) == 1 ? user : 0, phone());
            case 8:
            case 9:
                return to.set_station({word(), phone(), 1});
            case 10:
                return to.add_group(word());
            case 11:
                return to.add_role(word(), "");
            case 12:
                return to.role(role) == nullptr ? to.set_term({word(), word()}) : to.delete_role(role);
            case 13:
                return linkable(to, group, user) ? to.add_member(group, user, device()) : to.reset_term(word());
            case 14:
                return to.remove_member(group, user, device());
            case 15:
                return linkable(to, group, user) ? to.set_viewer(group, user, number(3) > 1) : to.reset_term("");
            case 16:
                return linkable(to, group, user) && to.role(role) != nullptr
                           ? to.set_role_user(role, user, number(3) > 1)
                           : to.set_term({word(), word()});
            default:
                return to.group(group) != nullptr && to.role(role) != nullptr
                           ? to.set_role_group(role, group, number(3) > 1)
                           : to.set_place({Place::Kind::site, number(5), word()});
        }
    }
    std::int32_t number(std::int32_t most) { return std::uniform_int_distribution<std::int32_t>(1, most)(random_); }

private:
    std::string word() { return "w" + std::to_string(number(6)); }
    std::string phone() { return std::to_string(number(8)); }
    std::string device() { return number(2) == 1 ? "" : "d" + std::to_string(number(3)); }
    static bool linkable(const Directory& to, std::int32_t group, std::int32_t user) {
        const User* found = to.user(user);
        return to.group(group) != nullptr && found != nullptr && found->status != UserStatus::deleted;
    }
    UserFields fields() {
        UserFields some;
        if (number(8) > 1) some.first_name = word();
        if (number(8) > 1) some.last_name = word();
        if (number(2) == 1) some.username = number(5) == 1 ? "" : word();
        if (number(2) == 1) some.sys_user = word();
        if (number(5) == 1) some.status = UserStatus::inactive;
        some.allow_duplicate = number(3) == 1;
        return some;
    }
    std::mt19937 random_;
};

TEST(DirectoryProperties, RandomOperationsNeverBreakIt) {
    const char* given = std::getenv("SPANTAPE_SEED");
    const unsigned first_seed = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
    for (unsigned run = 0; run < 20; ++run) {
        const unsigned seed = first_seed + run;
        SCOPED_TRACE(testing::Message() << "SPANTAPE_SEED=" << seed);
        RandomOperations random(seed);
        Directory directory(places(), 120);
        Stored stored;
        std::vector<DirectoryChanges> pending;  // applied, not yet durable
        std::size_t applied = 0, refused = 0;
        for (int step = 0; step < 400; ++step) {
            const std::size_t entries = directory.entries();
            const auto done = random.one(directory);
            if (done) {
                pending.push_back(done->changes);
                ++applied;
            } else {
                ASSERT_EQ(directory.entries(), entries);
                ++refused;
            }
            ASSERT_LE(directory.entries(), 120U);
            if (random.number(10) == 1) {  // the writes fail: all of them are taken back
                for (auto changes = pending.rbegin(); changes != pending.rend(); ++changes) directory.undo(*changes);
                pending.clear();
            } else if (random.number(3) == 1) {
                for (const auto& changes : pending) keep(changes, stored);
                pending.clear();
            }
            if (pending.empty()) {
                Directory again(places(), 120);
                ASSERT_NO_FATAL_FAILURE(load_all(stored, again));
                ASSERT_NO_FATAL_FAILURE(expect_same(again, directory));
            }
            ASSERT_NO_FATAL_FAILURE(check_invariants(directory));
        }
        EXPECT_GT(applied, 50U);
        EXPECT_GT(refused, 20U);
    }
}

}  // namespace
}  // namespace spantape
