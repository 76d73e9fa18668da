// SPDX-License-Identifier: AGPL-3.0-or-later
// RecordingAudio over index and segments: looks the chunks up once, reads each when its turn comes.
#include <utility>
#include <vector>

#include "storage/audio/recording_audio.h"

namespace spantape {
namespace {

class StoredStream : public StreamChunks {
public:
    StoredStream(std::shared_ptr<SegmentReader> reader, std::vector<ChunkEntry> entries)
        : reader_(std::move(reader)), entries_(std::move(entries)) {}

    Step next(const FrameVisitor& visit) override {
        if (at_ == entries_.size()) return Step::end;
        const auto chunk = reader_->read(entries_[at_++]);
        return chunk && chunk->for_each_frame(visit) ? Step::frames : Step::damaged;
    }

private:
    std::shared_ptr<SegmentReader> reader_;
    std::vector<ChunkEntry> entries_;
    std::size_t at_ = 0;
};

class StoredChunks : public ChunkSource {
public:
    StoredChunks(const Index& index, const SegmentStore& segments)
        : index_(index), reader_(std::make_shared<SegmentReader>(segments)) {}

    Result<std::unique_ptr<StreamChunks>> open(std::uint64_t stream_id, TimeNs from_ns, TimeNs to_ns) override {
        auto entries = index_.chunks(stream_id);
        if (!entries) return std::unexpected(entries.error());
        std::erase_if(*entries,
                      [&](const ChunkEntry& entry) { return entry.last_ns < from_ns || entry.first_ns > to_ns; });
        return std::make_unique<StoredStream>(reader_, std::move(*entries));
    }

private:
    const Index& index_;
    std::shared_ptr<SegmentReader> reader_;
};

}  // namespace

std::unique_ptr<ChunkSource> stored_chunks(const Index& index, const SegmentStore& segments) {
    return std::make_unique<StoredChunks>(index, segments);
}

Result<std::unique_ptr<RecordingAudio>> RecordingAudio::open(const Index& index, const SegmentStore& segments,
                                                             const Recording& recording, TimeNs now_ns) {
    return open_recording_audio(stored_chunks(index, segments), recording, now_ns);
}

}  // namespace spantape
