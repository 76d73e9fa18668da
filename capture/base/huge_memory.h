// SPDX-License-Identifier: AGPL-3.0-or-later
// Large memory for tables that are walked in random order: in the huge pages that the system has set aside where there
// are enough, else in pages that the kernel is asked to make huge. Zeroed; mapped once, touched only as it is used, or
// before that by a thread that has the time.
#pragma once

#include <cstddef>
#include <span>

namespace spantape {

class HugeMemory {
public:
    static constexpr std::size_t kPageBytes = 2u << 20;

    // Throws std::bad_alloc when the system refuses.
    explicit HugeMemory(std::size_t bytes);
    ~HugeMemory();
    HugeMemory(const HugeMemory&) = delete;
    HugeMemory& operator=(const HugeMemory&) = delete;

    // Aligned to kPageBytes.
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
    // Any thread: has the kernel provide the pages of a range of bytes(), so that whoever writes there first does not
    // wait for them. Changes no byte. Where the kernel cannot (before Linux 5.14) or has no memory, nothing happens.
    void populate(std::size_t offset, std::size_t bytes) const;
    // True: of the pages set aside (vm.nr_hugepages).
    [[nodiscard]] bool reserved() const { return reserved_; }

private:
    std::span<std::byte> mapped_;  // what is to be unmapped
    std::span<std::byte> bytes_;
    bool reserved_ = false;
};

}  // namespace spantape
