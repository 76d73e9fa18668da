// SPDX-License-Identifier: AGPL-3.0-or-later
#include "capture/base/huge_memory.h"

#include <algorithm>
#include <cstdint>
#include <new>

#include <sys/mman.h>

namespace spantape {

namespace {

std::span<std::byte> map(std::size_t bytes, int flags) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (memory == MAP_FAILED) return {};
    return {static_cast<std::byte*>(memory), bytes};
}

}  // namespace

HugeMemory::HugeMemory(std::size_t bytes) {
    const std::size_t whole = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    // Reserved when it is mapped (no MAP_NORESERVE): later it cannot run out.
    mapped_ = map(whole, MAP_HUGETLB);
    reserved_ = !mapped_.empty();
    if (reserved_) {
        bytes_ = mapped_.first(bytes);
        return;
    }
    mapped_ = map(whole + kPageBytes, MAP_NORESERVE);
    if (mapped_.empty()) throw std::bad_alloc();
    const std::size_t over = reinterpret_cast<std::uintptr_t>(mapped_.data()) % kPageBytes;
    bytes_ = mapped_.subspan(over == 0 ? 0 : kPageBytes - over, bytes);
    madvise(bytes_.data(), whole, MADV_HUGEPAGE);  // refused: small pages do as well, only slower
}

HugeMemory::~HugeMemory() { munmap(mapped_.data(), mapped_.size()); }

void HugeMemory::populate(std::size_t offset, std::size_t bytes) const {
    const std::size_t first = offset / kPageBytes * kPageBytes;
    const std::size_t end = std::min(offset + bytes, bytes_.size());
    if (first < end) madvise(bytes_.data() + first, end - first, MADV_POPULATE_WRITE);
}

}  // namespace spantape
