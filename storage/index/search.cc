// SPDX-License-Identifier: AGPL-3.0-or-later
// Search by intersection: one walk for each filter that has an index, all in the same order (newest first). The walks
// take turns to seek to the furthest place that any of them has reached, so that the rarest value sets the pace
// whatever the others are, and no statistics are needed to find out which one it is.
#include "storage/index/search.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <rocksdb/snapshot.h>

#include "storage/index/keys.h"

namespace spantape {

namespace {

struct Filter {
    std::string_view column;  // canonical
    std::string value;
};

// A query as the walks need it.
struct Plan {
    std::vector<Filter> filters;  // every one is checked on the document
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

Result<Plan> plan_of(const RecordingQuery& query) {
    Plan plan;
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

// The places of all recordings under one prefix of the lookup family, in order.
class Walk {
public:
    Walk(const Store& store, const rocksdb::Snapshot* snapshot, std::string prefix) : prefix_(std::move(prefix)) {
        rocksdb::ReadOptions options;
        options.snapshot = snapshot;
        iterator_.reset(store.db().NewIterator(options, store.lookup()));
    }

    // The first place at or after `wanted`; empty at the end or on an error.
    std::string_view seek(std::string_view wanted) {
        if (!started_) {
            started_ = true;
            return look(wanted);
        }
        // A step costs a tenth of a seek through all levels: so many are worth a try, unless the last tries were in
        // vain.
        std::string_view here = at();
        const bool hopeful = vain_tries_ < kVainTries || vain_tries_ % kVainTries == 0;
        for (int steps = hopeful ? kSteps : 1; steps > 0 && !here.empty() && here < wanted; --steps) {
            iterator_->Next();
            here = at();
        }
        const bool arrived = here.empty() || here >= wanted;
        vain_tries_ = arrived ? 0 : vain_tries_ + 1;
        return arrived ? here : look(wanted);
    }

    [[nodiscard]] rocksdb::Status status() const { return iterator_->status(); }

private:
    static constexpr int kSteps = 16;
    static constexpr unsigned kVainTries = 4;

    std::string_view look(std::string_view wanted) {
        key_.assign(prefix_).append(wanted);
        iterator_->Seek(key_);
        return at();
    }
    // Empty when the iterator has left the prefix.
    [[nodiscard]] std::string_view at() const {
        if (!iterator_->Valid()) return {};
        const std::string_view key = iterator_->key().ToStringView();
        if (key.size() != prefix_.size() + index_keys::kPlaceBytes || !key.starts_with(prefix_)) return {};
        return key.substr(prefix_.size());
    }

    std::string prefix_;
    std::string key_;
    std::unique_ptr<rocksdb::Iterator> iterator_;
    bool started_ = false;
    unsigned vain_tries_ = 0;
};

std::vector<Walk> walks_of(const Store& store, const rocksdb::Snapshot* snapshot, const Plan& plan) {
    std::vector<Walk> walks;
    for (const Filter& filter : plan.filters)
        if (index_keys::has_field_index(filter.column, store.format()) && !filter.value.empty())
            walks.emplace_back(store, snapshot, index_keys::field_prefix(filter.column, filter.value));
    if (walks.empty()) walks.emplace_back(store, snapshot, index_keys::time_prefix());
    return walks;
}

// The first place from `from` to `last` that all walks have; empty when there is none.
Result<std::string> common_place(const Store& store, std::vector<Walk>& walks, std::string from,
                                 const std::string& last) {
    std::size_t agreed = 0;
    for (std::size_t turn = 0; agreed < walks.size(); turn = (turn + 1) % walks.size()) {
        const std::string_view place = walks[turn].seek(from);
        if (place.empty()) {
            if (auto ended = store.check(walks[turn].status(), "searching"); !ended)
                return std::unexpected(ended.error());
            return std::string();
        }
        if (place > last) return std::string();
        agreed = place == from ? agreed + 1 : 1;
        from = place;
    }
    return from;
}

Result<std::vector<Recording>> found_by_ident(const Store& store, const rocksdb::Snapshot* snapshot, const Plan& plan) {
    auto recording = read_recording(store, *plan.ident, snapshot);
    if (!recording) return std::unexpected(recording.error());
    std::vector<Recording> found;
    if (*recording && matches(**recording, plan)) found.push_back(std::move(**recording));
    return found;
}

Result<std::vector<Recording>> found_by_walks(const Store& store, const rocksdb::Snapshot* snapshot, const Plan& plan,
                                              std::size_t limit) {
    constexpr std::uint64_t kHighestIdent = std::numeric_limits<std::uint64_t>::max();
    const std::string last = index_keys::place(plan.from_ns, 0);
    auto walks = walks_of(store, snapshot, plan);
    std::vector<Recording> found;
    std::optional<std::string> from = index_keys::place(plan.to_ns, kHighestIdent);
    while (from && found.size() < limit) {
        const auto place = common_place(store, walks, *from, last);
        if (!place) return std::unexpected(place.error());
        if (place->empty()) break;
        const std::uint64_t ident = index_keys::ident_of_place(*place);
        auto recording = read_recording(store, ident, snapshot);
        if (!recording) return std::unexpected(recording.error());
        if (!*recording && !store.read_only())
            return store.broken("an entry names recording {}, which is not there", ident);
        if (*recording && matches(**recording, plan)) found.push_back(std::move(**recording));
        from = index_keys::next_place(*place);
    }
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
    return found_by_walks(store, snapshot.snapshot(), *plan, query.limit);
}

}  // namespace spantape
