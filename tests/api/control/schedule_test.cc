// SPDX-License-Identifier: AGPL-3.0-or-later
#include "api/control/schedule.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>
#include <random>

#include <gtest/gtest.h>

namespace spantape {
namespace {

class ScheduleTest : public ::testing::Test {
protected:
    void rules(const std::vector<RuleText>& texts) {
        auto made = Schedule::make(texts, &schedule);
        ASSERT_TRUE(made) << made.error().message;
        schedule = std::move(*made);
    }
    [[nodiscard]] static std::string error(const RuleText& text) {
        const auto made = Schedule::make({text});
        return made ? "" : made.error().message;
    }
    [[nodiscard]] ScheduleFacts facts() const {
        return {.fields = call, .at_ns = at_ns, .agents = agents, .groups = groups};
    }
    std::string deciding() { return schedule.decide(facts()).rule; }
    // "2026-03-29 01:59:59 UTC"
    static TimeNs utc(int year, int month, int day, int hour, int minute, int second = 0) {
        std::tm at{};
        at.tm_year = year - 1900, at.tm_mon = month - 1, at.tm_mday = day;
        at.tm_hour = hour, at.tm_min = minute, at.tm_sec = second;
        return static_cast<TimeNs>(timegm(&at)) * kNsPerSecond;
    }

    Schedule schedule;
    Recording call;
    TimeNs at_ns = utc(2026, 11, 27, 12, 0);  // a Friday
    std::vector<std::string> agents, groups;
};

TEST_F(ScheduleTest, WithoutRulesAllIsRecordedWithSomeOnlyWhatOneWants) {
    EXPECT_EQ(schedule.decide(facts()).action, ScheduleAction::record);
    rules({{{"name", "a"}, {"device", "7001"}}});
    EXPECT_EQ(schedule.decide(facts()).action, ScheduleAction::skip);
    EXPECT_EQ(deciding(), "");
    call.device_id = "7001";
    EXPECT_EQ(schedule.decide(facts()).action, ScheduleAction::record);
    EXPECT_EQ(deciding(), "a");
}

TEST_F(ScheduleTest, TheFirstThatFitsDecidesWithItsActions) {
    rules({{{"name", "never"}, {"decision", "block"}, {"dnis", "911"}},
           {{"name", "vip"}, {"ani", "+49*"}, {"priority", "9"}, {"keep_days", "0"}, {"archive_action", "4"}},
           {{"name", "rest"}, {"decision", "skip"}}});
    call.ani = "+4930123";
    auto decision = schedule.decide(facts());
    EXPECT_EQ(decision.rule, "vip");
    EXPECT_EQ(decision.priority, 9);
    EXPECT_EQ(decision.keep_days, 0);
    EXPECT_EQ(decision.archive_action, 4);
    call.dnis = "911";
    EXPECT_EQ(schedule.decide(facts()).action, ScheduleAction::block);
    call.dnis = call.ani = "";
    EXPECT_EQ(schedule.decide(facts()).action, ScheduleAction::skip);
    EXPECT_EQ(deciding(), "rest");
}

TEST_F(ScheduleTest, PatternsAreTextsWildcardsExpressionsAndWhatMustNotBe) {
    const auto fits = [&](const std::string& pattern, const std::string& device) {
        rules({{{"name", "x"}, {"device", pattern}}});
        call.device_id = device;
        return deciding() == "x";
    };
    EXPECT_TRUE(fits("1, 2 ,3", "2"));
    EXPECT_FALSE(fits("1,2,3", "12"));
    EXPECT_TRUE(fits("7*,!7999", "7001"));
    EXPECT_FALSE(fits("7*,!7999", "7999"));
    EXPECT_FALSE(fits("7*,!7999", "8001"));
    EXPECT_TRUE(fits("!7999", "8001"));
    EXPECT_FALSE(fits("!7999", "7999"));
    EXPECT_TRUE(fits("4?1*9", "4x19"));
    EXPECT_FALSE(fits("4?1*9", "419"));
    EXPECT_TRUE(fits("*", ""));
    EXPECT_TRUE(fits("/^55[0-9]{2,3}$/", "5512"));
    EXPECT_FALSE(fits("/^55[0-9]{2,3}$/", "551"));
    EXPECT_TRUE(fits("a,/^b,c$/", "b,c"));
    EXPECT_TRUE(fits("/home/", "home"));
    EXPECT_TRUE(fits("!/^5/", "4"));
    EXPECT_FALSE(fits("!/^5/", "54"));
    EXPECT_FALSE(fits("Sales", "sales"));
    EXPECT_FALSE(fits("****************a", std::string(5000, 'b')));
    // What makes others recurse or take for ever.
    EXPECT_FALSE(fits("/^(a|b)*(a+)+(a+)+$/", std::string(100'000, 'a') + "c"));
}

TEST_F(ScheduleTest, AgentsAndGroupsAreKnownByAnyOfTheirNames) {
    rules({{{"name", "x"}, {"agent", "jsmith,Paul*"}, {"group", "!Legal"}}});
    EXPECT_EQ(deciding(), "");
    agents = {"12", "paul", "Paul Meyer"};
    EXPECT_EQ(deciding(), "x");
    groups = {"Sales", "Legal"};
    EXPECT_EQ(deciding(), "");
    groups = {"Sales"};
    EXPECT_EQ(deciding(), "x");
}

TEST_F(ScheduleTest, UserFieldsAndDirection) {
    rules({{{"name", "x"}, {"user1", "gold"}, {"user15", "?"}, {"direction", "I"}}});
    call.user[0] = "gold", call.user[14] = "a", call.direction = "I";
    EXPECT_EQ(deciding(), "x");
    call.direction = "O";
    EXPECT_EQ(deciding(), "");
    EXPECT_EQ(schedule.explain(facts()).front().second, "direction is O, not I");
    call.direction = "I", call.user[14] = "";
    EXPECT_EQ(schedule.explain(facts()).front().second, "user15 '' is not ?");
}

TEST_F(ScheduleTest, DaysAndHoursGoByTheZonesClock) {
    rules({{{"name", "x"}, {"days", "mon-thu"}, {"hours", "08:00-18:00"}, {"zone", "Europe/Berlin"}}});
    EXPECT_EQ(deciding(), "") << "a Friday";
    at_ns = utc(2026, 11, 26, 7, 0);  // 08:00
    EXPECT_EQ(deciding(), "x");
    at_ns = utc(2026, 11, 26, 6, 59, 59);
    EXPECT_EQ(deciding(), "");
    EXPECT_EQ(schedule.explain(facts()).front().second, "it is thu 07:59 in Europe/Berlin");
    at_ns = utc(2026, 11, 26, 16, 59, 59);
    EXPECT_EQ(deciding(), "x");
    at_ns = utc(2026, 11, 26, 17, 0);
    EXPECT_EQ(deciding(), "");
    at_ns = utc(2026, 7, 2, 6, 0);  // in summer 08:00 is an hour earlier
    EXPECT_EQ(deciding(), "x");
    rules({{{"name", "x"}, {"days", "sat-mon"}, {"zone", "Asia/Kathmandu"}}});
    at_ns = utc(2026, 11, 27, 18, 15);  // Saturday 00:00 there
    EXPECT_EQ(deciding(), "x");
    at_ns = utc(2026, 11, 27, 18, 14, 59);
    EXPECT_EQ(deciding(), "");
}

TEST_F(ScheduleTest, NightsBelongToTheDayOnWhichTheyBegin) {
    rules({{{"name", "x"}, {"days", "fri"}, {"hours", "22:00-06:00"}, {"zone", "UTC"}}});
    for (const auto& [day, hour, fits] :
         {std::tuple(27, 23, true), {28, 5, true}, {28, 6, false}, {28, 23, false}, {27, 5, false}, {27, 21, false}}) {
        at_ns = utc(2026, 11, day, hour, 30);
        EXPECT_EQ(deciding() == "x", fits) << day << " " << hour;
    }
}

// 2026-03-29, 02:00 becomes 03:00 in Berlin; 2026-10-25, 03:00 becomes 02:00.
TEST_F(ScheduleTest, WhenTheClocksChange) {
    rules({{{"name", "x"}, {"hours", "02:30-03:30"}, {"zone", "Europe/Berlin"}}});
    int minutes = 0;
    for (at_ns = utc(2026, 3, 28, 23, 0); at_ns < utc(2026, 3, 29, 22, 0); at_ns += 60 * kNsPerSecond)
        minutes += deciding() == "x" ? 1 : 0;
    EXPECT_EQ(minutes, 30);  // 03:00 to 03:30: the half hour before does not exist
    minutes = 0;
    for (at_ns = utc(2026, 10, 24, 22, 0); at_ns < utc(2026, 10, 25, 23, 0); at_ns += 60 * kNsPerSecond)
        minutes += deciding() == "x" ? 1 : 0;
    EXPECT_EQ(minutes, 90);  // 02:30 to 03:00 comes twice
}

TEST_F(ScheduleTest, SharesAreExact) {
    for (const double percent : {0.0, 0.001, 1.0, 10.0, 33.3, 50.0, 99.9, 100.0}) {
        schedule = {};
        rules({{{"name", "x"}, {"percent", fmt::format("{}", percent)}}});
        std::uint64_t taken = 0;
        for (std::uint64_t n = 1; n <= 100'000; ++n) {
            taken += deciding() == "x" ? 1 : 0;
            ASSERT_LT(std::abs(static_cast<double>(taken) - static_cast<double>(n) * percent / 100), 2) << percent;
        }
    }
}

TEST_F(ScheduleTest, AShareGoesOnOverAChangeOfTheRulesAndLeavesTheRestToTheNext) {
    const RuleText tenth{{"name", "tenth"}, {"percent", "10"}}, rest{{"name", "rest"}, {"decision", "skip"}};
    rules({tenth, rest});
    std::map<std::string, int> counts;
    for (int i = 0; i < 1000; ++i) {
        ++counts[deciding()];
        if (i % 7 == 0)
            rules(i % 2 == 0 ? std::vector{tenth, rest}
                             : std::vector{RuleText{{"name", "o"}, {"ani", "1"}}, tenth, rest});
    }
    EXPECT_NEAR(counts["tenth"], 100, 1);
    EXPECT_EQ(counts["tenth"] + counts["rest"], 1000);
    schedule = {};
    const RuleText none{{"name", "tenth"}, {"percent", "0"}};
    rules({none, rest});
    const auto decision = schedule.decide(facts());
    EXPECT_EQ(decision.sampled_out, std::vector<std::string>{"tenth"});
    // A call that is asked for again keeps its lot.
    for (int i = 0; i < 100; ++i) EXPECT_EQ(schedule.decide(facts(), {"tenth"}).rule, "rest");
}

// The two sides of calls between two phones of ours.
TEST_F(ScheduleTest, CallsThatComeInStepWithTheShareAreTakenAlike) {
    rules({{{"name", "x"}, {"percent", "50"}}});
    int first = 0, second = 0;
    for (int pair = 0; pair < 10'000; ++pair) {
        first += deciding() == "x" ? 1 : 0;
        second += deciding() == "x" ? 1 : 0;
    }
    EXPECT_NEAR(first, 5000, 300);  // six times its deviation
    EXPECT_NEAR(second, 5000, 300);
}

TEST_F(ScheduleTest, RestartsDoNotTakeAShareAway) {
    int taken = 0;
    for (int restart = 0; restart < 10'000; ++restart) {
        schedule = {};
        rules({{{"name", "x"}, {"percent", "1"}}});
        for (int i = 0; i < 10; ++i) taken += deciding() == "x" ? 1 : 0;
    }
    EXPECT_NEAR(taken, 1000, 200);  // six times its deviation
}

TEST_F(ScheduleTest, WhatIsWrongIsNamed) {
    EXPECT_EQ(error({{"device", "1"}}), "rule 1: has no name");
    EXPECT_EQ(error({{"name", "x"}, {"color", "red"}}), "rule 'x': color there is no such key");
    EXPECT_EQ(error({{"name", "x"}, {"decision", "maybe"}}),
              "rule 'x': decision must be record, skip or block, is 'maybe'");
    EXPECT_EQ(error({{"name", "x"}, {"days", "mon-foo"}}),
              "rule 'x': days must be days such as mon-fri,sun, is 'mon-foo'");
    EXPECT_EQ(error({{"name", "x"}, {"zone", "Mars/Base"}}), "rule 'x': zone 'Mars/Base' is not in the tz database");
    for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{{"percent", "101"},
                                                                                     {"percent", "-1"},
                                                                                     {"percent", "1x"},
                                                                                     {"hours", "8-18"},
                                                                                     {"hours", "24:00-01:00"},
                                                                                     {"hours", "09:00-09:00"},
                                                                                     {"hours", "09:60-10:00"},
                                                                                     {"direction", "?"},
                                                                                     {"priority", "-1"},
                                                                                     {"keep_days", "x"},
                                                                                     {"ani", "/(/"},
                                                                                     {"dnis", "1,,2"},
                                                                                     {"user0", "1"},
                                                                                     {"user16", "1"},
                                                                                     {"user", "1"}})
        EXPECT_NE(error({{"name", "x"}, {key, value}}), "") << key << " " << value;
    const auto twice = Schedule::make({{{"name", "x"}}, {{"name", "x"}}});
    ASSERT_FALSE(twice);
    EXPECT_EQ(twice.error().message, "rule 'x': there are two");
}

// Against a plain model: rules of exact texts on three fields.
TEST_F(ScheduleTest, RandomRulesDecideAsAPlainModel) {
    std::mt19937_64 random(20261127);
    const auto below = [&](std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random); };
    for (int round = 0; round < 300; ++round) {
        std::vector<RuleText> texts;
        for (std::uint64_t i = below(30); i > 0; --i) {
            RuleText rule{{"name", fmt::format("r{}", i)}};
            for (const char* key : {"device", "ani", "dnis"})
                if (below(2) == 0) rule[key] = fmt::format("{}", below(4));
            if (below(3) == 0) rule["decision"] = below(2) == 0 ? "skip" : "block";
            texts.push_back(rule);
        }
        schedule = {};
        rules(texts);
        for (int i = 0; i < 50; ++i) {
            call.device_id = fmt::format("{}", below(4)), call.ani = fmt::format("{}", below(4));
            call.dnis = fmt::format("{}", below(4));
            const auto expected = std::ranges::find_if(texts, [&](const RuleText& rule) {
                const auto fits = [&](const char* key, const std::string& value) {
                    return !rule.contains(key) || rule.at(key) == value;
                };
                return fits("device", call.device_id) && fits("ani", call.ani) && fits("dnis", call.dnis);
            });
            EXPECT_EQ(deciding(), expected == texts.end() ? "" : expected->at("name"));
            const auto explained = schedule.explain(facts());
            EXPECT_EQ(explained.size(),
                      expected == texts.end() ? texts.size() : static_cast<std::size_t>(expected - texts.begin()) + 1);
        }
    }
}

// What decide() looks for under the beginnings of what a rule wants, explain() asks rule by rule.
TEST_F(ScheduleTest, ManyRulesOfAllKindsDecideAsAskedOneByOne) {
    std::mt19937_64 random(20261129);
    const auto below = [&](std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random); };
    const auto text = [&] {
        std::string letters;
        for (std::uint64_t i = below(4); i > 0; --i) letters += static_cast<char>('a' + below(3));
        return letters;
    };
    const auto patterns = [&] {
        std::string all;
        for (std::uint64_t i = 1 + below(3); i > 0; --i) {
            std::string one = "x" + text();
            switch (below(7)) {
                case 0:
                    one += "*";
                    break;
                case 1:
                    one = "*" + one;
                    break;
                case 2:
                    one.back() = '?';
                    break;
                case 3:
                    one = "/^" + one + "/";
                    break;
                case 4:
                    one.erase(0, 1), one += '*';
                    break;
                default:
                    break;
            }
            if (below(5) == 0) one = "!" + one;
            all += (all.empty() ? "" : ",") + one;
        }
        return all;
    };
    std::size_t decided = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<RuleText> texts;
        for (std::uint64_t i = below(40); i > 0; --i) {
            RuleText rule{{"name", fmt::format("r{}", i)}};
            for (const char* key : {"device", "gate", "ani", "dnis", "user1", "user15", "agent", "group"})
                if (below(4) == 0) rule[key] = patterns();
            texts.push_back(rule);
        }
        schedule = {};
        rules(texts);
        for (int i = 0; i < 50; ++i) {
            for (std::string* field :
                 {&call.device_id, &call.gate, &call.ani, &call.dnis, &call.user[0], &call.user[14]})
                *field = below(8) == 0 ? "" : "x" + text();
            agents.clear(), groups.clear();
            for (std::uint64_t names = below(3); names > 0; --names) agents.push_back("x" + text());
            for (std::uint64_t names = below(3); names > 0; --names) groups.push_back("x" + text());
            const auto explained = schedule.explain(facts());
            const bool any = !explained.empty() && explained.back().second.empty();
            ASSERT_EQ(deciding(), any ? explained.back().first : "") << "round " << round;
            decided += any ? 1 : 0;
        }
    }
    EXPECT_GT(decided, 1000u);
    EXPECT_LT(decided, 14'000u);
}

}  // namespace
}  // namespace spantape
