// SPDX-License-Identifier: AGPL-3.0-or-later
// The writer thread. What it takes in goes through three stations, each in order:
//   rings and commands -> records in the segment writer's buffers (gathering_)
//   flushed, waiting for the disk (flushed_), positions corrected when the segment writer had to move them
//   durable: into the index in one batch, then announced (announcements_)
// A failure stops a station for a moment; what waits in it stays and is tried again.
#include "storage/media_writer.h"

#include <cstring>
#include <deque>
#include <optional>
#include <unordered_map>

#include "storage/media_streams.h"
#include "storage/segment/record.h"

namespace spantape {

namespace {

constexpr TimeNs kRetryNs = 200 * kNsPerMs;
constexpr TimeNs kShutdownPatienceNs = 10 * kNsPerSecond;

struct StoredDocument {
    Recording recording;
    RecordPosition position;
    bool final = false;
};

// A blackout whose past part must be findable on disk before it is answered.
struct AwaitedBlackout {
    BlackoutReady ready;
    std::uint64_t id = 0;
};

// What one flush makes durable.
struct Group {
    std::uint64_t epoch = 0;
    std::vector<ChunkEntry> chunks;
    std::vector<StoredDocument> documents;
    std::vector<std::uint64_t> tokens;  // of FlushAll
    std::vector<AwaitedBlackout> blackouts;
    RecordPosition last;  // newest record
    TimeNs since_ns = 0;  // monotonic, of its first record

    [[nodiscard]] bool empty() const { return chunks.empty() && documents.empty() && !urgent(); }
    [[nodiscard]] bool urgent() const { return !tokens.empty() || !blackouts.empty(); }  // somebody waits for it
};

void apply(const MovedRange& moved, std::uint32_t& segment, std::uint64_t& offset) {
    if (segment != moved.segment || offset < moved.offset || offset >= moved.offset + moved.bytes) return;
    segment = moved.to_segment;
    offset = moved.to_offset + (offset - moved.offset);
}

void apply(const MovedRange& moved, Group& group) {
    for (ChunkEntry& chunk : group.chunks) apply(moved, chunk.segment, chunk.offset);
    for (StoredDocument& document : group.documents) apply(moved, document.position.segment, document.position.offset);
    apply(moved, group.last.segment, group.last.offset);
}

}  // namespace

struct MediaWriter::State {
    State(MediaWriterOptions options, SegmentWriter& segments, Index& index, std::vector<WorkerToWriter*> workers,
          SpscQueue<WriterCommand>& commands, SpscQueue<WriterEvent>& events, Wakeup& control_wakeup, Keyring* keyring)
        : options_(options),
          segments_(segments),
          index_(index),
          commands_(commands),
          events_(events),
          control_wakeup_(control_wakeup),
          keyring_(keyring),
          streams_(options, segments, keyring, std::move(workers), counters_,
                   [this](const ChunkEntry& chunk) { take_chunk(chunk); }) {}

    bool step(TimeNs now) {
        now_ = now;
        bool worked = streams_.hand_back();
        worked |= streams_.take_opened(now_);
        if (now_ >= segments_retry_ns_) {
            worked |= take_commands();
            // Not past a command that waits for the disk: it may say what must not be stored.
            if (now_ >= segments_retry_ns_)
                if (auto fed = streams_.feed_taps(now_); !fed) segments_failed(fed.error());
            if (now_ >= segments_retry_ns_) worked |= sweep();
            worked |= flush_if_due();
        }
        worked |= reap();
        worked |= index_durable();
        worked |= announce();
        return worked;
    }

    void run(const std::atomic<bool>& stop) {
        while (!stop.load(std::memory_order_acquire)) {
            if (!step(monotonic_ns())) sleep();
        }
        // The last turns: everything that is on the rings now, down to the disk and the index.
        const TimeNs deadline = monotonic_ns() + kShutdownPatienceNs;
        closing_ = true;
        while (busy() && monotonic_ns() < deadline) {
            if (!step(monotonic_ns())) wakeup_.wait(1, [] { return true; }, segments_.completion_fd());
        }
    }

    bool sweep() {
        const auto swept = streams_.sweep(now_, closing_);
        if (streams_.swept_ns() == now_) hurry_ = false;
        for (SessionSilent& silent : streams_.take_silent()) announcements_.emplace_back(silent);
        if (streams_.waits_for_keys())
            if (const std::string error = keyring_->error(); !error.empty())
                say_failure("keyring", error, keyring_said_ns_);
        return swept ? *swept : segments_failed(swept.error());
    }

    void take_chunk(const ChunkEntry& chunk) {
        note({chunk.segment, chunk.offset, chunk.bytes});
        gathering_.chunks.push_back(chunk);
    }

    void note(const RecordPosition& position) {
        if (gathering_.empty()) gathering_.since_ns = now_;
        gathering_.last = position;
        counters_.bytes_written.fetch_add(position.bytes, std::memory_order_relaxed);
    }

    // --- commands --------------------------------------------------------------------------------------------------

    bool take_commands() {
        bool any = false;
        for (;;) {
            if (!command_) command_ = commands_.pop();
            if (!command_) return any;
            any = true;
            // Streams handed over before the command was sent are its business: the queue is looked at after it.
            streams_.take_opened(now_);
            auto done = std::visit([this](auto& command) { return handle(command); }, *command_);
            if (!done) return segments_failed(done.error());  // the command waits
            command_.reset();
        }
    }

    Result<> handle(PutRecording& put) {
        if (put.final) {
            if (auto drained = streams_.drain_session(put.recording.session_id, now_); !drained) return drained;
        }
        streams_.correct_counters(put.recording);
        if (put.final) streams_.put_seals(put.recording);
        const std::string json = to_json(put.recording);
        const std::size_t bytes = document_record_bytes(json);
        StoredDocument document;
        document.final = put.final;
        if (bytes <= SegmentWriter::kMaxRecordBytes) {
            auto position = append_document(put.recording, json);
            if (!position) return std::unexpected(position.error());
            document.position = *position;
        } else {
            say_failure(
                "documents",
                fmt::format("recording {}: its document of {} bytes fits into no segment; only the index has it",
                            put.recording.ident, bytes),
                document_said_ns_);
            if (gathering_.empty()) gathering_.since_ns = now_;
        }
        document.recording = std::move(put.recording);
        gathering_.documents.push_back(std::move(document));
        return {};
    }

    Result<RecordPosition> append_document(const Recording& recording, const std::string& json) {
        auto room = segments_.reserve(static_cast<std::uint32_t>(document_record_bytes(json)));
        if (!room) return std::unexpected(room.error());
        write_document(*room, recording, json);
        const RecordPosition position = segments_.commit();
        note(position);
        counters_.recordings.fetch_add(1, std::memory_order_relaxed);
        return position;
    }

    Result<> handle(FlushAll& flush) {
        if (auto drained = streams_.drain_all(now_); !drained) return drained;
        if (gathering_.empty()) gathering_.since_ns = now_;
        gathering_.tokens.push_back(flush.token);
        return {};
    }

    // What is in chunks by now is awaited, also where none of the streams gave any: an older group may still be on its
    // way, and answers come in order.
    Result<> handle(Blackout& command) {
        RedactionWindow redact = streams_.black_out(command);
        if (command.token == 0) return {};
        if (gathering_.empty()) gathering_.since_ns = now_;
        gathering_.blackouts.push_back({{command.token, command.session, std::move(redact)}, command.id});
        return {};
    }

    Result<> handle(EndBlackout& command) {
        streams_.end_blackout(command);
        return {};
    }

    Result<> handle(EndpointPayloads& command) {
        streams_.payloads(command);
        return {};
    }

    Result<> handle(WatchSilence& command) {
        streams_.watch_silence(command);
        return {};
    }

    Result<> handle(Listen& command) {
        streams_.tap(std::move(command.tap));
        return {};
    }

    Result<> handle(SessionOver& command) {
        streams_.session_over(command.session);
        return {};
    }

    Result<> handle(PutPurge& purge) {
        const std::uint32_t bytes = purge_record_bytes(purge.streams.size());
        auto room = segments_.reserve(bytes);
        if (!room) return std::unexpected(room.error());
        write_purge(*room, purge.ident, purge.streams);
        note(segments_.commit());
        gathering_.tokens.push_back(purge.token);
        return {};
    }

    // --- durability ------------------------------------------------------------------------------------------------

    bool flush_if_due() {
        if (gathering_.empty()) return false;
        // Two fifths here, two fifths on the ring: together below flush_ns, with something to spare for the disk.
        const bool due = closing_ || gathering_.urgent() || now_ - gathering_.since_ns >= options_.flush_ns * 2 / 5;
        if (!due) return false;
        auto epoch = segments_.flush();
        if (!epoch) return segments_failed(epoch.error());
        gathering_.epoch = *epoch;
        flushed_.push_back(std::move(gathering_));
        gathering_ = {};
        return true;
    }

    bool reap() {
        auto reaped = now_ < segments_retry_ns_ ? Result<>{} : segments_.reap(false);
        // Always before anything is indexed: a reserve() or flush() of this step may have moved records, too.
        for (const MovedRange& moved : segments_.take_moved()) {
            for (Group& group : flushed_) apply(moved, group);
            apply(moved, gathering_);
        }
        if (!reaped) return segments_failed(reaped.error());
        return false;
    }

    // Everything durable, in one batch: chunks, documents (the newest of each) and how far that is.
    bool index_durable() {
        std::size_t durable = 0;
        while (durable < flushed_.size() && flushed_[durable].epoch <= segments_.durable_epoch()) ++durable;
        if (durable == 0 || now_ < index_retry_ns_) return false;
        Index::Batch batch;
        std::unordered_map<std::uint64_t, std::size_t> place_of;
        for (std::size_t i = 0; i < durable; ++i) {
            const Group& group = flushed_[i];
            batch.chunks.insert(batch.chunks.end(), group.chunks.begin(), group.chunks.end());
            for (const StoredDocument& document : group.documents) {
                const auto [place, added] = place_of.try_emplace(document.recording.ident, batch.recordings.size());
                if (added) {
                    batch.recordings.push_back(document.recording);
                } else {
                    batch.recordings[place->second] = document.recording;
                }
                if (document.position.bytes > 0) {
                    batch.documents.push_back({document.recording.ident, document.position.segment,
                                               document.position.offset, document.position.bytes});
                }
            }
            if (group.last.bytes > 0) {
                batch.watermark = Watermark{group.last.segment, group.last.offset + group.last.bytes};
            }
        }
        const bool anything = !batch.chunks.empty() || !batch.recordings.empty();
        if (auto put = anything ? index_.put(batch) : Result<>{}; !put) {
            index_retry_ns_ = now_ + kRetryNs;
            say_failure("index", put.error().message, index_said_ns_);
            return false;
        }
        for (; durable > 0; --durable) {
            announce_group(flushed_.front());
            flushed_.pop_front();
        }
        return true;
    }

    void announce_group(const Group& group) {
        for (const StoredDocument& document : group.documents) {
            announcements_.emplace_back(RecordingStored{document.recording.ident, document.final});
        }
        for (const AwaitedBlackout& awaited : group.blackouts) {
            BlackoutReady ready = awaited.ready;
            // Its stop may have come meanwhile: what lies behind that stays.
            const RedactionWindow& redact = ready.redact;
            ready.redact.to_ns = streams_.blackout(ready.session, awaited.id, {redact.from_ns, redact.to_ns}).to_ns;
            announcements_.emplace_back(std::move(ready));
        }
        for (const std::uint64_t token : group.tokens) announcements_.emplace_back(Flushed{token});
    }

    bool announce() {
        bool any = false;
        while (!announcements_.empty() && events_.push(std::move(announcements_.front()))) {
            announcements_.pop_front();
            any = true;
        }
        if (any) control_wakeup_.notify();
        return any;
    }

    // A station that failed rests for kRetryNs. Always false: there is nothing to do at once.
    bool segments_failed(const Error& error) {
        segments_retry_ns_ = now_ + kRetryNs;
        say_failure("segments", error.message, segments_said_ns_);
        return false;
    }

    void say_failure(std::string_view part, std::string message, TimeNs& said_ns) {
        counters_.failures.fetch_add(1, std::memory_order_relaxed);
        if (said_ns != 0 && now_ - said_ns < kNsPerSecond) return;
        said_ns = now_;
        announcements_.emplace_back(StorageFailed{part, std::move(message)});
    }

    // --- sleeping --------------------------------------------------------------------------------------------------

    [[nodiscard]] bool busy() const {
        if (command_ || !commands_.empty() || !gathering_.empty() || !flushed_.empty()) return true;
        return streams_.has_opened() || streams_.anything_on_rings();
    }

    void sleep() {
        const bool resting = now_ < segments_retry_ns_ || now_ < index_retry_ns_;
        const bool waiting = !announcements_.empty() || streams_.waits_to_hand_back();
        int timeout_ms = 100;
        if (streams_.open() > 0 || !gathering_.empty() || waiting || resting) timeout_ms = hurry_ ? 1 : 5;
        const TimeNs asleep_ns = monotonic_ns();
        auto idle = [this, resting] { return resting || (commands_.empty() && !streams_.has_opened()); };
        wakeup_.wait(timeout_ms, idle, flushed_.empty() || resting ? -1 : segments_.completion_fd());
        // Woken, maybe by a worker whose ring fills: the sweep that is not due yet shall not wait for five more.
        hurry_ = monotonic_ns() - asleep_ns < timeout_ms * kNsPerMs;
    }

    MediaWriterOptions options_;
    SegmentWriter& segments_;
    Index& index_;
    SpscQueue<WriterCommand>& commands_;
    SpscQueue<WriterEvent>& events_;
    Wakeup& control_wakeup_;
    Wakeup wakeup_;
    MediaWriterCounters counters_;
    Keyring* keyring_;
    MediaStreams streams_;

    TimeNs now_ = 0;
    bool closing_ = false;
    bool hurry_ = false;                    // somebody woke us since the last sweep
    std::optional<WriterCommand> command_;  // being handled, or waiting for the disk
    Group gathering_;
    std::deque<Group> flushed_;
    std::deque<WriterEvent> announcements_;
    TimeNs segments_retry_ns_ = 0, index_retry_ns_ = 0;
    TimeNs segments_said_ns_ = 0, index_said_ns_ = 0, document_said_ns_ = 0, keyring_said_ns_ = 0;
};

MediaWriter::MediaWriter(MediaWriterOptions options, SegmentWriter& segments, Index& index,
                         std::vector<WorkerToWriter*> workers, SpscQueue<WriterCommand>& commands,
                         SpscQueue<WriterEvent>& events, Wakeup& control_wakeup, Keyring* keyring)
    : state_(std::make_unique<State>(options, segments, index, std::move(workers), commands, events, control_wakeup,
                                     keyring)) {}
MediaWriter::~MediaWriter() = default;

bool MediaWriter::step(TimeNs monotonic_now_ns) { return state_->step(monotonic_now_ns); }
void MediaWriter::run(const std::atomic<bool>& stop) { state_->run(stop); }
Wakeup& MediaWriter::wakeup() { return state_->wakeup_; }
const MediaWriterCounters& MediaWriter::counters() const { return state_->counters_; }

}  // namespace spantape
