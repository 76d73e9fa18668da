// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/keyring.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/storage/segment/helpers.h"

namespace spantape {
namespace {

bool same(const SecretKey& a, const SecretKey& b) { return std::memcmp(a.data(), b.data(), SecretKey::kBytes) == 0; }

class KeyringTest : public ::testing::Test {
protected:
    std::shared_ptr<Keyring> open() {
        auto keyring = Keyring::open(directory_.path(), master_);
        EXPECT_TRUE(keyring) << keyring.error().message;
        return keyring ? *keyring : nullptr;
    }
    [[nodiscard]] std::string ring_path() const {
        return fmt::format("{}/keys/{:016x}.ring", directory_.path(), master_.id);
    }
    [[nodiscard]] std::string master_path() const { return directory_.path() + "/master.key"; }
    bool file_holds(const std::string& path, std::span<const std::uint8_t> what) {
        const auto bytes = read_bytes(path);
        const auto needle = std::as_bytes(what);
        return std::search(bytes.begin(), bytes.end(), needle.begin(), needle.end()) != bytes.end();
    }

    TemporaryDirectory directory_;
    MasterKey master_ = *MasterKey::random();
};

TEST_F(KeyringTest, KeysAreFoundAtOnceAndAfterAnotherOpen) {
    std::vector<DataKey> keys;
    {
        const auto keyring = open();
        for (std::uint64_t owner = 1; owner <= 100; ++owner) {
            keys.push_back(*keyring->create(owner));
            EXPECT_TRUE(same(*keyring->find(keys.back().id), keys.back().key));
        }
        ASSERT_TRUE(keyring->wait_durable(keys.back().id));
    }
    const auto keyring = open();
    for (const DataKey& key : keys) EXPECT_TRUE(same(*keyring->find(key.id), key.key));
    EXPECT_GT(keyring->create(7)->id, keys.back().id) << "a number must not come again";
    EXPECT_FALSE(keyring->find(10'000));
    EXPECT_FALSE(keyring->find(0));
}

TEST_F(KeyringTest, NoKeyLiesInTheFileAsItIs) {
    const auto keyring = open();
    const DataKey key = *keyring->create(1);
    ASSERT_TRUE(keyring->wait_durable(key.id));
    EXPECT_FALSE(file_holds(ring_path(), {key.key.data(), SecretKey::kBytes}));
    EXPECT_FALSE(file_holds(ring_path(), {master_.key.data(), SecretKey::kBytes}));
}

TEST_F(KeyringTest, AForgottenKeyIsGoneFromTheFileAndTheOthersStay) {
    const auto keyring = open();
    const DataKey first = *keyring->create(1), second = *keyring->create(2);
    ASSERT_TRUE(keyring->wait_durable(second.id));
    const auto before = read_bytes(ring_path());
    const std::span wrapped(reinterpret_cast<const std::uint8_t*>(before.data()) + 4096 + 44, 32);
    ASSERT_TRUE(file_holds(ring_path(), wrapped));
    const std::uint64_t ids[] = {first.id, 0, 999};
    ASSERT_TRUE(keyring->forget(ids));
    EXPECT_FALSE(file_holds(ring_path(), wrapped));
    EXPECT_NE(keyring->find(first.id).error().message.find("forgotten"), std::string::npos);
    EXPECT_TRUE(same(*keyring->find(second.id), second.key));
}

TEST_F(KeyringTest, AnAlteredOrMovedSlotGivesNoKey) {
    DataKey first, second;
    {
        const auto keyring = open();
        first = *keyring->create(1);
        second = *keyring->create(2);
        ASSERT_TRUE(keyring->wait_durable(second.id));
    }
    const auto sound = read_bytes(ring_path());
    auto damaged = sound;
    damaged[4096 + 50] ^= std::byte{1};
    write_bytes(ring_path(), damaged);
    EXPECT_FALSE(open()->find(first.id));
    EXPECT_TRUE(open()->find(second.id));
    auto moved = sound;  // the second's slot in the first's place
    std::copy_n(sound.begin() + 4096 + 128, 128, moved.begin() + 4096);
    write_bytes(ring_path(), moved);
    EXPECT_FALSE(open()->find(first.id));
}

TEST_F(KeyringTest, AnotherMasterKeyIsRefused) {
    open();
    const auto other = Keyring::open(directory_.path(), *MasterKey::random());
    ASSERT_FALSE(other);
    EXPECT_NE(other.error().message.find("another master key"), std::string::npos);
}

TEST_F(KeyringTest, TheMasterKeysFileIsItsOwnersAlone) {
    ASSERT_TRUE(master_.save(master_path()));
    const auto loaded = MasterKey::load(master_path());
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(same(loaded->key, master_.key));
    EXPECT_EQ(loaded->id, master_.id);
    EXPECT_FALSE(master_.save(master_path())) << "an existing one is never replaced";
    chmod(master_path().c_str(), 0640);
    EXPECT_NE(MasterKey::load(master_path()).error().message.find("chmod 600"), std::string::npos);
    chmod(master_path().c_str(), 0600);
    for (const char* wrong : {"", "spantape-master-key-1 12", "spantape-master-key-1 zz"}) {
        std::string text = wrong;
        if (text.ends_with("zz")) text += std::string(62, '0');
        write_bytes(master_path(), {reinterpret_cast<const std::byte*>(text.data()),
                                    reinterpret_cast<const std::byte*>(text.data()) + text.size()});
        EXPECT_FALSE(MasterKey::load(master_path())) << text;
    }
}

TEST_F(KeyringTest, RekeyWrapsAllKeysAnewAndWipesTheOldRing) {
    ASSERT_TRUE(master_.save(master_path()));
    DataKey kept, forgotten;
    {
        const auto keyring = open();
        kept = *keyring->create(1);
        forgotten = *keyring->create(2);
        ASSERT_TRUE(keyring->wait_durable(forgotten.id));
        ASSERT_TRUE(keyring->forget({&forgotten.id, 1}));
    }
    const std::string old_ring = ring_path();
    const MasterKey next = *MasterKey::random();
    const auto count = rekey(directory_.path(), master_path(), next);
    ASSERT_TRUE(count) << count.error().message;
    EXPECT_EQ(*count, 1u);
    EXPECT_FALSE(std::filesystem::exists(old_ring));
    EXPECT_EQ(MasterKey::load(master_path())->id, next.id);
    EXPECT_FALSE(Keyring::open(directory_.path(), master_)) << "the old master key opens nothing any more";
    const auto keyring = Keyring::open(directory_.path(), next);
    ASSERT_TRUE(keyring) << keyring.error().message;
    EXPECT_TRUE(same(*(*keyring)->find(kept.id), kept.key));
    EXPECT_FALSE((*keyring)->find(forgotten.id));
    EXPECT_GT((*keyring)->create(3)->id, forgotten.id);
}

TEST_F(KeyringTest, WhatIsCreatedByManyThreadsIsAllThere) {
    const auto keyring = open();
    std::vector<std::vector<DataKey>> keys(4);
    {
        std::vector<std::jthread> threads;
        for (auto& mine : keys)
            threads.emplace_back([&] {
                for (int i = 0; i < 200; ++i) mine.push_back(*keyring->create(1));
            });
    }
    ASSERT_TRUE(keyring->wait_durable(800));
    std::set<std::uint64_t> ids;
    for (const auto& mine : keys)
        for (const DataKey& key : mine) {
            EXPECT_TRUE(ids.insert(key.id).second);
            EXPECT_TRUE(same(*keyring->find(key.id), key.key));
        }
}

}  // namespace
}  // namespace spantape
