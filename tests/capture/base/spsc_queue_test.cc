// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/base/spsc_queue.h"

#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace spantape {
namespace {

TEST(SpscQueue, GivesValuesInOrderAndRefusesWhenFull) {
    SpscQueue<int> queue(4);
    for (int value = 0; value < 4; ++value) EXPECT_TRUE(queue.push(int{value}));
    EXPECT_FALSE(queue.push(4));
    for (int value = 0; value < 4; ++value) EXPECT_EQ(queue.pop(), value);
    EXPECT_FALSE(queue.pop().has_value());
}

TEST(SpscQueue, ARefusedValueIsLeftWithTheCaller) {
    SpscQueue<std::unique_ptr<int>> queue(2);
    queue.push(std::make_unique<int>(1));
    queue.push(std::make_unique<int>(2));
    auto value = std::make_unique<int>(3);
    EXPECT_FALSE(queue.push(std::move(value)));
    ASSERT_TRUE(value);
    EXPECT_EQ(*value, 3);
}

TEST(SpscQueue, NothingIsLostBetweenTwoThreads) {
    constexpr std::uint64_t kValues = 200'000;
    SpscQueue<std::uint64_t> queue(64);
    std::thread producer([&] {
        for (std::uint64_t value = 0; value < kValues; ++value)
            while (!queue.push(std::uint64_t{value})) std::this_thread::yield();
    });
    std::uint64_t next = 0;
    while (next < kValues) {
        if (const auto value = queue.pop()) {
            ASSERT_EQ(*value, next);
            ++next;
        } else {
            std::this_thread::yield();
        }
    }
    producer.join();
    EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace spantape
