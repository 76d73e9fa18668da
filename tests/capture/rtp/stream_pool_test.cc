// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/rtp/stream_pool.h"

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include <gtest/gtest.h>

namespace spantape {
namespace {

FlowKey flow(std::uint32_t number) {
    const std::uint8_t source[4] = {10, 0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
    const std::uint8_t destination[4] = {10, 1, 0, 1};
    return {{IpAddress::from_v4(source), static_cast<std::uint16_t>(number)},
            {IpAddress::from_v4(destination), 4000},
            number / 2};
}

TEST(StreamPool, FindsWhatWasOpenedUntilItIsDetached) {
    StreamPool pool(0, 4, 1024);
    const FlowKey key = flow(1);
    EXPECT_EQ(pool.find(key, hash_of(key)), StreamPool::kNone);
    const auto slot = pool.open(key, hash_of(key), 7);
    EXPECT_EQ(pool.find(key, hash_of(key)), slot);
    EXPECT_EQ(pool.at(slot).handle.stream_id, 7u);
    pool.detach(slot);
    EXPECT_EQ(pool.find(key, hash_of(key)), StreamPool::kNone);
    EXPECT_EQ(pool.used(), 1u);  // the writer may still read it
    pool.release(slot);
    EXPECT_EQ(pool.used(), 0u);
}

TEST(StreamPool, SaysWhenItIsFull) {
    StreamPool pool(0, 2, 1024);
    for (std::uint32_t n = 0; n < 2; ++n) EXPECT_NE(pool.open(flow(n), hash_of(flow(n)), n), StreamPool::kNone);
    EXPECT_EQ(pool.open(flow(2), hash_of(flow(2)), 2), StreamPool::kNone);
}

TEST(StreamPool, OpensSlotsWhileAnotherThreadProvidesTheirMemory) {
    constexpr std::uint32_t kSlots = StreamPool::kAhead * 3;
    StreamPool pool(0, kSlots, 1024);
    std::atomic<bool> done{false};
    std::thread provider([&] {
        while (!done.load()) pool.populate_ahead(false);
    });
    for (std::uint32_t n = 0; n < kSlots; ++n) ASSERT_EQ(pool.open(flow(n), hash_of(flow(n)), n + 1), n);
    done.store(true);
    provider.join();
    for (std::uint32_t n = 0; n < kSlots; ++n) ASSERT_EQ(pool.at(n).handle.stream_id, n + 1);
}

TEST(StreamPool, ProvidesMemoryUntilAllSlotsHaveTheirs) {
    StreamPool pool(0, StreamPool::kAhead + 2 * StreamPool::kStep, 1024);
    EXPECT_TRUE(pool.populate_ahead(false));
    EXPECT_TRUE(pool.populate_ahead(false));  // more is wanted when slots are taken
    EXPECT_TRUE(pool.populate_ahead(true));
    EXPECT_TRUE(pool.populate_ahead(true));
    EXPECT_FALSE(pool.populate_ahead(true));
    EXPECT_FALSE(pool.populate_ahead(false));
}

TEST(StreamPool, AgreesWithAMapUnderRandomOpeningAndClosing) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    StreamPool pool(0, 300, 256);
    std::map<std::uint32_t, std::uint32_t> model;  // flow number -> slot
    for (int step = 0; step < 50'000; ++step) {
        const std::uint32_t number = random() % 500;
        const FlowKey key = flow(number);
        const auto found = pool.find(key, hash_of(key));
        const auto known = model.find(number);
        ASSERT_EQ(found, known == model.end() ? StreamPool::kNone : known->second);
        if (known != model.end() && random() % 2 == 0) {
            pool.detach(found);
            pool.release(found);
            model.erase(known);
        } else if (known == model.end()) {
            const auto slot = pool.open(key, hash_of(key), step);
            ASSERT_EQ(slot == StreamPool::kNone, model.size() == 300);
            if (slot != StreamPool::kNone) model[number] = slot;
        }
    }
    std::size_t to = 0;
    pool.for_each_to(flow(0).destination,
                     [&](std::uint32_t slot) { to += pool.at(slot).key.destination == flow(0).destination; });
    EXPECT_EQ(to, model.size());
}

}  // namespace
}  // namespace spantape
