// SPDX-License-Identifier: AGPL-3.0-or-later
// Every way to tamper with a log, found and named by its line; and every way in which a log that was damaged goes on.
#include "storage/chained_log.h"

#include <fstream>
#include <iterator>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <boost/json/value_to.hpp>

#include "tests/storage/index/temporary_directory.h"

namespace spantape {
namespace {

class ChainedLogTest : public ::testing::Test {
protected:
    ChainedLogTest() { std::filesystem::create_directory(store_); }

    [[nodiscard]] SigningKey key() const { return *SigningKey::load_or_create(store_); }
    [[nodiscard]] std::unique_ptr<ChainedLog> open() const {
        auto log = ChainedLog::open(path_, key());
        EXPECT_TRUE(log) << log.error().message;
        return std::move(*log);
    }
    void write(int first, int last) const {
        const auto log = open();
        for (int i = first; i <= last; ++i) EXPECT_TRUE(log->append({{"what", "test"}, {"number", i}}));
    }
    [[nodiscard]] LogCheck check() const {
        auto checked = check_log(path_, *VerifyingKey::load(verifying_key_path(store_)));
        EXPECT_TRUE(checked) << checked.error().message;
        return *checked;
    }
    [[nodiscard]] std::vector<std::string> lines() const {
        std::ifstream in(path_);
        std::vector<std::string> lines;
        for (std::string line; std::getline(in, line);) lines.push_back(line);
        return lines;
    }
    void put(const std::vector<std::string>& lines) const {
        std::ofstream out(path_, std::ios::trunc);
        for (const std::string& line : lines) out << line << '\n';
    }
    [[nodiscard]] std::vector<std::string> whats() const {
        std::vector<std::string> whats;
        EXPECT_TRUE(read_log(path_, [&](std::uint64_t, const LogLine& line) {
            whats.push_back(boost::json::value_to<std::string>(line.members.at("what")));
            return true;
        }));
        return whats;
    }
    // The line that the only problem is at.
    void expect_problem_at(std::uint64_t line) const {
        const LogCheck checked = check();
        ASSERT_EQ(checked.problem_count, 1u);
        EXPECT_EQ(checked.problems[0].line, line) << checked.problems[0].what;
    }

    const index_test::TemporaryDirectory directory_;
    const std::string store_ = directory_.sub("store");
    const std::string path_ = store_ + "/log/audit.jsonl";
};

TEST_F(ChainedLogTest, WhatWasAppendedIsThereInOrderAndWhole) {
    write(1, 200);
    const LogCheck checked = check();
    EXPECT_EQ(checked.problem_count, 0u);
    EXPECT_EQ(checked.lines, 200u);
    EXPECT_EQ(checked.last_n, 200u);
    std::uint64_t expected = 0;
    ASSERT_TRUE(read_log(path_, [&](std::uint64_t number, const LogLine& line) {
        EXPECT_EQ(number, ++expected);
        EXPECT_EQ(line.n, expected);
        EXPECT_EQ(line.members.at("number").as_int64(), static_cast<std::int64_t>(expected));
        EXPECT_NEAR(seconds(line.time_ns), seconds(wall_clock_ns()), 60);
        return true;
    }));
    EXPECT_EQ(expected, 200u);
}

TEST_F(ChainedLogTest, ALogThatNeverBeganIsWhole) {
    static_cast<void>(key());
    EXPECT_EQ(check().problem_count, 0u);
}

TEST_F(ChainedLogTest, GoesOnWhereItEnded) {
    write(1, 3);
    write(4, 6);
    const LogCheck checked = check();
    EXPECT_EQ(checked.problem_count, 0u);
    EXPECT_EQ(checked.last_n, 6u);
}

TEST_F(ChainedLogTest, ADurableLineIsOnDiskWhenItReturns) {
    const auto log = open();
    ASSERT_TRUE(log->append({{"what", "durable"}}, true));
    EXPECT_EQ(lines().size(), 1u);
    EXPECT_EQ(check().problem_count, 0u);
}

TEST_F(ChainedLogTest, AppendsOfManyThreadsAndTwoProcessesMakeOneChain) {
    const auto one = open(), other = open();  // as two processes would
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread)
        threads.emplace_back([&, thread] {
            for (int i = 0; i < 50; ++i)
                EXPECT_TRUE((thread % 2 == 0 ? one : other)->append({{"what", "test"}, {"i", i}}, i % 10 == 9));
        });
    for (auto& thread : threads) thread.join();
    ASSERT_TRUE(one->sync());
    ASSERT_TRUE(other->sync());
    const LogCheck checked = check();
    EXPECT_EQ(checked.problem_count, 0u);
    EXPECT_EQ(checked.lines, 200u);
}

TEST_F(ChainedLogTest, MembersCannotStandInForTheLogsOwn) {
    {
        const auto log = open();
        ASSERT_TRUE(log->append({{"n", 77}, {"previous", "x"}, {"signature", "y"}, {"what", "\n\"},{\"n\":9"}}, true));
    }
    EXPECT_EQ(check().problem_count, 0u);
    EXPECT_EQ(lines().size(), 1u);
    EXPECT_EQ(whats().at(0), "\n\"},{\"n\":9");
}

TEST_F(ChainedLogTest, ALineThatIsTooLongIsRefused) {
    const auto log = open();
    EXPECT_FALSE(log->append({{"what", std::string(kMaxLogLineBytes, 'x')}}));
}

TEST_F(ChainedLogTest, AnEditedLineIsFound) {
    write(1, 10);
    auto all = lines();
    all[3].replace(all[3].find("\"number\":4"), 10, "\"number\":5");
    put(all);
    expect_problem_at(4);
}

TEST_F(ChainedLogTest, ALineOfGarbageIsFound) {
    write(1, 10);
    auto all = lines();
    all[6] = "garbage";
    put(all);
    expect_problem_at(7);
}

TEST_F(ChainedLogTest, ARemovedLineIsFound) {
    write(1, 10);
    auto all = lines();
    all.erase(all.begin() + 4);
    put(all);
    expect_problem_at(5);
}

TEST_F(ChainedLogTest, ARemovedFirstLineIsFound) {
    write(1, 10);
    auto all = lines();
    all.erase(all.begin());
    put(all);
    expect_problem_at(1);
}

TEST_F(ChainedLogTest, AnInsertedLineIsFound) {
    write(1, 10);
    auto all = lines();
    all.insert(all.begin() + 5, "{\"n\":6,\"time\":1.0,\"what\":\"made up\"}");
    put(all);
    expect_problem_at(6);
}

TEST_F(ChainedLogTest, ACopiedLineIsFound) {
    write(1, 10);
    auto all = lines();
    all.insert(all.begin() + 5, all[2]);
    put(all);
    expect_problem_at(6);
}

TEST_F(ChainedLogTest, ReorderedLinesAreFound) {
    write(1, 10);
    auto all = lines();
    std::swap(all[4], all[5]);
    put(all);
    const LogCheck checked = check();
    ASSERT_EQ(checked.problem_count, 2u);
    EXPECT_EQ(checked.problems[0].line, 5u);
    EXPECT_EQ(checked.problems[1].line, 6u);
}

TEST_F(ChainedLogTest, ALineOfAnotherLogOfTheSameKeyIsFound) {
    write(1, 10);
    const std::string other_path = store_ + "/log/integrity.jsonl";
    {
        const auto other = ChainedLog::open(other_path, key());
        for (int i = 1; i <= 10; ++i) ASSERT_TRUE((*other)->append({{"what", "other"}, {"number", i}}));
    }
    std::ifstream in(other_path);
    auto all = lines();
    for (std::size_t i = 0; i <= 4; ++i) std::getline(in, all[4]);
    put(all);  // line 5 now has the right number, and a signature that fits
    const LogCheck checked = check();
    ASSERT_GE(checked.problem_count, 1u);
    EXPECT_EQ(checked.problems[0].line, 5u);
}

TEST_F(ChainedLogTest, TheWholeOtherLogInItsPlaceIsFound) {
    write(1, 3);
    const std::string other_path = store_ + "/log/integrity.jsonl";
    {
        const auto other = ChainedLog::open(other_path, key());
        for (int i = 1; i <= 3; ++i) ASSERT_TRUE((*other)->append({{"what", "other"}}));
    }
    std::filesystem::rename(other_path, path_);
    std::filesystem::rename(other_path + ".head", path_ + ".head");
    expect_problem_at(0);
}

TEST_F(ChainedLogTest, LinesSignedByAnotherKeyAreFound) {
    write(1, 5);
    const std::string other_store = directory_.sub("other");
    std::filesystem::create_directory(other_store);
    const auto other = SigningKey::load_or_create(other_store);
    const auto checked = check_log(path_, other->verifier());
    ASSERT_TRUE(checked);
    EXPECT_EQ(checked->problem_count, 6u);  // five lines and the head
}

TEST_F(ChainedLogTest, ACutEndIsFoundByTheHead) {
    write(1, 10);
    auto all = lines();
    all.resize(7);
    put(all);
    expect_problem_at(8);
}

TEST_F(ChainedLogTest, ALostHeadIsFound) {
    write(1, 10);
    std::filesystem::remove(path_ + ".head");
    expect_problem_at(0);
}

TEST_F(ChainedLogTest, AHeadOfOursThatWasEditedIsFound) {
    write(1, 10);
    auto all = lines();
    all.resize(7);
    put(all);
    std::fstream head(path_ + ".head");
    std::string text;
    std::getline(head, text);
    text.replace(text.find("\"n\":10"), 6, "\"n\":07");
    head.seekp(0);
    head << text;
    head.close();
    expect_problem_at(0);
}

TEST_F(ChainedLogTest, ARemovedLogIsFoundByTheHead) {
    write(1, 10);
    std::filesystem::remove(path_);
    expect_problem_at(1);
}

TEST_F(ChainedLogTest, ATornLastLineIsCutAndToldAtTheNextOpening) {
    write(1, 5);
    std::ofstream(path_, std::ios::app) << R"({"n":6,"time":176722)";
    expect_problem_at(6);
    write(6, 6);
    EXPECT_EQ(check().problem_count, 0u);
    const std::vector<std::string> expected{"test", "test", "test", "test", "test", "torn_line_cut", "test"};
    EXPECT_EQ(whats(), expected);
}

TEST_F(ChainedLogTest, LinesThatTheHeadDoesNotKnowYetAreNoDamage) {
    write(1, 3);
    std::filesystem::copy_file(path_ + ".head", path_ + ".older");
    write(4, 6);
    std::filesystem::rename(path_ + ".older", path_ + ".head");  // as after a crash between the two syncs
    EXPECT_EQ(check().problem_count, 0u);
    write(7, 7);
    EXPECT_EQ(check().problem_count, 0u);
    EXPECT_EQ(lines().size(), 7u);
}

TEST_F(ChainedLogTest, AfterACutEndItGoesOnAndSaysSo) {
    write(1, 10);
    auto all = lines();
    all.resize(7);
    put(all);
    write(11, 11);
    EXPECT_EQ(whats().at(7), "chain_broken");
    expect_problem_at(8);
    EXPECT_EQ(check().last_n, 12u);
    write(12, 12);
    EXPECT_EQ(lines().size(), 10u) << "it is said once";
}

TEST_F(ChainedLogTest, AfterALastLineOfGarbageItGoesOnAndSaysSo) {
    write(1, 5);
    std::ofstream(path_, std::ios::app) << "garbage\n";
    write(6, 6);
    EXPECT_EQ(whats().at(5), "chain_broken");
    expect_problem_at(6);
}

TEST_F(ChainedLogTest, AfterALostHeadItGoesOnAndSaysSo) {
    write(1, 5);
    std::filesystem::remove(path_ + ".head");
    write(6, 6);
    EXPECT_EQ(whats().at(5), "chain_broken");
    EXPECT_EQ(check().problem_count, 0u) << "but its chain is whole";
}

TEST_F(ChainedLogTest, DamageWhileItIsOpenIsSeenAtTheNextLine) {
    const auto log = open();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(log->append({{"what", "test"}}, true));
    auto all = lines();
    all.resize(3);
    put(all);
    ASSERT_TRUE(log->append({{"what", "test"}}, true));
    EXPECT_EQ(whats().at(3), "chain_broken");
}

TEST_F(ChainedLogTest, ALogRemovedWhileItIsOpenIsMadeAgain) {
    const auto log = open();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(log->append({{"what", "test"}}, true));
    std::filesystem::remove(path_);
    ASSERT_TRUE(log->append({{"what", "test"}}, true));
    EXPECT_EQ(whats().at(0), "chain_broken");
    expect_problem_at(1);
}

TEST_F(ChainedLogTest, WhatCannotBeWrittenIsToldAndTriedAgain) {
    const auto log = open();
    ASSERT_TRUE(log->append({{"what", "one"}}, true));
    std::filesystem::rename(store_ + "/log", store_ + "/elsewhere");
    std::ofstream(store_ + "/log") << "no directory";
    EXPECT_FALSE(log->append({{"what", "two"}}, true));
    std::filesystem::remove(store_ + "/log");
    std::filesystem::rename(store_ + "/elsewhere", store_ + "/log");
    ASSERT_TRUE(log->append({{"what", "three"}}, true));
    const std::vector<std::string> expected{"one", "two", "three"};
    EXPECT_EQ(whats(), expected);
    EXPECT_EQ(check().problem_count, 0u);
}

TEST_F(ChainedLogTest, TheKeyIsReadableByItsOwnerOnly) {
    static_cast<void>(key());
    struct stat status{};
    ASSERT_EQ(stat(signing_key_path(store_).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(ChainedLogTest, APublicKeyOfAnotherIsRefusedAndALostOneMadeAgain) {
    static_cast<void>(key());
    std::filesystem::remove(verifying_key_path(store_));
    static_cast<void>(key());
    EXPECT_TRUE(std::filesystem::exists(verifying_key_path(store_)));
    const std::string other_store = directory_.sub("other");
    std::filesystem::create_directory(other_store);
    ASSERT_TRUE(SigningKey::load_or_create(other_store));
    std::filesystem::copy_file(verifying_key_path(other_store), verifying_key_path(store_),
                               std::filesystem::copy_options::overwrite_existing);
    EXPECT_FALSE(SigningKey::load_or_create(store_));
    std::filesystem::remove(signing_key_path(store_));
    EXPECT_FALSE(SigningKey::load_or_create(store_)) << "a new key would not fit the old lines";
}

TEST(SigningKey, VerifiesWhatItSignedAndNothingElse) {
    const index_test::TemporaryDirectory directory;
    const std::string store = directory.sub("");
    const auto key = SigningKey::load_or_create(store);
    ASSERT_TRUE(key);
    const std::string signature = key->sign("text");
    EXPECT_TRUE(key->verifier().verify("text", signature));
    EXPECT_FALSE(key->verifier().verify("texT", signature));
    EXPECT_FALSE(key->verifier().verify("text", signature.substr(2)));
    EXPECT_FALSE(key->verifier().verify("text", std::string(kSignatureHexDigits, 'g')));
}

TEST(Sha256, IsTheStandards) {  // FIPS 180-4's example
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace spantape
