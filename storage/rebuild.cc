// SPDX-License-Identifier: AGPL-3.0-or-later
#include "storage/rebuild.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "storage/durable_file.h"
#include "storage/index/index.h"
#include "storage/index/index_lock.h"
#include "storage/segment/scan.h"

namespace spantape {

namespace {

Result<> clear_away(const std::string& directory) {
    std::error_code error;
    std::filesystem::remove_all(directory, error);
    if (error) return fail("{}: cannot be removed: {}", directory, error.message());
    return {};
}

// Bytes of the segments before each of them.
class SegmentProgress {
public:
    SegmentProgress(const std::string& directory, const RebuildOptions& options) : options_(options) {
        const auto segments = list_segments(directory);
        if (!segments) return;
        std::error_code gone;
        for (const std::uint32_t segment : *segments) {
            before_.emplace_back(segment, total_);
            const auto bytes = std::filesystem::file_size(segment_path(directory, segment), gone);
            if (!gone) total_ += bytes;
        }
    }
    void operator()(std::uint32_t segment) const {
        if (!options_.progress) return;
        for (const auto& [number, bytes] : before_)
            if (number == segment) options_.progress(bytes, total_);
    }

private:
    const RebuildOptions& options_;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> before_;
    std::uint64_t total_ = 0;
};

// Numbers that were given out and are in no segment: of what was purged, or never became durable.
void keep_numbers(const std::string& old_index, Index& index) {
    const auto old = Index::open_read_only(old_index);
    if (!old) return;  // that is why it is rebuilt
    for (const char* series : {"ident", "global_call", "session", "boot"}) {
        const auto next = (*old)->next_number(series);
        if (next) static_cast<void>(index.raise_numbers(series, *next));
    }
}

// What segments do not tell: copies in archives, and that a recording needs to be archived no more. Without an index to
// read them from, recordings are archived again: copies that are still there are recognised by what lies beside them.
Result<> keep_archived(const std::string& old_index, Index& index) {
    const auto old = Index::open_read_only(old_index);
    if (!old) return {};
    bool any_copy = false;
    const auto kept = (*old)->for_each_archived([&](const ArchivedCopy& copy) {
        any_copy = true;
        return index.put_archived(copy);
    });
    const auto any_due = (*old)->archive_due(kFirstDue, 1);
    // An index from before there were archive actions knows nothing of what is due.
    if (!kept || !any_due || (any_due->empty() && !any_copy)) return {};
    constexpr std::size_t kAtOnce = 10'000;
    ArchiveDue from = kFirstDue;
    for (;;) {
        const auto due = index.archive_due(from, kAtOnce);
        if (!due) return std::unexpected(due.error());
        std::vector<ArchiveDue> done;
        for (const ArchiveDue& each : *due) {
            const auto then = (*old)->archive_due(each, 1);
            if (!then || (!then->empty() && then->front() == each)) continue;
            const auto recording = (*old)->recording(each.ident);
            if (recording && *recording && archive_due_of(**recording) == each) done.push_back(each);
        }
        if (auto marked = index.done_archiving(done); !marked) return marked;
        if (due->size() < kAtOnce) return {};
        from = due->back();
    }
}

Result<RecoverySummary> build(const std::string& store, const std::string& old_index, const std::string& new_index,
                              const RebuildOptions& options) {
    const std::string segments = store + "/segments";
    auto index = Index::open(new_index);
    if (!index) return std::unexpected(index.error());
    // First: a recording that is made of audio without a document takes a number.
    keep_numbers(old_index, **index);
    const SegmentProgress progress(segments, options);
    const auto recovered = recover(segments, **index, [&](std::uint32_t segment) { progress(segment); });
    if (!recovered) return std::unexpected(recovered.error());
    if (auto kept = keep_archived(old_index, **index); !kept) return std::unexpected(kept.error());
    return recovered->summary;
}

// One step where the file system can exchange names; else two, between which there is no index, so that the daemon
// would make it anew from the segments, as this does.
Result<> swap(const std::string& old_index, const std::string& new_index, const std::string& put_aside) {
    if (renameat2(AT_FDCWD, new_index.c_str(), AT_FDCWD, old_index.c_str(), RENAME_EXCHANGE) == 0) {
        if (std::rename(new_index.c_str(), put_aside.c_str()) == 0) return {};
    } else if ((errno == EINVAL || errno == ENOSYS) && std::rename(old_index.c_str(), put_aside.c_str()) == 0) {
        if (std::rename(new_index.c_str(), old_index.c_str()) == 0) return {};
    }
    return fail("{}: cannot take the place of {}: {}", new_index, old_index, strerror(errno));
}

}  // namespace

Result<RecoverySummary> rebuild_index(const std::string& store, const RebuildOptions& options) {
    const std::string old_index = store + "/index";
    const std::string new_index = store + "/index.new";
    const std::string put_aside = store + "/index.old";
    std::error_code error;
    if (!std::filesystem::is_directory(store + "/segments", error)) return fail("{}/segments: is no directory", store);
    std::filesystem::create_directory(old_index, error);  // so that there is something to lock
    auto lock = IndexLock::take(old_index);
    if (!lock) return std::unexpected(lock.error());
    for (const std::string& left_over : {new_index, put_aside})
        if (auto cleared = clear_away(left_over); !cleared) return std::unexpected(cleared.error());
    auto built = build(store, old_index, new_index, options);
    if (!built) {
        static_cast<void>(clear_away(new_index));
        return built;
    }
    if (auto swapped = swap(old_index, new_index, put_aside); !swapped) return std::unexpected(swapped.error());
    if (auto synced = sync_directory(store); !synced) return std::unexpected(synced.error());
    lock->reset();
    if (auto cleared = clear_away(put_aside); !cleared) return std::unexpected(cleared.error());
    return built;
}

}  // namespace spantape
