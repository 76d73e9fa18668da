// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/base/huge_memory.h"

#include <algorithm>
#include <cstdint>
#include <new>

#include <gtest/gtest.h>

namespace spantape {
namespace {

TEST(HugeMemory, IsAlignedZeroedAndWritableToItsEnd) {
    for (const std::size_t bytes : {std::size_t{1}, HugeMemory::kPageBytes, HugeMemory::kPageBytes * 3 + 5}) {
        const HugeMemory memory(bytes);
        ASSERT_EQ(memory.bytes().size(), bytes);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % HugeMemory::kPageBytes, 0u);
        EXPECT_TRUE(std::ranges::all_of(memory.bytes(), [](std::byte value) { return value == std::byte{0}; }));
        std::ranges::fill(memory.bytes(), std::byte{1});
    }
}

TEST(HugeMemory, SaysWhenTheSystemHasNoneLeft) { EXPECT_THROW(HugeMemory(std::size_t{1} << 60), std::bad_alloc); }

}  // namespace
}  // namespace spantape
