// SPDX-License-Identifier: AGPL-3.0-or-later
// A chained hash index over stream slots with the links kept beside the slots: nothing is allocated after
// construction. Finds streams by something that many may share (an address, an SSRC). One worker owns it.
#pragma once

#include <cstdint>
#include <vector>

namespace spantape {

class SlotIndex {
public:
    explicit SlotIndex(std::size_t slots) : next_(slots, kNone), previous_(slots, kNone) {
        std::size_t size = 16;
        while (size < slots) size *= 2;
        heads_.assign(size, kNone);
    }

    void insert(std::uint64_t hash, std::uint32_t slot) {
        std::uint32_t& head = heads_[hash & (heads_.size() - 1)];
        next_[slot] = head;
        previous_[slot] = kNone;
        if (head != kNone) previous_[head] = slot;
        head = slot;
    }
    // The slot must be there. In constant time: a flood may put all streams under one hash.
    void erase(std::uint64_t hash, std::uint32_t slot) {
        const std::uint32_t before = previous_[slot];
        const std::uint32_t after = next_[slot];
        (before != kNone ? next_[before] : heads_[hash & (heads_.size() - 1)]) = after;
        if (after != kNone) previous_[after] = before;
    }
    // Calls visit(slot) for all whose hash fell together; the visitor checks what it wants. It must not change the
    // index meanwhile, but for erasing the visited slot. Of more than `most`, the newest.
    template <class Visit>
    void for_each(std::uint64_t hash, Visit visit, std::size_t most = ~std::size_t{0}) const {
        for (std::uint32_t slot = heads_[hash & (heads_.size() - 1)]; slot != kNone && most > 0; --most) {
            const std::uint32_t following = next_[slot];
            visit(slot);
            slot = following;
        }
    }

private:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    std::vector<std::uint32_t> heads_;
    std::vector<std::uint32_t> next_;
    std::vector<std::uint32_t> previous_;
};

}  // namespace spantape
