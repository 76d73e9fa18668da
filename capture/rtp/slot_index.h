// SPDX-License-Identifier: AGPL-3.0-or-later
// A chained hash index over stream slots with the links kept beside the slots: nothing is allocated after
// construction. Finds streams by something that many may share (an address, an SSRC). One worker owns it.
#pragma once

#include <cstdint>
#include <vector>

namespace spantape {

class SlotIndex {
public:
    explicit SlotIndex(std::size_t slots) : next_(slots, kNone) {
        std::size_t size = 16;
        while (size < slots) size *= 2;
        heads_.assign(size, kNone);
    }

    void insert(std::uint64_t hash, std::uint32_t slot) {
        std::uint32_t& head = heads_[hash & (heads_.size() - 1)];
        next_[slot] = head;
        head = slot;
    }
    void erase(std::uint64_t hash, std::uint32_t slot) {
        std::uint32_t* link = &heads_[hash & (heads_.size() - 1)];
        while (*link != kNone && *link != slot) link = &next_[*link];
        if (*link == slot) *link = next_[slot];
    }
    // Calls visit(slot) for all whose hash fell together; the visitor checks what it wants. It must not change the
    // index meanwhile, but for erasing the visited slot.
    template <class Visit>
    void for_each(std::uint64_t hash, Visit visit) const {
        for (std::uint32_t slot = heads_[hash & (heads_.size() - 1)]; slot != kNone;) {
            const std::uint32_t following = next_[slot];
            visit(slot);
            slot = following;
        }
    }

private:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    std::vector<std::uint32_t> heads_;
    std::vector<std::uint32_t> next_;
};

}  // namespace spantape
