// SPDX-License-Identifier: AGPL-3.0-or-later
// Everything from the rings to the index, over a disk that fails: each operation in turn and at random, by an error, a
// short write, errors for a while, or a power cut, after which any of the writes that were not synced are there, block
// by block, and any end of what the index had not synced is gone. After each run: what was announced as stored is
// there, whole; nothing is there that was not put; verify() finds nothing; the writer went on. Every other seed's store
// is encrypted, its keys durable late, and lost in part at a power cut.
//
// A few seconds by default. SPANTAPE_FAULT_RUNS=5000 makes so many runs of each kind; SPANTAPE_TEST_SEED repeats one.
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "storage/media_writer.h"
#include "storage/verify.h"
#include "tests/storage/memory_index.h"
#include "tests/storage/segment/memory_disk.h"
#include "tests/storage/segment/test_stream.h"

namespace spantape {
namespace {

constexpr std::size_t kBuffers = 3;

std::uint64_t runs(std::uint64_t by_default) {
    const char* given = std::getenv("SPANTAPE_FAULT_RUNS");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : by_default;
}

// Remembers its batches: of those a power cut takes any end, as of a log that is not synced.
class LoggedIndex : public MemoryIndex {
public:
    Result<> put(const Batch& batch) override {
        auto done = MemoryIndex::put(batch);
        if (done) log_.push_back(batch);
        return done;
    }
    void replay(MemoryIndex& into, std::size_t batches) const {
        for (std::size_t i = 0; i < batches; ++i) ASSERT_TRUE(into.put(log_[i]));
        for (const char* series : {"ident", "session", "global_call", "boot"})
            ASSERT_TRUE(into.raise_numbers(series, *next_number(series)));
    }
    [[nodiscard]] std::size_t batches() const { return log_.size(); }

private:
    std::vector<Batch> log_;
};

// Its keys become durable one by one, when settle() says so; after a power cut any end of the others is gone.
class LateKeyring final : public Keyring {
public:
    Result<DataKey> create(std::uint64_t owner) override {
        DataKey key{keys_.size() + 1, {}};
        std::memset(key.key.data(), static_cast<int>(owner % 251 + 1), SecretKey::kBytes);
        keys_.push_back(key.key);
        return key;
    }
    void settle() const { durable_ = std::min<std::uint64_t>(durable_ + 1, keys_.size()); }
    void lose_from(std::uint64_t count) { keys_.resize(std::max(durable_, count)); }

    [[nodiscard]] std::uint64_t created() const { return keys_.size(); }
    [[nodiscard]] bool is_durable(std::uint64_t id) const override { return id <= durable_; }
    Result<> wait_durable(std::uint64_t id) const override {
        settle();
        return is_durable(id) ? Result<>{} : fail("key {} is not durable", id);
    }
    [[nodiscard]] std::string error() const override { return {}; }
    Result<SecretKey> find(std::uint64_t id) const override {
        if (id == 0 || id > keys_.size()) return fail("key {} is unknown", id);
        return keys_[id - 1];
    }
    Result<> forget(std::span<const std::uint64_t>) override { return {}; }
    [[nodiscard]] std::uint64_t master_id() const override { return 1; }

private:
    std::vector<SecretKey> keys_;
    mutable std::uint64_t durable_ = 0;
};

enum class Fault { none, error, short_write, errors_for_a_while, power_cut };

// When, by number of operation, and what.
struct Plan {
    Fault fault = Fault::none;
    std::uint64_t at = 0;
    std::uint64_t rarity = 0;  // not 0: at random instead, one of so many
};

// One run. The load is a function of the seed; what fails, of the plan.
class Run {
public:
    Run(std::uint64_t seed, const Plan& plan) : plan_(plan), random_(seed), disk_(seed + 1) {
        if (seed % 2 == 1) keyring_ = std::make_shared<LateKeyring>();
        disk_.fault = [this](MemoryDisk::Operation what) { return judge(what); };
        SegmentOptions options;
        options.directory = "/disk";
        options.segment_bytes = 2u << 20;
        options.buffers = kBuffers;
        segments_ = *SegmentWriter::open(options, 1, std::make_unique<MemoryDevice>(disk_, kBuffers));
        writer_ = std::make_unique<MediaWriter>(MediaWriterOptions{}, *segments_, index_,
                                                std::vector<WorkerToWriter*>{&queues_}, commands_, events_, control_,
                                                keyring_.get());
        for (const char* series : {"ident", "session", "global_call", "boot"})
            EXPECT_TRUE(index_.raise_numbers(series, 1000));
    }

    void go() {
        for (int i = 0; i < 400 && !cut_; ++i) step();
        if (cut_) return;
        // The disk is well again: all must become durable.
        plan_ = {};
        index_.refusals = 0;
        ASSERT_TRUE(command(FlushAll{77}));
        for (int i = 0; i < 1000 && !flushed_ && !cut_; ++i) turn(50 * kNsPerMs);
        ASSERT_TRUE(flushed_) << "the writer does not go on after the fault";
        for (const auto& stream : streams_) must_be_whole_.emplace(stream->handle.stream_id, stream->expected.size());
        if (below(2) == 0) segments_.reset(), writer_.reset();  // an end as it should be; else a kill -9
        disk_.dump(place_.path());
        index_.replay(recovered_, index_.batches());
    }

    void check() {
        const auto recovered = recover(store(), recovered_);
        ASSERT_TRUE(recovered) << recovered.error().message;
        EXPECT_TRUE(recovered_.unfinished()->empty());
        for (const auto& [ident, final] : announced_) {
            const auto recording = *recovered_.recording(ident);
            ASSERT_TRUE(recording) << "recording " << ident << " was announced and is gone";
            if (final) {
                EXPECT_EQ(recording->state, RecordingState::stored) << ident;
            }
        }
        for (const auto& stream : streams_) check_stream(*stream);
        expect_nothing_invented();
        const auto report = verify(recovered_, store());
        ASSERT_TRUE(report) << report.error().message;
        for (const Damage& damage : report->damage)
            ADD_FAILURE() << name_of(damage.what) << " at " << damage.segment << ":" << damage.offset << " stream "
                          << damage.stream_id << ": " << damage.reason;
        // A second recovery finds nothing more to do.
        const auto again = recover(store(), recovered_);
        ASSERT_TRUE(again);
        EXPECT_EQ(again->summary.chunks + again->summary.recordings, 0u);
    }

    [[nodiscard]] std::uint64_t operations() const { return operations_; }

private:
    [[nodiscard]] SegmentStore store() const { return {place_.path(), keyring_}; }
    std::uint64_t below(std::uint64_t limit) {
        return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(random_);
    }

    int judge(MemoryDisk::Operation what) {
        const std::uint64_t number = operations_++;
        bool hit = plan_.rarity > 0 ? disk_.below(plan_.rarity) == 0 : number == plan_.at;
        if (plan_.fault == Fault::errors_for_a_while) {
            if (hit) failing_until_ = number + 1 + disk_.below(12);
            hit = number < failing_until_;
        }
        if (!hit || cut_) return 0;
        switch (plan_.fault) {
            case Fault::none:
                return 0;
            case Fault::short_write:
                return what == MemoryDisk::Operation::write ? MemoryDisk::kShort : ENOSPC;
            case Fault::power_cut:
                cut_power();
                return 0;
            default:
                return EIO;
        }
    }

    // In the middle of an operation: what the disk and the index have is kept, and what happens later is not looked at.
    void cut_power() {
        collect();
        cut_ = true;
        disk_.dump_after_power_cut(place_.path());
        index_.replay(recovered_, disk_.below(index_.batches() + 1));
        if (keyring_) keyring_->lose_from(disk_.below(keyring_->created() + 1));
    }

    bool command(WriterCommand what) { return commands_.push(std::move(what)); }

    void step() {
        const std::uint64_t what = below(100);
        if (running_.empty() || (what < 4 && running_.size() < 8)) open_stream();
        TestStream& stream = *running_[below(running_.size())];
        at_ += static_cast<TimeNs>(below(5 * kNsPerMs));
        if (what < 60) {
            for (std::uint64_t n = below(40); n > 0; --n) stream.put_frame(at_);
        } else if (what < 65) {
            stream.put_mark(RingRecordKind::gap, at_, 3);
        } else if (what < 72) {
            end_stream(stream);
        } else if (what < 74) {
            index_.refusals += static_cast<int>(below(3));
        } else if (what < 76) {
            if (command(FlushAll{++token_})) flush_covers_[token_] = stored_now();
        } else {
            turn(static_cast<TimeNs>(1 + below(20)) * 10 * kNsPerMs);
        }
    }

    void open_stream() {
        const std::uint64_t id = streams_.size() + 1;
        running_.push_back(streams_.emplace_back(std::make_unique<TestStream>(id, id)).get());
        ASSERT_TRUE(queues_.opened.push(&running_.back()->handle));
        if (below(2) == 0) put_document(id, false);
    }

    void end_stream(TestStream& stream) {
        if (!stream.put_mark(RingRecordKind::end)) return;
        std::erase(running_, &stream);
        const std::uint64_t id = stream.handle.stream_id;
        final_covers_[id] = stream.expected.size();
        put_document(id, true);
    }

    // One recording for each stream, of the same number.
    void put_document(std::uint64_t id, bool final) {
        Recording recording;
        recording.ident = id;
        recording.session_id = id;
        recording.state = final ? RecordingState::stored : RecordingState::recording;
        recording.ani = fmt::format("{}-{}", id, ++documents_);
        if (final) {
            RecordedStream recorded;
            recorded.stream_id = id;
            recorded.counters.stored = final_covers_[id];
            recording.streams.push_back(recorded);
        }
        put_[id].insert(recording.ani);
        while (!cut_ && !command(PutRecording{recording, final})) turn(10 * kNsPerMs);
    }

    [[nodiscard]] std::map<std::uint64_t, std::size_t> stored_now() const {
        std::map<std::uint64_t, std::size_t> frames;
        for (const auto& stream : streams_) frames[stream->handle.stream_id] = stream->expected.size();
        return frames;
    }

    void turn(TimeNs for_ns) {
        for (const TimeNs end = now_ + for_ns; now_ < end && !cut_; now_ += 10 * kNsPerMs) {
            for (int i = 0; i < 100 && writer_->step(now_) && !cut_; ++i) {
            }
            if (keyring_ && below(3) == 0) keyring_->settle();
            collect();
        }
    }

    void collect() {
        if (cut_) return;
        while (auto event = events_.pop()) {
            if (auto* stored = std::get_if<RecordingStored>(&*event)) {
                announced_[stored->ident] |= stored->final;
                if (stored->final) promise({{stored->ident, final_covers_[stored->ident]}});
            }
            if (auto* flushed = std::get_if<Flushed>(&*event)) {
                flushed_ = flushed->token == 77;
                promise(flush_covers_[flushed->token]);
            }
        }
        while (queues_.returned.pop()) {
        }
    }
    void promise(const std::map<std::uint64_t, std::size_t>& frames) {
        for (const auto& [stream, count] : frames) must_be_whole_[stream] = std::max(must_be_whole_[stream], count);
    }

    // The first frames, as many as were promised at least, each with its bytes, and no other.
    void check_stream(const TestStream& stream) {
        const std::uint64_t id = stream.handle.stream_id;
        SegmentReader reader(store());
        std::size_t frames = 0;
        const auto entries = *recovered_.chunks(id);
        for (const ChunkEntry& entry : entries) {
            const auto chunk = reader.read(entry);
            ASSERT_TRUE(chunk) << chunk.error().message;
            ASSERT_TRUE(chunk->for_each_frame([&](const StoredFrame& frame) {
                // Behind a chunk that never arrived stand later ones: nothing was promised of those.
                const auto found = std::ranges::find(stream.expected, frame.sequence, [](std::uint32_t number) {
                    return static_cast<std::uint16_t>(number);
                });
                ASSERT_NE(found, stream.expected.end()) << "stream " << id << ": a frame that never was";
                const auto expected = payload_of(id, *found, 160);
                ASSERT_EQ(frame.payload.size(), expected.size());
                ASSERT_EQ(std::memcmp(frame.payload.data(), expected.data(), expected.size()), 0);
                if (frames < stream.expected.size() && *found == stream.expected[frames]) ++frames;
            }));
        }
        const auto promised = must_be_whole_.find(id);
        if (promised != must_be_whole_.end()) {
            ASSERT_GE(frames, promised->second) << "stream " << id;
        }
    }

    void expect_nothing_invented() {
        const auto recordings = *recovered_.search({});
        for (const Recording& recording : recordings) {
            if (recording.device_id == "unknown") continue;  // audio whose document never became durable
            ASSERT_TRUE(put_[recording.ident].contains(recording.ani)) << recording.ident;
        }
        ASSERT_TRUE(recovered_.for_each_stream([&](std::uint64_t id, const auto&) {
            return id >= 1 && id <= streams_.size() ? Result<>{} : fail("stream {} never was", id);
        }));
    }

    Plan plan_;
    std::mt19937_64 random_;
    TemporaryDirectory place_;
    MemoryDisk disk_;
    std::shared_ptr<LateKeyring> keyring_;  // none: in the clear
    LoggedIndex index_;
    MemoryIndex recovered_;
    WorkerToWriter queues_{256};
    SpscQueue<WriterCommand> commands_{64};
    SpscQueue<WriterEvent> events_{1024};
    Wakeup control_;
    std::vector<std::unique_ptr<TestStream>> streams_;
    std::unique_ptr<SegmentWriter> segments_;
    std::unique_ptr<MediaWriter> writer_;
    std::vector<TestStream*> running_;

    TimeNs now_ = kNsPerSecond, at_ = kNsPerSecond;
    std::uint64_t operations_ = 0, failing_until_ = 0, token_ = 100, documents_ = 0;
    bool cut_ = false, flushed_ = false;
    std::map<std::uint64_t, bool> announced_;                                     // ident -> final
    std::map<std::uint64_t, std::size_t> final_covers_, must_be_whole_;           // stream -> frames
    std::map<std::uint64_t, std::map<std::uint64_t, std::size_t>> flush_covers_;  // token -> stream -> frames
    std::map<std::uint64_t, std::set<std::string>> put_;                          // ident -> documents
};

bool holds(std::uint64_t seed, const Plan& plan, std::uint64_t* operations = nullptr) {
    SCOPED_TRACE(fmt::format("SPANTAPE_TEST_SEED={} fault {} at {} rarity {}", seed, static_cast<int>(plan.fault),
                             plan.at, plan.rarity));
    Run run(seed, plan);
    run.go();
    if (!testing::Test::HasFailure()) run.check();
    if (operations != nullptr) *operations = run.operations();
    return !testing::Test::HasFailure();
}

constexpr Fault kFaults[] = {Fault::error, Fault::short_write, Fault::errors_for_a_while, Fault::power_cut};

// Operation k of n fails, for all k; the short form takes every so many-th.
TEST(Faults, EachOperationInTurn) {
    const std::uint64_t seed = test_seed();
    std::uint64_t operations = 0;
    ASSERT_TRUE(holds(seed, {}, &operations));
    ASSERT_GT(operations, 20u);
    const std::uint64_t step = std::max<std::uint64_t>(1, operations / runs(12));
    for (const Fault fault : kFaults)
        for (std::uint64_t at = seed % step; at < operations; at += step)
            if (!holds(seed, {.fault = fault, .at = at})) return;
}

TEST(Faults, AnyOfThemAtRandom) {
    const std::uint64_t seed = test_seed();
    for (std::uint64_t round = 0; round < runs(100); ++round) {
        std::mt19937_64 random(seed + round);
        const Fault fault = kFaults[random() % std::size(kFaults)];
        if (!holds(seed + round, {.fault = fault, .rarity = 4 + random() % 80})) return;
    }
}

}  // namespace
}  // namespace spantape
