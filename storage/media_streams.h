// SPDX-License-Identifier: AGPL-3.0-or-later
// The streams that a writer thread drains: from their rings into chunks in the segment writer's buffers. Part of the
// media writer (its thread owns it), apart from what becomes of the chunks later.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "storage/dtmf_mask.h"
#include "storage/live_tap.h"
#include "storage/media_writer.h"
#include "storage/segment/chunk_builder.h"
#include "storage/stream_seal.h"

namespace spantape {

class MediaStreams {
public:
    // on_chunk: told of each chunk when it has its place in a segment.
    // keyring: each stream gets a key of its own there with its first chunk; none: nothing is encrypted.
    MediaStreams(const MediaWriterOptions& options, SegmentWriter& segments, Keyring* keyring,
                 std::vector<WorkerToWriter*> workers, MediaWriterCounters& counters,
                 std::function<void(const ChunkEntry&)> on_chunk);

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
    // What is on the rings of a session's streams at this moment; what is on those of all streams and old enough to be
    // taken. Both wait for the keys of streams that have just begun, the time that a sync takes.
    Result<> drain_session(std::uint64_t session, TimeNs now);
    Result<> drain_all(TimeNs now);

    // --- blackouts (media_streams_blackout.cc)
    // From here on; gives what may have been taken of the window before.
    RedactionWindow black_out(const Blackout& command);
    void end_blackout(const EndBlackout& command);
    void session_over(std::uint64_t session);
    // The window as it is now, or `unless` when it is forgotten.
    [[nodiscard]] BlackoutWindow blackout(std::uint64_t session, std::uint64_t id, BlackoutWindow unless) const;
    void payloads(const EndpointPayloads& command);
    // --- silence (media_streams_silence.cc)
    void watch_silence(const WatchSilence& command);
    std::vector<SessionSilent> take_silent() { return std::exchange(silent_, {}); }
    // --- live monitoring (media_streams_live.cc)
    void tap(std::shared_ptr<LiveTap> tap);
    // Every few milliseconds: what came since goes to who listens. Errors as of sweep().
    Result<> feed_taps(TimeNs now);
    // A document's streams, whose counters are the workers': what was left out here is moved from stored to
    // blacked_out.
    void correct_counters(Recording& recording) const;
    // Chunks and seals of the recording's streams as of now; of those that ended too long ago it has them or nobody.
    void put_seals(Recording& recording) const;

    [[nodiscard]] std::size_t open() const { return open_streams_; }
    [[nodiscard]] TimeNs swept_ns() const { return swept_ns_; }
    // Whether the last sweep left something on a ring because a key was not durable yet.
    [[nodiscard]] bool waits_for_keys() const { return waits_for_keys_; }
    [[nodiscard]] bool anything_on_rings() const;

private:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    static constexpr TimeNs kTapNs = 10 * kNsPerMs;

    struct Dtmf {
        DtmfMask mask;
        std::size_t scanned = 0;    // position on the ring
        std::uint64_t version = 0;  // of the payload types below
        bool described = false;     // some description named payload types
        PayloadTable formats{};     // of audio
        std::bitset<128> events;    // telephone-event
    };
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
        TimeNs newest_ns = INT64_MIN;  // latest arrival of a stored frame
        TimeNs dark_ns = 0;            // arrival of the last frame left out
        TimeNs drained_ns = 0;         // monotonic
        StreamCounters counters;
        DataKey key;
        bool key_durable = false;  // or none is needed
        bool tapped = false;       // somebody listens, or did
        StreamSeal seal;
        std::uint64_t left_out_bytes = 0;
        std::vector<std::uint64_t> sessions;  // all that were seen while there were rules for some
        std::unique_ptr<Dtmf> dtmf;           // with mask_dtmf
    };
    // A listener, and how far he has heard each stream, by its position on the ring.
    struct Tapped {
        struct Place {
            std::uint32_t slot = 0;
            std::size_t position = 0;
        };
        std::shared_ptr<LiveTap> tap;
        std::vector<Place> places;
    };
    // What was left out of a stream.
    struct LeftOut {
        std::uint64_t frames = 0, bytes = 0;
    };
    struct Silence {
        TimeNs limit_ns = 0;
        TimeNs sound_ns = 0;  // arrival of the last frame with sound
        PayloadTable formats{};
    };
    struct SessionRules {
        std::optional<Silence> silence;
        BlackoutWindows windows;
        std::vector<EndpointPayloads> payloads;
        std::uint64_t version = 0;  // of payloads: the number of changes
        bool over = false;
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
    Result<> want_key(Stream& stream, std::uint64_t& newest);
    [[nodiscard]] bool has_key(Stream& stream) const;
    Result<> wait_for_key(std::uint64_t id);
    Result<bool> drain(std::uint32_t slot, bool all);
    [[nodiscard]] bool may_take(const Stream& stream, const RingRecord& record, bool all) const;
    [[nodiscard]] std::size_t full_bytes(const RecordRing& ring) const;
    void read_clock();
    std::size_t due_bytes(RecordRing& ring, bool all) const;
    Result<> take(Stream& stream, const RingRecord& record, const std::byte* payload, std::size_t ring_bytes);
    Result<> take_frame(Stream& stream, const RingRecord& record, const std::byte* payload, std::size_t ring_bytes);
    Result<> leave_out(Stream& stream, const RingRecord& record, const BlackoutWindow& window, std::size_t ring_bytes);
    Result<> mark_resume(Stream& stream, const RingRecord& record, std::size_t ring_bytes);
    void find_windows(Stream& stream);
    [[nodiscard]] const BlackoutWindow* window_at(TimeNs arrival_ns) const;
    [[nodiscard]] bool is_silent(const Silence& silence, const RingRecord& record, const std::byte* payload) const;
    void listen(const RingRecord& record, const std::byte* payload);
    void note_silences();
    void note_left_out(const Stream& stream);
    void forget_windows(const std::vector<std::uint64_t>& sessions);
    static void see_sessions(Stream& stream);
    // media_streams_live.cc
    void note_tapped(std::uint32_t slot);
    void forget_tapped(std::uint32_t slot);
    void feed(std::uint32_t slot);
    void tap_taken(const Stream& stream, const RingRecord& record, const std::byte* payload);
    // media_streams_dtmf.cc
    void look_for_tones(Stream& stream);
    void learn_payloads(Stream& stream);
    [[nodiscard]] static bool is_event(const Dtmf& dtmf, const RingRecord& record, const std::byte* payload);
    Result<> mark_loss(Stream& stream, TimeNs arrival_ns, std::size_t payload_bytes, std::size_t ring_bytes);
    Result<> make_room(Stream& stream, std::size_t payload_bytes, TimeNs arrival_ns, std::size_t ring_bytes);
    [[nodiscard]] ChunkHeader header_of(const Stream& stream) const;
    void close_chunk(Stream& stream);

    const MediaWriterOptions options_;
    const TimeNs drain_ns_;
    SegmentWriter& segments_;
    Keyring* keyring_;
    std::uint64_t nonce_salt_;
    std::vector<WorkerToWriter*> workers_;
    std::vector<std::deque<StreamHandle*>> returning_;  // by worker: closed, not yet handed back
    MediaWriterCounters& counters_;
    std::function<void(const ChunkEntry&)> on_chunk_;

    TimeNs now_ = 0;
    TimeNs capture_now_ns_ = 0;         // when something may be held back
    TimeNs take_until_ns_ = INT64_MAX;  // younger frames are held back
    std::vector<Stream> streams_;
    std::vector<std::uint32_t> free_slots_;
    std::unordered_map<std::uint64_t, std::uint32_t> sessions_;  // -> first of the streams linked by session
    std::size_t open_streams_ = 0;
    std::size_t cursor_ = 0;  // of the sweep
    Walk walk_;
    TimeNs swept_ns_ = 0;
    bool waits_for_keys_ = false;
    bool hot_ = false;  // the last sweep found a ring more than half full: sweep again at once
    ChunkBuilder chunk_;

    std::unordered_map<std::uint64_t, SessionRules> rules_;  // by session
    std::vector<const BlackoutWindows*> windows_;            // of the stream being drained
    std::vector<Silence*> silences_;                         // likewise
    std::vector<SessionSilent> silent_;                      // to be told
    std::vector<Tapped> taps_;
    TimeNs fed_ns_ = 0;
    const double silence_square_;
    std::unordered_map<std::uint64_t, LeftOut> left_out_;         // by stream
    std::deque<std::uint64_t> closed_left_out_;                   // streams of it that are closed, oldest first
    std::unordered_map<std::uint64_t, StreamSeal> closed_seals_;  // of streams that are closed
    std::deque<std::uint64_t> closed_order_;                      // those, oldest first
};

}  // namespace spantape
