// SPDX-License-Identifier: AGPL-3.0-or-later
// Blocks of 4,096 idents that follow one another, in which the index keeps who has a value and when each recording
// began. What is written is merged by the database: writing does not read. For the files of this folder only.
//
//   IDENTS  which of a block's idents: up to 255 as 2 bytes each, big-endian and rising; more as a bitmap of 512 bytes
//           (word:8 × 64, big-endian, the lowest bit for the lowest ident)
//   STARTS  ident within the block:2 start:8 of each, rising by ident
//   SPAN    first start:8 last start:8; no recording of the block began before or after. Wider than need be where a
//           recording's start was changed.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rocksdb/merge_operator.h>

#include "capture/base/clock.h"

namespace spantape::blocks {

inline constexpr std::uint64_t kBlockIdents = 4096;
inline std::uint64_t block_of(std::uint64_t ident) { return ident / kBlockIdents; }
inline std::uint16_t within_block(std::uint64_t ident) { return static_cast<std::uint16_t>(ident % kBlockIdents); }

// Some of a block's idents, each as within_block().
class IdentSet {
public:
    static IdentSet all() {
        IdentSet idents;
        idents.words_.fill(~std::uint64_t{0});
        return idents;
    }
    [[nodiscard]] bool has(std::uint16_t ident) const { return (words_[ident / 64] >> ident % 64 & 1) != 0; }
    void add(std::uint16_t ident) { words_[ident / 64] |= std::uint64_t{1} << ident % 64; }
    void remove(std::uint16_t ident) { words_[ident / 64] &= ~(std::uint64_t{1} << ident % 64); }
    void unite(const IdentSet& other) {
        for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
    }
    void intersect(const IdentSet& other) {
        for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
    }
    // Words as in a bitmap of IDENTS.
    [[nodiscard]] std::uint64_t word(std::size_t number) const { return words_[number]; }
    void set_word(std::size_t number, std::uint64_t word) { words_[number] = word; }
    [[nodiscard]] std::size_t size() const {
        std::size_t count = 0;
        for (const std::uint64_t word : words_) count += static_cast<std::size_t>(std::popcount(word));
        return count;
    }
    [[nodiscard]] bool empty() const {
        return std::ranges::all_of(words_, [](std::uint64_t word) { return word == 0; });
    }
    // visit(ident), rising.
    template <class Visit>
    void for_each(Visit visit) const {
        for (std::size_t i = 0; i < words_.size(); ++i)
            for (std::uint64_t word = words_[i]; word != 0; word &= word - 1)
                visit(static_cast<std::uint16_t>(i * 64 + static_cast<unsigned>(std::countr_zero(word))));
    }

private:
    std::array<std::uint64_t, kBlockIdents / 64> words_{};
};

std::string idents_value(const IdentSet& idents);
// nullopt when these are no IDENTS.
std::optional<IdentSet> idents_of(std::string_view value);

using Start = std::pair<std::uint16_t, TimeNs>;  // ident within the block, start
// `starts`: rising by ident, each once.
std::string starts_value(const std::vector<Start>& starts);
// nullopt when these are no STARTS.
std::optional<std::vector<Start>> starts_of(std::string_view value);
// Of one ident, at once where the block is nearly full; nullopt when it is not there.
std::optional<TimeNs> find_start(std::string_view value, std::uint16_t ident);

struct Span {
    TimeNs first_ns = INT64_MAX, last_ns = INT64_MIN;
    void cover(TimeNs start_ns) {
        first_ns = std::min(first_ns, start_ns);
        last_ns = std::max(last_ns, start_ns);
    }
};
std::string span_value(const Span& span);
std::optional<Span> span_of(std::string_view value);

// Unites IDENTS and SPANs; of STARTS of one ident the one that was written last holds. Tells them by their keys.
[[nodiscard]] std::shared_ptr<rocksdb::MergeOperator> block_merge();

}  // namespace spantape::blocks
