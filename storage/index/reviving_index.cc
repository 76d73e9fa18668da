// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/index/reviving_index.h"

#include <mutex>
#include <shared_mutex>
#include <utility>

namespace spantape {

namespace {

constexpr TimeNs kAgainNs = kNsPerSecond;

class RevivingIndex final : public Index {
public:
    using Open = std::function<Result<OpenedIndex>(const std::string&)>;
    RevivingIndex(std::string directory, Open open, OpenedIndex opened)
        : directory_(std::move(directory)), open_(std::move(open)), opened_(std::move(opened)) {}

    Result<std::optional<Recording>> recording(std::uint64_t ident) const override {
        return read([&](const Index& index) { return index.recording(ident); });
    }
    Result<std::vector<ChunkEntry>> chunks(std::uint64_t stream_id) const override {
        return read([&](const Index& index) { return index.chunks(stream_id); });
    }
    Result<std::vector<Recording>> search(const RecordingQuery& query) const override {
        return read([&](const Index& index) { return index.search(query); });
    }
    Result<std::vector<Recording>> unfinished() const override {
        return read([&](const Index& index) { return index.unfinished(); });
    }
    Result<Watermark> watermark() const override {
        return read([&](const Index& index) { return index.watermark(); });
    }
    Result<> for_each_stream(const StreamVisitor& visit) const override {
        return read([&](const Index& index) { return index.for_each_stream(visit); });
    }
    Result<> for_each_recording(const RecordingVisitor& visit) const override {
        return read([&](const Index& index) { return index.for_each_recording(visit); });
    }
    Result<std::vector<std::uint64_t>> recordings_of(std::uint64_t stream_id) const override {
        return read([&](const Index& index) { return index.recordings_of(stream_id); });
    }
    Result<std::vector<DocumentEntry>> documents(std::uint64_t ident) const override {
        return read([&](const Index& index) { return index.documents(ident); });
    }
    Result<std::uint32_t> documents_known_from() const override {
        return read([&](const Index& index) { return index.documents_known_from(); });
    }
    Result<std::vector<std::uint64_t>> expired(TimeNs now_ns, std::int32_t default_keep_days,
                                               std::size_t limit) const override {
        return read([&](const Index& index) { return index.expired(now_ns, default_keep_days, limit); });
    }
    Result<std::vector<std::uint64_t>> purging() const override {
        return read([&](const Index& index) { return index.purging(); });
    }
    Result<std::vector<ArchiveDue>> archive_due(const ArchiveDue& from, std::size_t limit) const override {
        return read([&](const Index& index) { return index.archive_due(from, limit); });
    }
    Result<std::vector<ArchivedCopy>> archived(std::uint64_t ident) const override {
        return read([&](const Index& index) { return index.archived(ident); });
    }
    Result<> for_each_archived(const ArchivedVisitor& visit) const override {
        return read([&](const Index& index) { return index.for_each_archived(visit); });
    }
    Result<std::uint64_t> next_number(const std::string& series) const override {
        return read([&](const Index& index) { return index.next_number(series); });
    }
    Result<> put(const Batch& batch) override {
        return write([&](Index& index) { return index.put(batch); });
    }
    Result<> mark_purging(const std::vector<std::uint64_t>& idents) override {
        return write([&](Index& index) { return index.mark_purging(idents); });
    }
    Result<> purge(std::uint64_t ident, const std::vector<std::uint64_t>& streams) override {
        return write([&](Index& index) { return index.purge(ident, streams); });
    }
    Result<> erase_purged() override {
        return write([&](Index& index) { return index.erase_purged(); });
    }
    Result<> done_archiving(const std::vector<ArchiveDue>& done) override {
        return write([&](Index& index) { return index.done_archiving(done); });
    }
    Result<> put_archived(const ArchivedCopy& copy) override {
        return write([&](Index& index) { return index.put_archived(copy); });
    }
    Result<> forget_archived(const ArchivedCopy& copy) override {
        return write([&](Index& index) { return index.forget_archived(copy); });
    }
    Result<std::uint64_t> take_numbers(const std::string& series, std::uint64_t count) override {
        return write([&](Index& index) { return index.take_numbers(series, count); });
    }
    Result<> raise_numbers(const std::string& series, std::uint64_t at_least) override {
        return write([&](Index& index) { return index.raise_numbers(series, at_least); });
    }

private:
    // Visitors may use the index while they are called: a lock that is shared may be taken again.
    auto read(auto what) const -> decltype(what(std::declval<const Index&>())) {
        const std::shared_lock lock(mutex_);
        if (!opened_.index) return std::unexpected(closed_);
        return what(*opened_.index);
    }
    auto write(auto what) -> decltype(what(std::declval<Index&>())) {
        if (*opened_failed()) revive();
        const std::shared_lock lock(mutex_);
        if (!opened_.index) return std::unexpected(closed_);
        return what(*opened_.index);
    }
    WriteFailure opened_failed() const {
        const std::shared_lock lock(mutex_);
        return opened_.failed;
    }
    void revive() {
        // Not while somebody reads; it may be the visitor of a walk that writes. The next write tries again.
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (!lock) return;
        const TimeNs now_ns = monotonic_ns();
        if (!*opened_.failed || now_ns < next_try_ns_ || !room_to_open(directory_)) return;
        next_try_ns_ = now_ns + kAgainNs;
        opened_.index.reset();
        auto opened = open_(directory_);
        if (opened)
            opened_ = std::move(*opened);
        else
            closed_ = opened.error();
    }

    const std::string directory_;
    const Open open_;
    mutable std::shared_mutex mutex_;  // alone: while it is closed and opened
    OpenedIndex opened_;               // no index: it could not be opened again, yet
    Error closed_;                     // why
    TimeNs next_try_ns_ = 0;
};

}  // namespace

Result<std::unique_ptr<Index>> open_reviving_index(const std::string& directory,
                                                   std::function<Result<OpenedIndex>(const std::string&)> open) {
    auto opened = open(directory);
    if (!opened) return std::unexpected(opened.error());
    return std::make_unique<RevivingIndex>(directory, std::move(open), std::move(*opened));
}

}  // namespace spantape
