// SPDX-License-Identifier: AGPL-3.0-or-later
// Wiring: creates the parts, joins them by queues, starts and stops their threads. What happens on the control thread
// is in control_plane.cc.
#include "appliance/appliance.h"

#include <algorithm>
#include <bit>
#include <filesystem>

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "appliance/control_plane.h"
#include "storage/archive_target.h"
#include "storage/integrity.h"
#include "storage/purge.h"
#include "storage/redaction.h"
#include "storage/segment/reader.h"
#include "storage/store_logs.h"

namespace spantape {

namespace {

constexpr std::uint32_t kStreamsBeside = 4096;  // look-back and unclaimed ones, beside those of the channels
constexpr std::uint32_t kStreamsPerChannel = 4;
constexpr std::chrono::milliseconds kMemoryPause{10};  // StreamPool::kAhead slots last longer at 100,000 calls a second

// Calls that signalling follows at once: far more than are recorded, and not so many that a flood of INVITEs fills the
// memory (some 6 KB a call, all told).
SipLimits sip_limits(const ApplianceOptions& options) {
    constexpr std::size_t kCallsBeside = 20'000;
    SipLimits limits;
    limits.max_calls = std::min(limits.max_calls, options.channels * std::size_t{4} + kCallsBeside);
    return limits;
}

// What is held back stays on the rings, with two seconds for what comes until the writer takes it. 12.8 KB/s is G.711
// in packets of 10 ms, or 20 ms with room to spare.
std::size_t ring_bytes(const ApplianceOptions& options) {
    if (options.hold_back_ns == 0) return options.ring_bytes;
    constexpr double kBytesPerSecond = 12'800;
    const auto wanted = static_cast<std::size_t>((seconds(options.hold_back_ns) + 2) * kBytesPerSecond);
    return std::max(options.ring_bytes, std::bit_ceil(wanted));
}

std::uint32_t streams_per_worker(const ApplianceOptions& options) {
    if (options.max_streams != 0) return options.max_streams;
    return options.channels * kStreamsPerChannel + kStreamsBeside;
}

void pin(std::thread& thread, int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
}

// Who goes before threads that always have work: decisions, which are made in moments and waited for, and before them
// the workers of live sources, which lose what they do not take in time.
constexpr int kNiceOfDecisions = -11;
constexpr int kNiceOfCapture = -15;

// Of the calling thread; where the system refuses (it takes CAP_SYS_NICE) all are equal.
void go_first(int nice) { setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nice); }

// At most 15 characters; shown by top -H and perf.
void name_thread(std::thread& thread, const std::string& name) {
    pthread_setname_np(thread.native_handle(), name.c_str());
}

class Wired : public Appliance {
public:
    explicit Wired(ApplianceOptions options) : options_(std::move(options)) {}

    ~Wired() override { stop_threads(); }

    Result<> open() {
        if (auto opened = open_store(); !opened) return opened;
        if (auto opened = open_capture(); !opened) return opened;
        start_threads();
        return {};
    }

    Result<> open_store() {
        std::error_code error;
        std::filesystem::create_directories(segment_directory(), error);
        if (error) return fail("storage.path {}: {}", options_.store, error.message());
        auto logs =
            StoreLogs::open(options_.store, [log = options_.log](const std::string& line) { log("error", line); });
        if (!logs) return std::unexpected(logs.error());
        logs_ = std::move(*logs);
        auto identity = archive_identity(options_.store);
        if (!identity) return std::unexpected(identity.error());
        archive_identity_ = std::move(*identity);
        auto index = Index::open(options_.store + "/index");
        if (!index) return std::unexpected(index.error());
        index_ = std::move(*index);
        if (auto opened = open_directory(); !opened) return opened;
        if (auto opened = open_keyring(); !opened) return opened;
        // With all segments closed, before recovery could bring back what is half gone.
        const auto resumed = resume_purge({.index = *index_,
                                           .segment_directory = segment_directory(),
                                           .put_record = records_in_own_segments(segment_directory(), *index_),
                                           .forget_keys = forget_in(keyring_)});
        if (!resumed) return std::unexpected(resumed.error());
        if (!resumed->purged.empty()) {
            if (auto noted = logs_.integrity->append(purge_entry(resumed->purged)); !noted) return noted;
            note("purge_resumed", fmt::format("{}", fmt::join(resumed->purged, " ")));
        }
        auto redactor = Redactor::open(segments(), *index_, options_.store + "/redaction.journal");
        if (!redactor) return std::unexpected(redactor.error());
        redactor_ = std::move(*redactor);
        const auto unfinished = index_->unfinished();
        if (!unfinished) return std::unexpected(unfinished.error());
        auto recovered = recover(segments(), *index_);
        if (!recovered) return std::unexpected(recovered.error());
        // What a crash interrupted is finished now; thousands of signatures need not keep the service waiting.
        for (const Recording& before : *unfinished) interrupted_.push_back(before.ident);
        const RecoverySummary& summary = recovered->summary;
        if (summary.chunks + summary.recordings + summary.damaged_records != 0)
            options_.log(
                "info",
                fmt::format("recovered from segments: {} chunks, {} recording documents, {} damaged records skipped",
                            summary.chunks, summary.recordings, summary.damaged_records));
        auto segments = SegmentWriter::open({.directory = segment_directory(), .segment_bytes = options_.segment_bytes},
                                            recovered->next_segment);
        if (!segments) return std::unexpected(segments.error());
        segments_ = std::move(*segments);
        auto boot = index_->take_numbers("boot", 1);
        if (!boot) return std::unexpected(boot.error());
        boot_ = *boot;
        return {};
    }

    // Who is on which phone; a store that has no directory needs none for reading files into it.
    Result<> open_directory() {
        const std::string path = options_.store + "/directory";
        directory_ = std::make_unique<Directory>(options_.directory);
        if (!options_.serve && !std::filesystem::exists(path)) return {};
        auto store = DirectoryStore::open(path);
        if (!store) return std::unexpected(store.error());
        directory_store_ = std::move(*store);
        auto loaded = directory_store_->for_each(
            [this](std::string_view key, std::string_view value) { return directory_->load(key, value); });
        if (!loaded) return loaded;
        const std::int64_t action = options_.archive_action;
        if (options_.serve && action > 0 && directory_->archive_action(action) == nullptr)
            options_.log("warning", fmt::format("recording.archive_action: there is no archive action {}: what it is "
                                                "for waits until there is one",
                                                action));
        return {};
    }

    // Also without encryption, for what an encrypted store holds already.
    Result<> open_keyring() {
        const bool exists = Keyring::exists(options_.store);
        if (!options_.encrypt && !exists) return {};
        const std::string path = master_key_of(options_.store, options_.master_key);
        if (!exists && !std::filesystem::exists(path)) {
            const auto made = MasterKey::random();
            if (!made) return std::unexpected(made.error());
            if (auto saved = made->save(path); !saved) return saved;
            options_.log("info",
                         fmt::format("made the master key {}: without it there is no audio; keep a copy", path));
        }
        const auto master = MasterKey::load(path);
        if (!master) return std::unexpected(master.error());
        auto keyring = Keyring::open(options_.store, *master);
        if (!keyring) return std::unexpected(keyring.error());
        keyring_ = std::move(*keyring);
        return {};
    }

    [[nodiscard]] std::string segment_directory() const { return options_.store + "/segments"; }

    Result<> open_capture() {
        const std::uint32_t streams = streams_per_worker(options_);
        std::vector<WorkerToWriter*> to_writer;
        bool live = options_.sources.empty();
        for (std::uint16_t number = 0; number < options_.workers; ++number) {
            auto sources = open_sources(options_.sources, {.pace = options_.pace,
                                                           .worker = number,
                                                           .workers = options_.workers,
                                                           .fanout_group = static_cast<int>(getpid() & 0xffff),
                                                           .dpdk = options_.dpdk});
            if (!sources) return std::unexpected(sources.error());
            for (const auto& source : *sources) live |= !source->lossless();
            links_.push_back(std::make_unique<WorkerLinks>(streams, control_wakeup_, signalling_wakeup_));
            WorkerOptions worker{.number = number,
                                 .max_streams = streams,
                                 .ring_bytes = ring_bytes(options_),
                                 .look_back_bytes = options_.ring_bytes,
                                 .first_stream_id = boot_ << 40 | std::uint64_t{number} << 32 | 1,
                                 .media_timeout_ns = options_.media_timeout_ns,
                                 .sip_ports = options_.sip_ports};
            try {
                workers_.push_back(std::make_unique<Worker>(std::move(worker), std::move(*sources), *links_.back()));
            } catch (const std::bad_alloc&) {
                return fail("capture.max_streams {}: no memory for rings of {} bytes each", streams,
                            ring_bytes(options_));
            }
            to_writer.push_back(&links_.back()->writer);
        }
        std::vector<WorkerLinks*> links;
        for (const auto& link : links_) links.push_back(link.get());
        signalling_ = std::make_unique<Signalling>(sip_limits(options_), links, sip_events_, sip_forget_,
                                                   signalling_wakeup_, control_wakeup_);
        const MediaWriterOptions writing{.flush_ns = options_.flush_ns,
                                         .hold_back_ns = options_.hold_back_ns,
                                         .mask_dtmf = options_.mask_dtmf,
                                         .silence_dbov = options_.silence_dbov,
                                         .capture_now = [this, live] {
                                             return live ? wall_clock_ns()
                                                         : capture_clock_.load(std::memory_order_relaxed);
                                         }};
        writer_ =
            std::make_unique<MediaWriter>(writing, *segments_, *index_, to_writer, writer_commands_, writer_events_,
                                          control_wakeup_, options_.encrypt ? keyring_.get() : nullptr);
        std::vector<const Worker*> workers;
        for (const auto& worker : workers_) workers.push_back(worker.get());
        auto control =
            ControlPlane::start(options_, live,
                                {.workers = links,
                                 .captures = workers,
                                 .signalling = signalling_.get(),
                                 .sip_events = sip_events_,
                                 .sip_forget = sip_forget_,
                                 .signalling_wakeup = signalling_wakeup_,
                                 .writer = *writer_,
                                 .writer_commands = writer_commands_,
                                 .writer_events = writer_events_,
                                 .control_wakeup = control_wakeup_,
                                 .index = *index_,
                                 .directory = *directory_,
                                 .directory_store = directory_store_.get(),
                                 .segments = segments(),
                                 .keyring = keyring_,
                                 .redact = [this](const RedactionWindow& window) { return redactor_->redact(window); },
                                 .archive_identity = archive_identity_,
                                 .interrupted = std::move(interrupted_),
                                 .capture_clock = capture_clock_,
                                 .audit = logs_.audit.get(),
                                 .integrity = logs_.integrity.get()});
        if (!control) return std::unexpected(control.error());
        control_ = std::move(*control);
        note("daemon_start", control_->addresses());
        return {};
    }

    void start_threads() {
        writer_thread_ = std::thread([this] { writer_->run(stop_writer_); });
        name_thread(writer_thread_, "writer");
        signalling_thread_ = std::thread([this] {
            go_first(kNiceOfDecisions);
            signalling_->run(stop_);
        });
        name_thread(signalling_thread_, "signalling");
        memory_thread_ = std::thread([this] { provide_memory(); });
        name_thread(memory_thread_, "memory");
        for (std::size_t number = 0; number < workers_.size(); ++number) {
            worker_threads_.emplace_back([this, number] {
                if (workers_[number]->live()) go_first(kNiceOfCapture);
                workers_[number]->run(stop_);
            });
            name_thread(worker_threads_.back(), fmt::format("worker{}", number));
            if (number < options_.cpus.size()) pin(worker_threads_.back(), options_.cpus[number]);
        }
    }

    // Little by little: while the kernel provides a page, whoever wants more memory of it waits.
    void provide_memory() {
        for (bool more = true; more && !stop_.load(std::memory_order_relaxed);) {
            more = false;
            for (const auto& worker : workers_) more |= worker->populate_ahead();
            std::this_thread::sleep_for(kMemoryPause);
        }
        memory_ready_.store(true, std::memory_order_relaxed);
    }

    // Workers first, so that the writer drains the last of what they wrote.
    void stop_threads() {
        stop_.store(true);
        for (const auto& link : links_) link->worker_wakeup.signal();
        for (auto& thread : worker_threads_)
            if (thread.joinable()) thread.join();
        signalling_wakeup_.signal();
        if (signalling_thread_.joinable()) signalling_thread_.join();
        if (memory_thread_.joinable()) memory_thread_.join();
        stop_writer_.store(true);
        if (writer_) writer_->wakeup().signal();
        if (writer_thread_.joinable()) writer_thread_.join();
    }

    std::string addresses() const override { return control_->addresses(); }
    Result<> run() override {
        go_first(kNiceOfDecisions);
        auto result = control_->run();
        stop_threads();
        note("daemon_stop", result ? "" : result.error().message);
        return result;
    }
    void request_stop() override { control_->request_stop(); }
    void reload_certificates() override { control_->reload_certificates(); }
    void set_schedule(std::vector<RuleText> rules) override { control_->set_schedule(std::move(rules)); }
    void set_archive_actions(std::vector<ArchiveAction> actions, std::int64_t default_action) override {
        control_->set_archive_actions(std::move(actions), default_action);
    }
    void note(const char* what, const std::string& detail) override {
        boost::json::object members{{"what", what}, {"by", "daemon"}, {"process", getpid()}};
        if (!detail.empty()) members["detail"] = detail;
        // What finds no room in the log's queue is counted there, and told when there is room.
        static_cast<void>(logs_.audit->append(std::move(members)));
    }
    std::vector<std::uint64_t> completed() const override { return control_->completed(); }
    bool memory_ready() const override { return memory_ready_.load(std::memory_order_relaxed); }
    Index& index() override { return *index_; }
    SegmentStore segments() const override { return {segment_directory(), keyring_}; }
    std::vector<api::Element> status() const override { return control_->status(); }
    std::string source_error() const override {
        for (const auto& worker : workers_)
            for (const auto& source : worker->sources())
                if (std::string error = source->error(); !error.empty()) return error;
        return "";
    }

private:
    ApplianceOptions options_;
    std::uint64_t boot_ = 0;
    std::atomic<TimeNs> capture_clock_{0};
    std::atomic<bool> stop_{false};
    std::atomic<bool> memory_ready_{false};
    std::atomic<bool> stop_writer_{false};
    Wakeup control_wakeup_;
    Wakeup signalling_wakeup_;
    SpscQueue<SignallingEvent> sip_events_{1u << 14};
    SpscQueue<std::uint64_t> sip_forget_{1u << 14};
    SpscQueue<WriterCommand> writer_commands_{1u << 14};
    SpscQueue<WriterEvent> writer_events_{1u << 14};
    StoreLogs logs_;  // used by all that follows
    std::string archive_identity_;
    std::vector<std::uint64_t> interrupted_;  // recordings
    std::unique_ptr<Index> index_;
    std::unique_ptr<Directory> directory_;
    std::unique_ptr<DirectoryStore> directory_store_;
    std::shared_ptr<Keyring> keyring_;
    std::unique_ptr<Redactor> redactor_;
    std::unique_ptr<SegmentWriter> segments_;
    std::vector<std::unique_ptr<WorkerLinks>> links_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::unique_ptr<Signalling> signalling_;
    std::unique_ptr<MediaWriter> writer_;
    std::unique_ptr<ControlPlane> control_;
    std::thread writer_thread_, signalling_thread_, memory_thread_;
    std::vector<std::thread> worker_threads_;
};

}  // namespace

Result<std::unique_ptr<Appliance>> Appliance::start(ApplianceOptions options) {
    if (!options.log) options.log = [](const char*, const std::string&) {};
    auto wired = std::make_unique<Wired>(std::move(options));
    if (auto opened = wired->open(); !opened) return std::unexpected(opened.error());
    return wired;
}

}  // namespace spantape
