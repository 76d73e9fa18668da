// SPDX-License-Identifier: AGPL-3.0-or-later
// Wiring: creates the parts, joins them by queues, starts and stops their threads. What happens on the control thread
// is in control_plane.cc.
#include "appliance/appliance.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include "appliance/control_plane.h"
#include "storage/segment/reader.h"

namespace spantape {

namespace {

constexpr std::uint32_t kStreamsBeside = 4096;  // look-back and unclaimed ones, beside those of the channels
constexpr std::uint32_t kStreamsPerChannel = 4;

// Calls that signalling follows at once: far more than are recorded, and not so many that a flood of INVITEs fills the
// memory (some 6 KB a call, all told).
SipLimits sip_limits(const ApplianceOptions& options) {
    constexpr std::size_t kCallsBeside = 20'000;
    SipLimits limits;
    limits.max_calls = std::min(limits.max_calls, options.channels * std::size_t{4} + kCallsBeside);
    return limits;
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
        auto index = Index::open(options_.store + "/index");
        if (!index) return std::unexpected(index.error());
        index_ = std::move(*index);
        auto recovered = recover(segment_directory(), *index_);
        if (!recovered) return std::unexpected(recovered.error());
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
                                 .ring_bytes = options_.ring_bytes,
                                 .first_stream_id = boot_ << 40 | std::uint64_t{number} << 32 | 1,
                                 .media_timeout_ns = options_.media_timeout_ns,
                                 .sip_ports = options_.sip_ports};
            try {
                workers_.push_back(std::make_unique<Worker>(std::move(worker), std::move(*sources), *links_.back()));
            } catch (const std::bad_alloc&) {
                return fail("capture.max_streams {}: no memory for rings of {} bytes each", streams,
                            options_.ring_bytes);
            }
            to_writer.push_back(&links_.back()->writer);
        }
        std::vector<WorkerLinks*> links;
        for (const auto& link : links_) links.push_back(link.get());
        signalling_ = std::make_unique<Signalling>(sip_limits(options_), links, sip_events_, sip_forget_,
                                                   signalling_wakeup_, control_wakeup_);
        writer_ = std::make_unique<MediaWriter>(MediaWriterOptions{options_.flush_ns}, *segments_, *index_, to_writer,
                                                writer_commands_, writer_events_, control_wakeup_);
        std::vector<const Worker*> workers;
        for (const auto& worker : workers_) workers.push_back(worker.get());
        auto control = ControlPlane::start(options_, live,
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
                                            .segment_directory = segment_directory()});
        if (!control) return std::unexpected(control.error());
        control_ = std::move(*control);
        return {};
    }

    void start_threads() {
        writer_thread_ = std::thread([this] { writer_->run(stop_writer_); });
        name_thread(writer_thread_, "writer");
        signalling_thread_ = std::thread([this] { signalling_->run(stop_); });
        name_thread(signalling_thread_, "signalling");
        for (std::size_t number = 0; number < workers_.size(); ++number) {
            worker_threads_.emplace_back([this, number] { workers_[number]->run(stop_); });
            name_thread(worker_threads_.back(), fmt::format("worker{}", number));
            if (number < options_.cpus.size()) pin(worker_threads_.back(), options_.cpus[number]);
        }
    }

    // Workers first, so that the writer drains the last of what they wrote.
    void stop_threads() {
        stop_.store(true);
        for (const auto& link : links_) link->worker_wakeup.signal();
        for (auto& thread : worker_threads_)
            if (thread.joinable()) thread.join();
        signalling_wakeup_.signal();
        if (signalling_thread_.joinable()) signalling_thread_.join();
        stop_writer_.store(true);
        if (writer_) writer_->wakeup().signal();
        if (writer_thread_.joinable()) writer_thread_.join();
    }

    std::string addresses() const override { return control_->addresses(); }
    Result<> run() override {
        auto result = control_->run();
        stop_threads();
        return result;
    }
    void request_stop() override { control_->request_stop(); }
    std::vector<std::uint64_t> completed() const override { return control_->completed(); }
    Index& index() override { return *index_; }
    std::string segment_directory() const override { return options_.store + "/segments"; }
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
    std::atomic<bool> stop_{false};
    std::atomic<bool> stop_writer_{false};
    Wakeup control_wakeup_;
    Wakeup signalling_wakeup_;
    SpscQueue<SignallingEvent> sip_events_{1u << 14};
    SpscQueue<std::uint64_t> sip_forget_{1u << 14};
    SpscQueue<WriterCommand> writer_commands_{1u << 14};
    SpscQueue<WriterEvent> writer_events_{1u << 14};
    std::unique_ptr<Index> index_;
    std::unique_ptr<SegmentWriter> segments_;
    std::vector<std::unique_ptr<WorkerLinks>> links_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::unique_ptr<Signalling> signalling_;
    std::unique_ptr<MediaWriter> writer_;
    std::unique_ptr<ControlPlane> control_;
    std::thread writer_thread_, signalling_thread_;
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
