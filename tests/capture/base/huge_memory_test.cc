// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/base/huge_memory.h"

#include <algorithm>
#include <cstdint>
#include <new>
#include <span>
#include <vector>

#include <sys/mman.h>

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

std::size_t resident_pages(std::span<const std::byte> bytes) {
    constexpr std::size_t kSmallPage = 4096;
    std::vector<unsigned char> pages((bytes.size() + kSmallPage - 1) / kSmallPage);
    mincore(const_cast<std::byte*>(bytes.data()), bytes.size(), pages.data());
    return static_cast<std::size_t>(std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; }));
}

TEST(HugeMemory, ProvidesTheMemoryOfARangeAndChangesNothing) {
    const HugeMemory memory(HugeMemory::kPageBytes * 4);
    if (memory.reserved()) GTEST_SKIP() << "mincore does not tell of the system's huge pages";
    memory.bytes()[HugeMemory::kPageBytes] = std::byte{7};
    memory.populate(HugeMemory::kPageBytes + 100, HugeMemory::kPageBytes);
    EXPECT_EQ(memory.bytes()[HugeMemory::kPageBytes], std::byte{7});
    EXPECT_EQ(resident_pages(memory.bytes().subspan(HugeMemory::kPageBytes, HugeMemory::kPageBytes + 100)), 513u);
    EXPECT_EQ(resident_pages(memory.bytes().last(HugeMemory::kPageBytes)), 0u);
    memory.populate(0, memory.bytes().size() * 2);  // to the end, and no further
    EXPECT_EQ(resident_pages(memory.bytes()), 4 * 512u);
}

TEST(HugeMemory, SaysWhenTheSystemHasNoneLeft) { EXPECT_THROW(HugeMemory(std::size_t{1} << 60), std::bad_alloc); }

}  // namespace
}  // namespace spantape
