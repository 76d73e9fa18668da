// SPDX-License-Identifier: AGPL-3.0-or-later
// The directory's database: whole batches or nothing, also when the process is killed; and passwords.
#include "storage/index/directory_store.h"

#include <csignal>
#include <filesystem>
#include <map>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/password.h"
#include "tests/storage/index/temporary_directory.h"

namespace spantape {
namespace {

std::map<std::string, std::string> entries(const DirectoryStore& store) {
    std::map<std::string, std::string> all;
    EXPECT_TRUE(store.for_each([&](std::string_view key, std::string_view value) -> Result<> {
        all.emplace(key, value);
        return {};
    }));
    return all;
}

class DirectoryStoreTest : public testing::Test {
protected:
    index_test::TemporaryDirectory temporary_;
    const std::string path_ = temporary_.sub("directory");
};

TEST_F(DirectoryStoreTest, WhatWasPutIsThereAfterReopening) {
    {
        auto store = DirectoryStore::open(path_);
        ASSERT_TRUE(store) << store.error().message;
        ASSERT_TRUE((*store)->put({{"user/1", "a"}, {"user/2", "b"}, {"station/\xF0\x9F\x93\x9E", "c"}}));
        ASSERT_TRUE((*store)->put({{"user/1", std::nullopt}, {"user/2", "d"}, {"not there", std::nullopt}}));
    }
    auto store = DirectoryStore::open(path_);
    ASSERT_TRUE(store);
    EXPECT_EQ(entries(**store),
              (std::map<std::string, std::string>{{"user/2", "d"}, {"station/\xF0\x9F\x93\x9E", "c"}}));
}

TEST_F(DirectoryStoreTest, ItIsClosedToOthers) {
    std::filesystem::create_directory(path_);
    chmod(path_.c_str(), 0755);
    auto store = DirectoryStore::open(path_);
    ASSERT_TRUE(store);
    struct stat status{};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(DirectoryStoreTest, AnErrorOfTheReaderNamesTheDirectory) {
    auto store = DirectoryStore::open(path_);
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->put({{"user/1", "a"}}));
    const auto read = (*store)->for_each(
        [](std::string_view key, std::string_view) -> Result<> { return fail("entry '{}': is no JSON", key); });
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().message, "directory " + path_ + ": entry 'user/1': is no JSON");
}

TEST_F(DirectoryStoreTest, ASecondProcessIsTurnedAway) {
    auto store = DirectoryStore::open(path_);
    ASSERT_TRUE(store);
    const auto second = DirectoryStore::open(path_);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("in use by another process"), std::string::npos);
}

TEST_F(DirectoryStoreTest, AfterAKillThereAreWholeBatchesAndAllThatWereAcknowledged) {
    int acknowledged[2];
    ASSERT_EQ(pipe(acknowledged), 0);
    const pid_t child = fork();
    if (child == 0) {
        auto store = DirectoryStore::open(path_);
        if (!store) _exit(1);
        for (char batch = 0;; batch = static_cast<char>((batch + 1) % 100)) {
            DirectoryStore::Batch writes;
            for (int i = 0; i < 50; ++i) writes.emplace_back("k" + std::to_string(i), std::to_string(batch));
            if (!(*store)->put(writes) || write(acknowledged[1], &batch, 1) != 1) _exit(1);
        }
    }
    close(acknowledged[1]);
    char batch = 0;
    for (int i = 0; i < 30; ++i) ASSERT_EQ(read(acknowledged[0], &batch, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    char more = 0;
    while (read(acknowledged[0], &more, 1) == 1) batch = more;
    close(acknowledged[0]);
    auto store = DirectoryStore::open(path_);
    ASSERT_TRUE(store) << store.error().message;
    const auto all = entries(**store);
    ASSERT_EQ(all.size(), 50U);
    const int stored = std::stoi(all.at("k0"));
    for (const auto& [key, value] : all) EXPECT_EQ(value, std::to_string(stored)) << key;
    // The last that was told of, or one that was under way.
    EXPECT_TRUE(stored == batch || stored == (batch + 1) % 100) << stored << " after " << int{batch};
}

TEST(Password, OnlyTheSameFits) {
    const auto hash = hash_password("p\xC3\xA4ss & <word>");
    ASSERT_TRUE(hash);
    EXPECT_EQ(hash->rfind("scrypt$15$8$1$", 0), 0U);
    EXPECT_TRUE(password_fits("p\xC3\xA4ss & <word>", *hash));
    EXPECT_FALSE(password_fits("p\xC3\xA4ss & <word", *hash));
    EXPECT_FALSE(password_fits("", *hash));
    EXPECT_NE(*hash_password("p\xC3\xA4ss & <word>"), *hash);  // salted
}

TEST(Password, WhatIsNoHashFitsNothing) {
    const std::string good = *hash_password("x");
    for (const std::string& bad : std::vector<std::string>{"", "x", good.substr(0, good.size() - 1), good + "0",
                                                           "scrypt$99$8$1$" + good.substr(14), "scrypt$15$8$1$$"})
        EXPECT_FALSE(password_fits("x", bad)) << bad;
}

// By another implementation (Python's hashlib), with N = 2^14.
TEST(Password, IsScrypt) {
    EXPECT_TRUE(password_fits("pleaseletmein",
                              "scrypt$14$8$1$536f6469756d43686c6f726964650000$"
                              "f7d2bd1befac5a5bd950e569afa233d06ab554e25b451d4027f2142013beaea3"));
}

TEST(Token, IsRandomAndKnownByItsHash) {
    const auto one = make_token(), other = make_token();
    ASSERT_TRUE(one && other);
    EXPECT_EQ(one->size(), 64U);
    EXPECT_NE(*one, *other);
    EXPECT_EQ(token_hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2
}

}  // namespace
}  // namespace spantape
