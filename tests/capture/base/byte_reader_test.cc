// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/base/byte_reader.h"

#include <array>

#include <gtest/gtest.h>

namespace spantape {
namespace {

TEST(ByteReader, ReadsNetworkOrder) {
    constexpr std::array<std::uint8_t, 7> bytes{1, 2, 3, 4, 5, 6, 7};
    ByteReader reader(bytes);
    EXPECT_EQ(reader.u8(), 1);
    EXPECT_EQ(reader.u16(), 0x0203);
    EXPECT_EQ(reader.u32(), 0x04050607u);
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(reader.left(), 0u);
}

TEST(ByteReader, StaysFailedAfterTheFirstReadThatDoesNotFit) {
    constexpr std::array<std::uint8_t, 3> bytes{1, 2, 3};
    ByteReader reader(bytes);
    EXPECT_EQ(reader.u32(), 0u);
    EXPECT_FALSE(reader.ok());
    EXPECT_EQ(reader.u8(), 0);
    EXPECT_TRUE(reader.rest().empty());
}

}  // namespace
}  // namespace spantape
