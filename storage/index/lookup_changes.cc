// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/lookup_changes.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "storage/index/blocks.h"
#include "storage/index/keys.h"

namespace spantape {

namespace {

using Keys = std::vector<std::string>;

void split(const Keys& before, const Keys& after, Keys& stale, Keys& fresh) {
    std::ranges::set_difference(before, after, std::back_inserter(stale));
    std::ranges::set_difference(after, before, std::back_inserter(fresh));
}

}  // namespace

void LookupChanges::note(const Recording* before, const Recording* after) {
    const auto keys = [](const Recording* recording) {
        return recording ? index_keys::lookup_keys(*recording) : Keys();
    };
    split(keys(before), keys(after), stale_, fresh_);
    note_in_blocks(before, after);
}

void LookupChanges::note_in_blocks(const Recording* before, const Recording* after) {
    const auto prefixes = [](const Recording* recording) {
        return recording ? index_keys::posting_prefixes(*recording) : Keys();
    };
    Keys left, entered;
    split(prefixes(before), prefixes(after), left, entered);
    const std::uint64_t ident = before ? before->ident : after->ident;
    for (const auto& [changed, has] : {std::pair(&left, false), std::pair(&entered, true)})
        for (const std::string& prefix : *changed)
            postings_.push_back(
                {index_keys::block_key(prefix, blocks::block_of(ident)), blocks::within_block(ident), has});

    const auto start = [](const Recording* recording) {
        return recording ? std::optional(recording->start_ns) : std::nullopt;
    };
    if (start(before) != start(after)) starts_.push_back({ident, start(after)});
}

Result<> LookupChanges::write_to(rocksdb::WriteBatch& writes, const Store& store) {
    for (const std::string& key : stale_) writes.Delete(store.lookup(), key);
    // In order they go into the database's table in half the time: each is looked for beside the one before.
    std::ranges::sort(fresh_);
    for (const std::string& key : fresh_) writes.Put(store.lookup(), key, "");

    std::ranges::sort(postings_);
    for (auto from = postings_.cbegin(); from != postings_.cend();) {
        const auto to = std::find_if(from, postings_.cend(), [&](const Posting& one) { return one.key != from->key; });
        if (auto written = write_block(from, to, writes, store); !written) return written;
        from = to;
    }
    std::ranges::sort(starts_);
    for (auto from = starts_.cbegin(); from != starts_.cend();) {
        const auto to = std::find_if(from, starts_.cend(), [&](const Start& one) {
            return blocks::block_of(one.ident) != blocks::block_of(from->ident);
        });
        if (auto written = write_starts(from, to, writes, store); !written) return written;
        from = to;
    }
    *this = {};
    return {};
}

Result<> LookupChanges::write_block(Postings from, Postings to, rocksdb::WriteBatch& writes, const Store& store) {
    blocks::IdentSet idents;
    const bool only_more = std::all_of(from, to, [](const Posting& one) { return one.has; });
    if (!only_more) {
        const auto stored = store.get(store.lookup(), from->key);
        if (!stored) return std::unexpected(stored.error());
        const auto known = *stored ? blocks::idents_of(**stored) : blocks::IdentSet();
        if (!known) return store.broken("a block of idents of {} bytes is none of ours", (*stored)->size());
        idents = *known;
    }
    for (auto one = from; one != to; ++one) one->has ? idents.add(one->ident) : idents.remove(one->ident);
    if (only_more)
        writes.Merge(store.lookup(), from->key, blocks::idents_value(idents));
    else if (idents.empty())
        writes.Delete(store.lookup(), from->key);
    else
        writes.Put(store.lookup(), from->key, blocks::idents_value(idents));
    return {};
}

Result<> LookupChanges::write_starts(Starts from, Starts to, rocksdb::WriteBatch& writes, const Store& store) {
    const std::uint64_t block = blocks::block_of(from->ident);
    const std::string key = index_keys::block_key(index_keys::kStarts, block);
    const std::string span_key = index_keys::block_key(index_keys::kSpans, block);
    std::map<std::uint16_t, TimeNs> starts;
    const bool only_more = std::all_of(from, to, [](const Start& one) { return one.start_ns.has_value(); });
    if (!only_more) {
        const auto stored = store.get(store.lookup(), key);
        if (!stored) return std::unexpected(stored.error());
        const auto known = *stored ? blocks::starts_of(**stored) : std::vector<blocks::Start>();
        if (!known) return store.broken("a block of starts of {} bytes is none of ours", (*stored)->size());
        starts.insert(known->begin(), known->end());
    }
    blocks::Span span;
    for (auto one = from; one != to; ++one) {
        const std::uint16_t ident = blocks::within_block(one->ident);
        if (!one->start_ns) {
            starts.erase(ident);
            continue;
        }
        starts.insert_or_assign(ident, *one->start_ns);
        span.cover(*one->start_ns);
    }
    if (starts.empty()) {
        writes.Delete(store.lookup(), key);
        writes.Delete(store.lookup(), span_key);
        return {};
    }
    const std::string value = blocks::starts_value({starts.begin(), starts.end()});
    if (only_more) {
        writes.Merge(store.lookup(), key, value);
        writes.Merge(store.lookup(), span_key, blocks::span_value(span));
        return {};
    }
    // All are at hand: nothing of what is gone stays in the span.
    for (const auto& [ident, start_ns] : starts) span.cover(start_ns);
    writes.Put(store.lookup(), key, value);
    writes.Put(store.lookup(), span_key, blocks::span_value(span));
    return {};
}

}  // namespace spantape
