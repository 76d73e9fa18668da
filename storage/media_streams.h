// SPDX-License-Identifier: AGPL-3.0-or-later
// The streams that a writer thread drains: from their rings into chunks in the segment writer's buffers. Part of the
// media writer (its thread owns it), apart from what becomes of the chunks later.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>
#include <vector>

#include "storage/media_writer.h"
#include "storage/segment/chunk_builder.h"

namespace spantape {

class MediaStreams {
public:
    // on_chunk: told of each chunk when it has its place in a segment.
    MediaStreams(TimeNs drain_ns, SegmentWriter& segments, std::vector<WorkerToWriter*> workers,
                 MediaWriterCounters& counters, std::function<void(const ChunkEntry&)> on_chunk);

    // Takes the streams that the workers opened. True when there were some.
    bool take_opened(TimeNs now);
    // Gives closed streams' slots back to their workers; what a queue cannot take waits for the next call. True when
    // something was given.
    bool hand_back();
    [[nodiscard]] bool waits_to_hand_back() const;
    [[nodiscard]] bool has_opened() const;  // waiting in the workers' queues

    // One slice of the walk over all streams: drains those whose last time is drain_ns ago and those whose ring is more
    // than half full; with all, every stream. Begins a new walk only after a pause that grows with the number of
    // streams, unless the last one found such full rings. True when there was work.
    // After an error of the segment writer, here and below, what was not stored is still on the rings.
    Result<bool> sweep(TimeNs now, bool all);
    // What is on the rings of a session's streams, or of all streams, at this moment.
    Result<> drain_session(std::uint64_t session, TimeNs now);
    Result<> drain_all(TimeNs now);

    [[nodiscard]] std::size_t open() const { return open_streams_; }
    [[nodiscard]] TimeNs swept_ns() const { return swept_ns_; }
    [[nodiscard]] bool anything_on_rings() const;

private:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};

    struct Stream {
        StreamHandle* handle = nullptr;  // null: free slot
        std::uint32_t worker = 0;        // index into the worker queues
        std::uint32_t chunk_number = 0;
        std::uint32_t lost = 0;  // dropped by us and not yet marked in a chunk
        std::uint32_t next_in_session = kNone;
        std::uint32_t previous_in_session = kNone;
        std::uint32_t first_timestamp = 0;
        std::uint32_t last_timestamp = 0;
        bool paused = false;
        TimeNs first_ns = 0;
        TimeNs last_ns = 0;
        TimeNs drained_ns = 0;  // monotonic
        StreamCounters counters;
    };

    // What one walk over all rings has seen so far.
    struct Walk {
        std::uint64_t rings = 0, used_bytes = 0, capacity_bytes = 0, fullest_permille = 0;
        std::array<std::uint64_t, RingFill::kSteps> by_fill{};
        void note(std::size_t used, std::size_t capacity);
    };

    void publish_walk();
    void add_stream(StreamHandle& handle, std::uint32_t worker);
    void close_stream(std::uint32_t slot);
    Result<bool> drain(std::uint32_t slot);
    Result<> take(Stream& stream, const RingRecord& record, const std::byte* payload, std::size_t ring_bytes);
    Result<> take_frame(Stream& stream, const RingRecord& record, const std::byte* payload, std::size_t ring_bytes);
    Result<> mark_loss(Stream& stream, TimeNs arrival_ns, std::size_t payload_bytes, std::size_t ring_bytes);
    Result<> make_room(Stream& stream, std::size_t payload_bytes, TimeNs arrival_ns, std::size_t ring_bytes);
    static ChunkHeader header_of(const Stream& stream);
    void close_chunk(Stream& stream);

    TimeNs drain_ns_;
    SegmentWriter& segments_;
    std::vector<WorkerToWriter*> workers_;
    std::vector<std::deque<StreamHandle*>> returning_;  // by worker: closed, not yet handed back
    MediaWriterCounters& counters_;
    std::function<void(const ChunkEntry&)> on_chunk_;

    TimeNs now_ = 0;
    std::vector<Stream> streams_;
    std::vector<std::uint32_t> free_slots_;
    std::unordered_map<std::uint64_t, std::uint32_t> sessions_;  // -> first of the streams linked by session
    std::size_t open_streams_ = 0;
    std::size_t cursor_ = 0;  // of the sweep
    Walk walk_;
    TimeNs swept_ns_ = 0;
    bool hot_ = false;  // the last sweep found a ring more than half full: sweep again at once
    ChunkBuilder chunk_;
};

}  // namespace spantape
