// SPDX-License-Identifier: AGPL-3.0-or-later
// What the blocks hold reads back as it was written, and merges to what writing it at once would give.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "storage/index/blocks.h"
#include "storage/index/keys.h"
#include "tests/storage/index/random_recording.h"

namespace spantape::blocks {
namespace {

using index_test::Random;

std::set<std::uint16_t> set_of(const IdentSet& idents) {
    std::set<std::uint16_t> set;
    idents.for_each([&](std::uint16_t ident) { set.insert(ident); });
    return set;
}

std::string value_of(const std::set<std::uint16_t>& set) {
    IdentSet idents;
    for (const std::uint16_t ident : set) idents.add(ident);
    EXPECT_EQ(idents.size(), set.size());
    return idents_value(idents);
}

// As the database calls it: all operands upon a value, or some of them united before.
std::string merged(const std::string& key, const std::vector<std::string>& values, bool in_two) {
    const auto merge = block_merge();
    std::vector<std::string> operands(values.begin() + 1, values.end());
    if (in_two && operands.size() > 2) {
        std::deque<rocksdb::Slice> first(operands.begin(), operands.end() - 1);
        std::string united;
        EXPECT_TRUE(merge->PartialMergeMulti(key, first, &united, nullptr));
        operands = {united, operands.back()};
    }
    const rocksdb::Slice existing = values.front();
    const std::vector<rocksdb::Slice> slices(operands.begin(), operands.end());
    rocksdb::Slice operand(nullptr, 0);
    std::string out;
    const rocksdb::Slice merged_key = key;  // the input only refers to it
    const rocksdb::MergeOperator::MergeOperationInput input(merged_key, &existing, slices, nullptr);
    rocksdb::MergeOperator::MergeOperationOutput output(out, operand);
    EXPECT_TRUE(merge->FullMergeV2(input, &output));
    return out;
}

TEST(Blocks, SetsOfAnySizeReadBackAndUnite) {
    Random random(7);
    const std::string key = index_keys::block_key(index_keys::posting_prefix("ani", "1"), 0);
    for (const std::size_t most : {0u, 1u, 2u, 255u, 256u, 257u, 4000u}) {
        std::set<std::uint16_t> all;
        std::vector<std::string> values;
        for (int part = 0; part < 5; ++part) {
            std::set<std::uint16_t> set;
            while (set.size() < most) set.insert(static_cast<std::uint16_t>(random() % kBlockIdents));
            const auto read = idents_of(value_of(set));
            ASSERT_TRUE(read);
            EXPECT_EQ(set_of(*read), set);
            all.insert(set.begin(), set.end());
            values.push_back(value_of(set));
        }
        EXPECT_EQ(merged(key, values, false), value_of(all));
        EXPECT_EQ(merged(key, values, true), value_of(all));
    }
}

TEST(Blocks, OfStartsOfOneIdentTheLastHolds) {
    Random random(8);
    const std::string key = index_keys::block_key(index_keys::kStarts, 3);
    std::map<std::uint16_t, TimeNs> all;
    std::vector<std::string> values;
    for (int part = 0; part < 6; ++part) {
        std::map<std::uint16_t, TimeNs> starts;
        for (int i = 0; i < 100; ++i)
            starts[static_cast<std::uint16_t>(random() % 200)] = static_cast<TimeNs>(random());
        for (const auto& [ident, start] : starts) all[ident] = start;
        values.push_back(starts_value({starts.begin(), starts.end()}));
    }
    const std::string value = merged(key, values, false);
    EXPECT_EQ(merged(key, values, true), value);
    for (std::uint16_t ident = 0; ident < 220; ++ident) {
        const auto known = all.find(ident);
        EXPECT_EQ(find_start(value, ident), known == all.end() ? std::nullopt : std::optional(known->second));
    }
    const auto starts = starts_of(value);
    ASSERT_TRUE(starts);
    EXPECT_EQ((std::map<std::uint16_t, TimeNs>(starts->begin(), starts->end())), all);
}

TEST(Blocks, AStartIsFoundHoweverFullTheBlockIs) {
    for (const std::uint16_t gap : {0, 1, 5, 4090}) {
        std::vector<Start> starts;
        for (std::uint16_t ident = 0; ident < kBlockIdents; ++ident)
            if (ident < 3 || ident >= 3 + gap) starts.emplace_back(ident, ident * 10);
        const std::string value = starts_value(starts);
        for (std::uint16_t ident = 0; ident < kBlockIdents; ++ident)
            EXPECT_EQ(find_start(value, ident).value_or(-1), ident < 3 || ident >= 3 + gap ? ident * 10 : -1);
    }
}

TEST(Blocks, SpansWiden) {
    const auto value = [](TimeNs first, TimeNs last) { return span_value({first, last}); };
    const auto span =
        span_of(merged(index_keys::block_key(index_keys::kSpans, 1), {value(5, 9), value(-3, 4), value(6, 6)}, false));
    ASSERT_TRUE(span);
    EXPECT_EQ(span->first_ns, -3);
    EXPECT_EQ(span->last_ns, 9);
}

TEST(Blocks, WhatIsNoneOfOursIsRefused) {
    EXPECT_FALSE(idents_of("abc"));
    EXPECT_FALSE(idents_of("\x10\x01")) << "4097 is beyond the block";
    EXPECT_FALSE(idents_of(std::string(514, '\0')));
    EXPECT_FALSE(starts_of("123456789"));
    EXPECT_FALSE(starts_of(std::string(20, '\0'))) << "one ident twice";
    EXPECT_FALSE(span_of("12345678"));
}

}  // namespace
}  // namespace spantape::blocks
