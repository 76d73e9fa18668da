// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/blocks.h"

#include "storage/index/bytes.h"
#include "storage/index/keys.h"

namespace spantape::blocks {

namespace {

using index_bytes::append;
using index_bytes::number_at;
using index_bytes::ordered;
using index_bytes::time_at;

constexpr std::size_t kWords = kBlockIdents / 64;
constexpr std::size_t kBitmapBytes = kWords * 8;
constexpr std::size_t kIdentBytes = 2;
constexpr std::size_t kStartBytes = kIdentBytes + 8;
constexpr std::size_t kSpanBytes = 16;

// What one key's values come to, the oldest first.
using Values = std::vector<std::string_view>;

std::optional<std::string> united(const Values& values) {
    IdentSet all;
    for (const std::string_view value : values) {
        const auto idents = idents_of(value);
        if (!idents) return std::nullopt;
        all.unite(*idents);
    }
    return idents_value(all);
}

std::optional<std::string> last_starts(const Values& values) {
    IdentSet known;
    std::array<TimeNs, kBlockIdents> start_ns;  // of those that are known
    for (const std::string_view value : values) {
        const auto starts = starts_of(value);
        if (!starts) return std::nullopt;
        for (const auto& [ident, start] : *starts) {
            known.add(ident);
            start_ns[ident] = start;
        }
    }
    std::vector<Start> all;
    known.for_each([&](std::uint16_t ident) { all.emplace_back(ident, start_ns[ident]); });
    return starts_value(all);
}

std::optional<std::string> widest(const Values& values) {
    Span all;
    for (const std::string_view value : values) {
        const auto span = span_of(value);
        if (!span) return std::nullopt;
        all.first_ns = std::min(all.first_ns, span->first_ns);
        all.last_ns = std::max(all.last_ns, span->last_ns);
    }
    return span_value(all);
}

std::optional<std::string> merged(std::string_view key, const Values& values) {
    if (key.starts_with(index_keys::kPostings)) return united(values);
    if (key.starts_with(index_keys::kStarts)) return last_starts(values);
    if (key.starts_with(index_keys::kSpans)) return widest(values);
    return std::nullopt;
}

class BlockMerge final : public rocksdb::MergeOperator {
public:
    [[nodiscard]] const char* Name() const override { return "spantape.blocks"; }

    bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
        if (in.existing_value == nullptr && in.operand_list.size() == 1) {
            out->existing_operand = in.operand_list.front();
            return true;
        }
        Values values;
        values.reserve(in.operand_list.size() + 1);
        if (in.existing_value != nullptr) values.push_back(in.existing_value->ToStringView());
        for (const rocksdb::Slice& operand : in.operand_list) values.push_back(operand.ToStringView());
        return give(merged(in.key.ToStringView(), values), out->new_value);
    }

    bool PartialMergeMulti(const rocksdb::Slice& key, const std::deque<rocksdb::Slice>& operands, std::string* value,
                           rocksdb::Logger* /*logger*/) const override {
        Values values;
        values.reserve(operands.size());
        for (const rocksdb::Slice& operand : operands) values.push_back(operand.ToStringView());
        return give(merged(key.ToStringView(), values), *value);
    }

private:
    static bool give(std::optional<std::string> value, std::string& out) {
        if (value) out = std::move(*value);
        return value.has_value();
    }
};

}  // namespace

std::string idents_value(const IdentSet& idents) {
    std::string value;
    if (idents.size() * kIdentBytes < kBitmapBytes)
        idents.for_each([&](std::uint16_t ident) { append(value, ident); });
    else
        for (std::size_t i = 0; i < kWords; ++i) append(value, idents.word(i));
    return value;
}

std::optional<IdentSet> idents_of(std::string_view value) {
    IdentSet idents;
    if (value.size() > kBitmapBytes || value.size() % kIdentBytes != 0) return std::nullopt;
    if (value.size() == kBitmapBytes) {
        for (std::size_t i = 0; i < kWords; ++i) idents.set_word(i, number_at<std::uint64_t>(value, i * 8));
        return idents;
    }
    for (std::size_t at = 0; at < value.size(); at += kIdentBytes) {
        const auto ident = number_at<std::uint16_t>(value, at);
        if (ident >= kBlockIdents) return std::nullopt;
        idents.add(ident);
    }
    return idents;
}

std::string starts_value(const std::vector<Start>& starts) {
    std::string value;
    value.reserve(starts.size() * kStartBytes);
    for (const auto& [ident, start_ns] : starts) {
        append(value, ident);
        append(value, ordered(start_ns));
    }
    return value;
}

std::optional<std::vector<Start>> starts_of(std::string_view value) {
    if (value.size() % kStartBytes != 0) return std::nullopt;
    std::vector<Start> starts;
    starts.reserve(value.size() / kStartBytes);
    for (std::size_t at = 0; at < value.size(); at += kStartBytes) {
        const auto ident = number_at<std::uint16_t>(value, at);
        if (ident >= kBlockIdents || (!starts.empty() && ident <= starts.back().first)) return std::nullopt;
        starts.emplace_back(ident, time_at(value, at + kIdentBytes));
    }
    return starts;
}

std::optional<TimeNs> find_start(std::string_view value, std::uint16_t ident) {
    // In front of it are all lower idents but those that are missing.
    const std::size_t count = value.size() / kStartBytes, missing = kBlockIdents - std::min(count, kBlockIdents);
    std::size_t from = ident > missing ? ident - missing : 0;
    std::size_t to = std::min<std::size_t>(count, ident + std::size_t{1});
    while (from < to) {
        const std::size_t middle = from + (to - from) / 2;
        const auto here = number_at<std::uint16_t>(value, middle * kStartBytes);
        if (here == ident) return time_at(value, middle * kStartBytes + kIdentBytes);
        if (here < ident)
            from = middle + 1;
        else
            to = middle;
    }
    return std::nullopt;
}

std::string span_value(const Span& span) {
    std::string value;
    append(value, ordered(span.first_ns));
    append(value, ordered(span.last_ns));
    return value;
}

std::optional<Span> span_of(std::string_view value) {
    if (value.size() != kSpanBytes) return std::nullopt;
    return Span{time_at(value, 0), time_at(value, 8)};
}

std::shared_ptr<rocksdb::MergeOperator> block_merge() { return std::make_shared<BlockMerge>(); }

}  // namespace spantape::blocks
