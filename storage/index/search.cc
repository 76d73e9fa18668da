// SPDX-License-Identifier: AGPL-3.0-or-later
// Search by intersection, block by block (blocks.h), those with the newest recordings first: one walk for each filter
// that has postings, all in the same order. The one that lacked a block last is asked first about the next, so that the
// rarest value sets the pace whatever the others are, and no statistics are needed to find out which one it is.
#include "storage/index/search.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <queue>

#include <rocksdb/snapshot.h>

#include "storage/index/blocks.h"
#include "storage/index/bytes.h"
#include "storage/index/keys.h"

namespace spantape {

namespace {

struct Filter {
    std::string_view column;  // canonical
    std::string value;
};

// A query as the search needs it.
struct Plan {
    std::vector<Filter> filters;  // every one is checked on the document
    std::vector<Filter> any;
    std::optional<std::uint64_t> ident;
    TimeNs from_ns = 0, to_ns = 0;
    bool impossible = false;  // a filter that no recording can match
    std::function<bool(const Recording&)> keep;
};

template <class Integer>
std::optional<Integer> integer_of(std::string_view text) {
    Integer value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// recording_time counts whole seconds: it asks for all starts within one.
void narrow_to_second(Plan& plan, std::string_view value) {
    constexpr std::int64_t kMaxSeconds = std::numeric_limits<TimeNs>::max() / kNsPerSecond;
    const auto second = integer_of<std::int64_t>(value);
    if (!second || *second >= kMaxSeconds || *second <= -kMaxSeconds) {
        plan.impossible = true;
        return;
    }
    plan.from_ns = std::max(plan.from_ns, *second * kNsPerSecond);
    plan.to_ns = std::min(plan.to_ns, *second * kNsPerSecond + (kNsPerSecond - 1));
}

// Of values that have postings.
Result<std::vector<Filter>> alternatives(const RecordingQuery& query) {
    std::vector<Filter> any;
    for (const auto& [name, value] : query.any) {
        const std::string_view column = canonical_column(name);
        if (!index_keys::has_postings(column) || value.empty()) return fail("'{}' cannot be one of several", name);
        any.push_back({column, valid_utf8(value)});
    }
    return any;
}

Result<Plan> plan_of(const RecordingQuery& query) {
    Plan plan;
    auto any = alternatives(query);
    if (!any) return std::unexpected(any.error());
    plan.any = std::move(*any);
    plan.from_ns = query.from_ns;
    plan.to_ns = query.to_ns;
    plan.keep = query.keep;
    for (const auto& [name, value] : query.equal) {
        const std::string_view column = canonical_column(name);
        if (column.empty()) return fail("there is no column '{}'", name);
        plan.filters.push_back({column, valid_utf8(value)});
        if (column == "recording_time") narrow_to_second(plan, value);
        if (column != "ident") continue;
        plan.ident = integer_of<std::uint64_t>(value);
        plan.impossible = plan.impossible || !plan.ident;
    }
    plan.impossible = plan.impossible || plan.from_ns > plan.to_ns;
    return plan;
}

bool matches(const Recording& recording, const Plan& plan) {
    if (recording.start_ns < plan.from_ns || recording.start_ns > plan.to_ns) return false;
    for (const Filter& filter : plan.filters)
        if (column(recording, filter.column).value != filter.value) return false;
    return !plan.keep || plan.keep(recording);
}

// The blocks under one prefix of the lookup family.
class Walk {
public:
    Walk(const Store& store, const rocksdb::Snapshot* snapshot, std::string prefix) : prefix_(std::move(prefix)) {
        rocksdb::ReadOptions options;
        options.snapshot = snapshot;
        iterator_.reset(store.db().NewIterator(options, store.lookup()));
    }

    // The block's value, until the next call; nullopt when there is none, and on an error. Best asked in falling order.
    std::optional<std::string_view> at(std::uint64_t block) {
        key_.resize(prefix_.size());
        index_bytes::append(key_, ~block);
        const bool forwards = started_ && key_ >= sought_;
        sought_ = key_;
        if (!forwards || !step_towards(key_)) iterator_->Seek(key_);
        started_ = true;
        if (!iterator_->Valid() || iterator_->key() != key_) return std::nullopt;
        return iterator_->value().ToStringView();
    }

    // All blocks; nullopt when they are more than that.
    std::optional<std::vector<std::uint64_t>> all(std::size_t most) {
        std::vector<std::uint64_t> found;
        started_ = false;
        for (iterator_->Seek(prefix_); iterator_->Valid(); iterator_->Next()) {
            const std::string_view key = iterator_->key().ToStringView();
            if (!key.starts_with(prefix_)) break;
            if (key.size() != prefix_.size() + index_keys::kBlockBytes) continue;
            if (found.size() == most) return std::nullopt;
            found.push_back(index_keys::block_of_key(key));
        }
        return found;
    }

    [[nodiscard]] rocksdb::Status status() const { return iterator_->status(); }

private:
    // A step costs a tenth of a seek through all levels: so many are worth a try.
    static constexpr int kSteps = 8;

    // Whether we are there, or behind it and so know that it is not there.
    bool step_towards(std::string_view key) {
        for (int steps = kSteps; iterator_->Valid() && iterator_->key().ToStringView() < key; iterator_->Next())
            if (steps-- == 0) return false;
        return true;
    }

    std::string prefix_;
    std::string key_ = prefix_, sought_;
    std::unique_ptr<rocksdb::Iterator> iterator_;
    bool started_ = false;
};

struct BlockSpan {
    std::uint64_t block = 0;
    blocks::Span span;
};

struct Candidate {
    TimeNs start_ns = 0;
    std::uint64_t ident = 0;
    auto operator<=>(const Candidate&) const = default;
};

// One search: candidates by start, and those of them that match by their documents.
class Search {
public:
    Search(const Store& store, const rocksdb::Snapshot* snapshot, const Plan& plan, std::size_t limit)
        : store_(store),
          snapshot_(snapshot),
          plan_(plan),
          limit_(limit),
          starts_(store, snapshot, std::string(index_keys::kStarts)) {
        for (const Filter& filter : plan.filters)
            if (index_keys::has_postings(filter.column) && !filter.value.empty())
                walks_.emplace_back(store, snapshot, index_keys::posting_prefix(filter.column, filter.value));
        for (const Filter& filter : plan.any)
            any_.emplace_back(store, snapshot, index_keys::posting_prefix(filter.column, filter.value));
    }

    Result<std::vector<Recording>> run() {
        const auto spans = spans_in_time();
        if (!spans) return std::unexpected(spans.error());
        for (const BlockSpan& next : *spans) {
            // Of this block and of all that follow none began later than that.
            if (auto taken = take_until(next.span.last_ns); !taken) return std::unexpected(taken.error());
            if (found_.size() == limit_) return std::move(found_);
            if (auto added = add_candidates(next); !added) return std::unexpected(added.error());
        }
        if (auto taken = take_until(std::nullopt); !taken) return std::unexpected(taken.error());
        return std::move(found_);
    }

private:
    // Blocks that may have recordings of the time that is asked for, by their last start, the latest first.
    Result<std::vector<BlockSpan>> spans_in_time() {
        auto spans = spans_of_rare_value();
        if (!spans) return std::unexpected(spans.error());
        if (!*spans) {
            auto all = all_spans();
            if (!all) return all;
            *spans = std::move(*all);
        }
        std::erase_if(**spans, [&](const BlockSpan& one) {
            return one.span.last_ns < plan_.from_ns || one.span.first_ns > plan_.to_ns;
        });
        std::ranges::stable_sort(**spans, std::greater(), [](const BlockSpan& one) { return one.span.last_ns; });
        return std::move(**spans);
    }

    // Of a value that few blocks have, those; nullopt: there is none such.
    Result<std::optional<std::vector<BlockSpan>>> spans_of_rare_value() {
        constexpr std::size_t kFew = 32;
        for (Walk& walk : walks_) {
            const auto few = walk.all(kFew);
            if (auto read = store_.check(walk.status(), "searching"); !read) return std::unexpected(read.error());
            if (!few) continue;
            std::vector<BlockSpan> spans;
            for (const std::uint64_t block : *few) {
                const auto value =
                    store_.get(store_.lookup(), index_keys::block_key(index_keys::kSpans, block), snapshot_);
                if (!value) return std::unexpected(value.error());
                const auto span = blocks::span_of(value->value_or(""));
                if (!span) return store_.broken("block {} has idents of a value and no span", block);
                spans.push_back({block, *span});
            }
            return spans;
        }
        return std::nullopt;
    }

    [[nodiscard]] Result<std::vector<BlockSpan>> all_spans() const {
        rocksdb::ReadOptions options;
        options.snapshot = snapshot_;
        const std::unique_ptr<rocksdb::Iterator> iterator(store_.db().NewIterator(options, store_.lookup()));
        std::vector<BlockSpan> spans;
        for (iterator->Seek(rocksdb::Slice(index_keys::kSpans)); iterator->Valid(); iterator->Next()) {
            const std::string_view key = iterator->key().ToStringView();
            if (!key.starts_with(index_keys::kSpans)) break;
            const auto span = blocks::span_of(iterator->value().ToStringView());
            if (!span || key.size() != index_keys::kSpans.size() + index_keys::kBlockBytes)
                return store_.broken("a block's span of {} and {} bytes is none of ours", key.size(),
                                     iterator->value().size());
            spans.push_back({index_keys::block_of_key(key), *span});
        }
        if (auto read = store_.check(iterator->status(), "searching"); !read) return std::unexpected(read.error());
        return spans;
    }

    // Those of the block that a walk leads to; nullopt: there are none.
    Result<std::optional<blocks::IdentSet>> idents_at(Walk& walk, std::uint64_t block) {
        const auto value = walk.at(block);
        if (auto read = store_.check(walk.status(), "searching"); !read) return std::unexpected(read.error());
        if (!value) return std::nullopt;
        const auto idents = blocks::idents_of(*value);
        if (!idents) return store_.broken("a block of idents of {} bytes is none of ours", value->size());
        return idents;
    }

    // Leaves of the block's `idents` those that have all values, and one of any_.
    Result<> narrow(blocks::IdentSet& idents, std::uint64_t block) {
        for (std::size_t i = 0; i < walks_.size(); ++i) {
            const auto have = idents_at(walks_[i], block);
            if (!have) return std::unexpected(have.error());
            idents.intersect(have->value_or(blocks::IdentSet()));
            if (!*have) std::swap(walks_[i], walks_.front());
            if (idents.empty()) return {};
        }
        if (any_.empty()) return {};
        blocks::IdentSet one_of;
        for (Walk& walk : any_) {
            const auto have = idents_at(walk, block);
            if (!have) return std::unexpected(have.error());
            if (*have) one_of.unite(**have);
        }
        idents.intersect(one_of);
        return {};
    }

    Result<> add_candidates(const BlockSpan& of) {
        blocks::IdentSet idents = blocks::IdentSet::all();
        if (auto narrowed = narrow(idents, of.block); !narrowed) return narrowed;
        if (idents.empty()) return {};
        const auto value = starts_.at(of.block);
        if (auto read = store_.check(starts_.status(), "searching"); !read) return read;
        idents.for_each([&](std::uint16_t within) {
            const auto start_ns = blocks::find_start(value.value_or(""), within);
            if (start_ns && *start_ns >= plan_.from_ns && *start_ns <= plan_.to_ns)
                candidates_.push({*start_ns, of.block * blocks::kBlockIdents + within});
        });
        return {};
    }

    // Takes what matches of the candidates that began later than that (nullopt: of all).
    Result<> take_until(std::optional<TimeNs> last_ns) {
        while (found_.size() < limit_ && !candidates_.empty()) {
            if (last_ns && candidates_.top().start_ns <= *last_ns) break;
            const std::uint64_t ident = candidates_.top().ident;
            candidates_.pop();
            auto recording = read_recording(store_, ident, snapshot_);
            if (!recording) return std::unexpected(recording.error());
            if (!*recording && !store_.read_only())
                return store_.broken("an entry names recording {}, which is not there", ident);
            if (*recording && matches(**recording, plan_)) found_.push_back(std::move(**recording));
        }
        return {};
    }

    const Store& store_;
    const rocksdb::Snapshot* snapshot_;
    const Plan& plan_;
    std::size_t limit_;
    Walk starts_;
    std::vector<Walk> walks_, any_;
    std::priority_queue<Candidate> candidates_;
    std::vector<Recording> found_;
};

Result<std::vector<Recording>> found_by_ident(const Store& store, const rocksdb::Snapshot* snapshot, const Plan& plan) {
    auto recording = read_recording(store, *plan.ident, snapshot);
    if (!recording) return std::unexpected(recording.error());
    std::vector<Recording> found;
    if (*recording && matches(**recording, plan)) found.push_back(std::move(**recording));
    return found;
}

}  // namespace

Result<std::optional<Recording>> read_recording(const Store& store, std::uint64_t ident,
                                                const rocksdb::Snapshot* snapshot) {
    const auto document = store.get(store.recordings(), index_keys::u64_bytes(ident), snapshot);
    if (!document) return std::unexpected(document.error());
    if (!*document) return std::nullopt;
    auto recording = recording_from_json(**document);
    if (!recording) return store.broken("recording {}: {}", ident, recording.error().message);
    if (recording->ident != ident) return store.broken("recording {} calls itself {}", ident, recording->ident);
    return std::move(*recording);
}

Result<std::vector<Recording>> search_recordings(const Store& store, const RecordingQuery& query) {
    const auto plan = plan_of(query);
    if (!plan) return std::unexpected(plan.error());
    if (plan->impossible || query.limit == 0) return {};
    rocksdb::ManagedSnapshot snapshot(&store.db());
    if (plan->ident) return found_by_ident(store, snapshot.snapshot(), *plan);
    return Search(store, snapshot.snapshot(), *plan, query.limit).run();
}

}  // namespace spantape
