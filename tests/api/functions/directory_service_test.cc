// SPDX-License-Identifier: AGPL-3.0-or-later
// The order of writes and turns, and what is taken back when a write fails.
#include "api/functions/directory_service.h"

#include <gtest/gtest.h>

#include "api/functions/manual_time.h"
#include "storage/password.h"

namespace spantape::api {
namespace {

// Keeps entries in memory; fails the puts that are numbered so, from 1.
class MemoryStore final : public DirectoryStore {
public:
    Result<> for_each(const Visitor& visit) const override {
        for (const auto& [key, value] : entries)
            if (auto visited = visit(key, value); !visited) return visited;
        return {};
    }
    Result<> put(const Batch& batch) override {
        if (++puts == failing) return fail("no space left");
        for (const auto& [key, value] : batch) {
            if (value)
                entries[key] = *value;
            else
                entries.erase(key);
        }
        return {};
    }
    std::map<std::string, std::string> entries;
    int puts = 0;
    int failing = 0;
};

class DirectoryServiceTest : public testing::Test {
protected:
    // Adds a group and gives the place of its outcome: "" while it waits, then "ok" or the error.
    std::shared_ptr<std::string> add_group(const std::string& name) {
        auto outcome = std::make_shared<std::string>();
        auto done = directory_.add_group(name);
        EXPECT_TRUE(done);
        service_.commit(std::move(done->changes),
                        [outcome](const Result<>& written) { *outcome = written ? "ok" : written.error().message; });
        return outcome;
    }
    // Until nothing is under way any more.
    template <class Done>
    void run_until(Done done) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < end) {
            control_.restart();
            control_.run_for(std::chrono::milliseconds(5));
        }
        ASSERT_TRUE(done());
    }
    void expect_memory_is_the_store() {
        Directory again;
        ASSERT_TRUE(store_.for_each([&](auto key, auto value) { return again.load(key, value); }));
        EXPECT_EQ(again.groups(), directory_.groups());
    }

    boost::asio::io_context control_;
    boost::asio::thread_pool pool_{2};
    MemoryStore store_;
    Directory directory_;
    DirectoryService service_{directory_, &store_, control_, pool_};
};

TEST_F(DirectoryServiceTest, NothingIsAnsweredBeforeItIsWritten) {
    const auto first = add_group("a"), second = add_group("b"), third = add_group("c");
    EXPECT_EQ(*first + *second + *third, "");
    EXPECT_EQ(directory_.groups().size(), 3U);  // but seen at once
    run_until([&] { return !third->empty(); });
    EXPECT_EQ(*first + *second + *third, "okokok");
    EXPECT_EQ(store_.puts, 2);  // those that waited went together
    expect_memory_is_the_store();
}

TEST_F(DirectoryServiceTest, AnAnswerThatRestsOnWhatIsNotYetWrittenWaitsForIt) {
    store_.failing = 1;
    const auto first = add_group("a"), again = add_group("a");
    run_until([&] { return !again->empty(); });
    EXPECT_EQ(*first, "no space left");
    EXPECT_EQ(*again, "no space left");  // and not "there it is"
    EXPECT_TRUE(directory_.groups().empty());
}

TEST_F(DirectoryServiceTest, WhatCannotBeWrittenIsTakenBackWithAllThatCameAfter) {
    const auto kept = add_group("kept");
    run_until([&] { return !kept->empty(); });
    store_.failing = 2;
    const auto lost = add_group("lost"), after = add_group("after");
    run_until([&] { return !after->empty(); });
    EXPECT_EQ(*lost, "no space left");
    EXPECT_EQ(*after, "no space left");
    EXPECT_EQ(directory_.groups().size(), 1U);
    expect_memory_is_the_store();
    const auto later = add_group("later");  // the disk has room again
    run_until([&] { return !later->empty(); });
    EXPECT_EQ(*later, "ok");
    EXPECT_EQ(directory_.groups().rbegin()->first, 4);  // an id that was once given to another is not given again
    expect_memory_is_the_store();
}

TEST_F(DirectoryServiceTest, TurnsKeepTheirOrderThoughHashesTakeTheirTime) {
    std::vector<int> order;
    std::string hash;
    const auto turn = [&](int number) {
        return [&order, &hash, number](const Result<std::string>& hashed) {
            order.push_back(number);
            if (number == 1) hash = *hashed;
        };
    };
    service_.in_turn("", turn(0));
    EXPECT_EQ(order.size(), 1U);  // nothing before it: at once
    service_.in_turn("secret", turn(1));
    service_.in_turn("", turn(2));
    service_.in_turn("other", turn(3));
    service_.in_turn("", turn(4));
    EXPECT_EQ(order.size(), 1U);
    run_until([&] { return order.size() == 5; });
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
    EXPECT_TRUE(password_fits("secret", hash));
}

class ManualTime : public testing::Test {
protected:
    ManualTime() {
        setenv("TZ", "Europe/Vienna", 1);
        tzset();
    }
    ~ManualTime() override {
        unsetenv("TZ");
        tzset();
    }
    static std::int64_t seconds_of(const std::string& text) {
        const auto parsed = parse_manual_time(text);
        return parsed ? *parsed / kNsPerSecond : -1;
    }
};

TEST_F(ManualTime, IsReadWithAndWithoutAnOffset) {
    EXPECT_EQ(seconds_of("10/30/2006 4:05:38 PM"), 1162220738);  // winter: UTC+1
    EXPECT_EQ(seconds_of("7/30/2006 04:05:38 AM"), 1154225138);  // summer: UTC+2
    EXPECT_EQ(seconds_of("4/12/2017 3:51:30 PM-05:00"), 1492030290);
    EXPECT_EQ(seconds_of("2017-04-12 15:51:30 -05:00"), 1492030290);
    EXPECT_EQ(seconds_of("2017-04-12T20:51:30+00:00"), 1492030290);
    EXPECT_EQ(seconds_of("4/12/2017 12:00:00 AM"), seconds_of("4/12/2017 00:00:00"));
}

TEST_F(ManualTime, WhatIsNoTimeIsRefused) {
    for (const char* wrong :
         {"x", "4/31/2017 1:00:00 PM", "13/1/2017 1:00:00 PM", "4/12/2017", "4/12/2017 25:00:00",
          "4/12/2017 3:51:30 PM-5:00", "4/12/2017 3:51:30 PM-05:60", "4/12/2017 3:51:30 PM-15:00",
          "4/12/2017 3:51:30 PM x", "4/12/1969 3:51:30 PM", "4/12/99999 3:51:30 PM", "2/30/2016 1:00:00 AM"})
        EXPECT_EQ(seconds_of(wrong), -1) << wrong;
}

TEST_F(ManualTime, IsWrittenWithItsOffset) {
    EXPECT_EQ(manual_time_with_offset(1492030290 * kNsPerSecond), "4/12/2017 10:51:30 PM+02:00");
    EXPECT_EQ(manual_time_with_offset(0), "");
}

}  // namespace
}  // namespace spantape::api
