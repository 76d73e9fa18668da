// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/base/record_ring.h"

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace spantape {
namespace {

struct Fixture {
    explicit Fixture(std::size_t bytes) : memory(bytes) { ring.attach(memory); }
    std::vector<std::byte> memory;
    RecordRing ring;
};

bool put(RecordRing& ring, std::size_t bytes, unsigned char fill) {
    std::byte* room = ring.reserve(bytes);
    if (room == nullptr) return false;
    std::memset(room, fill, bytes);
    ring.commit();
    return true;
}

TEST(RecordRing, KeepsLengthAndBytesAcrossTheWrap) {
    Fixture fixture(256);
    for (int round = 0; round < 100; ++round) {
        const std::size_t bytes = 1 + static_cast<std::size_t>(round * 7 % 90);
        ASSERT_TRUE(put(fixture.ring, bytes, static_cast<unsigned char>(round)));
        const auto record = fixture.ring.front();
        ASSERT_EQ(record.size(), bytes);
        EXPECT_EQ(record.front(), static_cast<std::byte>(round));
        EXPECT_EQ(record.back(), static_cast<std::byte>(round));
        fixture.ring.pop();
    }
    EXPECT_TRUE(fixture.ring.front().empty());
    EXPECT_EQ(fixture.ring.used_bytes(), 0u);
}

TEST(RecordRing, RefusesWhenFullAndWhatIsTooLarge) {
    Fixture fixture(256);
    EXPECT_EQ(fixture.ring.reserve(200), nullptr);  // larger than half of the ring can never be promised
    int stored = 0;
    while (put(fixture.ring, 24, 1)) ++stored;
    EXPECT_EQ(stored, 8);
    fixture.ring.front();
    fixture.ring.pop();
    EXPECT_TRUE(put(fixture.ring, 24, 2));
    EXPECT_FALSE(put(fixture.ring, 24, 3));
}

TEST(RecordRing, NothingIsTornBetweenTwoThreads) {
    Fixture fixture(4096);
    constexpr std::uint32_t kRecords = 100'000;
    std::thread producer([&] {
        std::minstd_rand random(1);
        for (std::uint32_t number = 0; number < kRecords; ++number) {
            const std::size_t bytes = 4 + random() % 300;
            std::byte* room = nullptr;
            while ((room = fixture.ring.reserve(bytes)) == nullptr) std::this_thread::yield();
            std::memset(room, static_cast<int>(number & 0xff), bytes);
            std::memcpy(room, &number, sizeof number);
            fixture.ring.commit();
        }
    });
    std::minstd_rand random(1);
    for (std::uint32_t number = 0; number < kRecords; ++number) {
        const std::size_t bytes = 4 + random() % 300;
        std::span<const std::byte> record;
        while ((record = fixture.ring.front()).empty()) std::this_thread::yield();
        ASSERT_EQ(record.size(), bytes);
        std::uint32_t got = 0;
        std::memcpy(&got, record.data(), sizeof got);
        ASSERT_EQ(got, number);
        if (bytes > 4) {
            ASSERT_EQ(record.back(), static_cast<std::byte>(number & 0xff));
        }
        fixture.ring.pop();
    }
    producer.join();
}

}  // namespace
}  // namespace spantape
