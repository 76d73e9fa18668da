// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/control_plane.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/functions/functions.h"
#include "appliance/loss_report.h"
#include "appliance/metrics.h"
#include "appliance/rate_limited_log.h"
#include "appliance/statistics.h"
#include "appliance/status_document.h"

namespace spantape {

namespace {

namespace asio = boost::asio;

constexpr std::size_t kPoolThreads = 2;
constexpr int kInputsPerTurn = 4096;  // then the sockets are served
constexpr std::uint64_t kNumbersAtOnce = 100;
constexpr std::uint64_t kMostNumbersAtOnce = 100'000;
constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kStopPatience = std::chrono::seconds(30);

// Numbers of a series, taken from the index in blocks. A new block is taken when the old one is used up: one synced
// write for kNumbersAtOnce recordings; for more where a flood uses them up, so that it is one a second or so.
class Numbers {
public:
    explicit Numbers(Index& index) : index_(index) {}
    std::uint64_t next(const std::string& series) {
        Block& block = blocks_[series];
        if (block.next == block.end) {
            const TimeNs now_ns = monotonic_ns();
            const bool used_up_quickly = now_ns - block.taken_ns < kNsPerSecond;
            block.numbers = used_up_quickly ? std::min(block.numbers * 2, kMostNumbersAtOnce) : kNumbersAtOnce;
            block.taken_ns = now_ns;
            const auto first = index_.take_numbers(series, block.numbers);
            // Without an index the numbers go on, so that recording does; recover() will find them taken.
            if (first) block.next = block.end = *first;
            block.end += block.numbers;
        }
        return block.next++;
    }

private:
    struct Block {
        std::uint64_t next = 1, end = 1, numbers = kNumbersAtOnce;
        TimeNs taken_ns = -kNsPerSecond;
    };
    Index& index_;
    std::map<std::string, Block> blocks_;
};

// An SPSC queue whose producer keeps what finds no room.
template <class T>
class Outbox {
public:
    explicit Outbox(SpscQueue<T>& queue) : queue_(&queue) {}
    void push(T&& value) {
        if (!waiting_.empty() || !queue_->push(std::move(value))) waiting_.push_back(std::move(value));
    }
    bool retry() {
        while (!waiting_.empty() && queue_->push(std::move(waiting_.front()))) waiting_.pop_front();
        return waiting_.empty();
    }

private:
    SpscQueue<T>* queue_;
    std::deque<T> waiting_;
};

class Plane : public ControlPlane, public ControlOutputs {
public:
    Plane(const ApplianceOptions& options, bool live, ControlLinks links)
        : options_(options),
          live_(live),
          links_(std::move(links)),
          pool_(kPoolThreads),
          numbers_(links_.index),
          wakeup_(io_, dup(links_.control_wakeup.fd())),
          timer_(io_),
          patience_(io_),
          control_({.core_id = options.core_id,
                    .device_match = options.device_match,
                    .channels = options.channels,
                    .record_unanswered = options.record_unanswered,
                    .media_timeout_ns = options.media_timeout_ns,
                    .recording_path = options.store,
                    .workers = links_.workers.size()},
                   *this, live ? wall_clock_ns() : 0),
          functions_({.control = control_,
                      .outputs = *this,
                      .index = links_.index,
                      .segment_directory = links_.segment_directory,
                      .control_thread = io_,
                      .pool = pool_,
                      .now = [this] { return now(); },
                      .status = [this] { return status(); }}),
          to_writer_(links_.writer_commands),
          to_signalling_(links_.sip_forget) {
        for (WorkerLinks* worker : links_.workers) to_workers_.emplace_back(worker->decisions);
        for (const Worker* capture : links_.captures)
            if (!capture->sources().empty()) ++workers_reading_;
    }

    ~Plane() override { pool_.join(); }

    Result<> listen() {
        if (!options_.serve) return {};
        api::ServerOptions with_pages = options_.servers;
        with_pages.page = [this](std::string_view path) -> std::optional<api::TextPage> {
            if (path != "/metrics") return std::nullopt;
            return api::TextPage{kMetricsContentType, metrics_text(statistics())};
        };
        auto servers = api::Servers::start(io_, pool_, with_pages, functions_);
        if (!servers) return std::unexpected(servers.error());
        servers_ = std::move(*servers);
        return {};
    }

    // --- ControlPlane
    std::string addresses() const override { return servers_ ? servers_->addresses() : ""; }
    void request_stop() override { stop_requested_.store(true), links_.control_wakeup.signal(); }
    std::vector<std::uint64_t> completed() const override { return completed_; }

    Result<> run() override {
        wait_for_inputs();
        schedule_tick();
        io_.run();
        if (!failure_.empty()) return fail("{}", failure_);
        return {};
    }

    std::vector<api::Element> status() const override { return status_document(statistics(), rates_); }

    // --- ControlOutputs
    void decide(const Decision& decision) override {
        for (std::size_t worker = 0; worker < to_workers_.size(); ++worker) decide(worker, decision);
    }
    void put(PutRecording&& command) override { command_writer(std::move(command)); }
    void flush(std::uint64_t token) override { command_writer(FlushAll{token}); }
    void publish(const api::Event& event) override {
        if (servers_) servers_->publish(event);
    }
    void forget_sip_call(std::uint64_t call) override {
        to_signalling_.push(std::move(call));
        links_.signalling_wakeup.notify();
    }
    std::uint64_t next_number(const std::string& series) override { return numbers_.next(series); }
    bool filename_taken(const std::string& filename) override {
        RecordingQuery query;
        query.equal.emplace_back("filename", filename);
        query.limit = 1;
        const auto found = links_.index.search(query);
        return found && !found->empty();
    }
    void completed(std::uint64_t ident) override {
        ++recordings_completed_;
        if (!options_.serve) completed_.push_back(ident);  // a daemon's would grow for ever
    }
    std::uint64_t dropped_by_kernel() override {
        std::uint64_t drops = 0;
        for (const Worker* capture : links_.captures)
            for (const auto& source : capture->sources()) {
                const SourceCounters counters = source->counters();
                drops += counters.dropped_kernel + counters.dropped_card + counters.dropped_spread;
            }
        return drops;
    }
    void log(std::string_view kind, const std::string& line) override { log_.say(kind, line, monotonic_ns()); }

private:
    [[nodiscard]] Statistics statistics() const;
    [[nodiscard]] TimeNs now() const { return live_ ? wall_clock_ns() : capture_now_ns_; }

    void decide(std::size_t worker, const Decision& decision) {
        to_workers_[worker].push(Decision(decision));
        links_.workers[worker]->worker_wakeup.notify();
    }
    void command_writer(WriterCommand&& command) {
        to_writer_.push(std::move(command));
        links_.writer.wakeup().notify();
    }

    // Sleeps (in the event loop) until some thread has put something into a queue of ours.
    void wait_for_inputs() {
        links_.control_wakeup.prepare();
        if (inputs_waiting()) {
            asio::post(io_, [this] { take_inputs(); });
            return;
        }
        wakeup_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
            if (!error) take_inputs();
        });
    }
    [[nodiscard]] bool inputs_waiting() const {
        if (stop_requested_.load() && !finishing_) return true;
        if (!links_.sip_events.empty() || !links_.writer_events.empty()) return true;
        return std::any_of(links_.workers.begin(), links_.workers.end(),
                           [](const WorkerLinks* w) { return !w->events.empty(); });
    }
    void take_inputs() {
        links_.control_wakeup.done();
        for (int i = 0; i < kInputsPerTurn && take_one_of_each(); ++i) {
        }
        retry_outputs();
        if (stop_requested_.load() && !finishing_) finish("shutdown");
        if (finishing_) advance_finish();
        if (!io_.stopped()) wait_for_inputs();
    }
    bool take_one_of_each() {
        bool any = false;
        for (std::size_t worker = 0; worker < links_.workers.size(); ++worker)
            if (const auto event = links_.workers[worker]->events.pop()) {
                on_worker(worker, *event);
                any = true;
            }
        if (const auto event = links_.sip_events.pop()) {
            capture_now_ns_ = std::max(capture_now_ns_, event->time_ns);
            if (event->token != 0)
                decide(event->worker, {.kind = Decision::Kind::sync, .token = event->token});
            else
                control_.on_sip(event->event);
            any = true;
        }
        if (const auto event = links_.writer_events.pop()) {
            on_writer(*event);
            any = true;
        }
        return any;
    }
    void on_worker(std::size_t worker, const WorkerEvent& event) {
        capture_now_ns_ = std::max(capture_now_ns_, event.time_ns);
        if (event.kind == WorkerEvent::Kind::source_ended) {
            if (--workers_reading_ == 0) sources_ended();
            return;
        }
        control_.on_worker(event);
        if (event.token != 0) decide(worker, {.kind = Decision::Kind::sync, .token = event.token});
    }
    void on_writer(const WriterEvent& event) {
        control_.on_writer(event);
        if (const auto* stored = std::get_if<RecordingStored>(&event)) functions_.on_recording_stored(stored->ident);
        if (const auto* flushed = std::get_if<Flushed>(&event); flushed != nullptr && flushed->token == kLastFlush)
            done();
    }
    void retry_outputs() {
        for (std::size_t worker = 0; worker < to_workers_.size(); ++worker) {
            to_workers_[worker].retry();
            links_.workers[worker]->worker_wakeup.notify();
        }
        to_writer_.retry();
        to_signalling_.retry();
    }

    void schedule_tick() {
        timer_.expires_after(kTick);
        timer_.async_wait([this](const boost::system::error_code& error) {
            if (error) return;
            if (live_) control_.on_tick(wall_clock_ns());
            retry_outputs();
            if (finishing_) advance_finish();
            watch_losses();
            if (options_.progress) options_.progress(packets());
            schedule_tick();
        });
    }

    // Ten times a second; looks once a second.
    void watch_losses() {
        const TimeNs now_ns = monotonic_ns();
        log_.tick(now_ns);
        if (!rates_.sample(now_ns, links_.captures)) return;
        for (const std::string& line : losses_.lines(statistics())) options_.log("warning", line);
    }

    void sources_ended() {
        for (const Worker* capture : links_.captures)
            for (const auto& source : capture->sources())
                if (const std::string error = source->error(); !error.empty()) options_.log("warning", error);
        options_.log("info", fmt::format("all sources have ended after {} packets", packets()));
        if (options_.exit_at_end)
            finish("end_of_capture");
        else
            control_.end_all(now(), "end_of_capture");
    }

    // --- the end: calls end, recordings become durable, servers answer what they owe, the loop stops
    void finish(const std::string& reason) {
        if (finishing_) return;
        finishing_ = true;
        control_.end_all(now(), reason);
        patience_.expires_after(kStopPatience);
        patience_.async_wait([this](const boost::system::error_code& error) {
            if (error) return;
            failure_ = fmt::format("not everything could be made durable within {} s", kStopPatience.count());
            done();
        });
        advance_finish();
    }
    void advance_finish() {
        if (flush_sent_ || !control_.idle()) return;
        flush_sent_ = true;
        flush(kLastFlush);
    }
    void done() {
        if (done_) return;
        done_ = true;
        patience_.cancel();
        const auto stop_loop = [this] {
            timer_.cancel();
            wakeup_.close();
            io_.stop();
        };
        if (servers_)
            servers_->stop(stop_loop);
        else
            stop_loop();
    }

    [[nodiscard]] std::uint64_t packets() const {
        std::uint64_t packets = 0;
        for (const Worker* capture : links_.captures) packets += capture->counters().packets.get();
        return packets;
    }

    static constexpr std::uint64_t kLastFlush = ~std::uint64_t{0};

    const ApplianceOptions options_;
    const bool live_;
    ControlLinks links_;
    asio::io_context io_{1};
    asio::thread_pool pool_;
    Numbers numbers_;
    asio::posix::stream_descriptor wakeup_;
    asio::steady_timer timer_;
    asio::steady_timer patience_;
    CallControl control_;
    api::Functions functions_;
    std::unique_ptr<api::Servers> servers_;
    std::vector<Outbox<Decision>> to_workers_;
    Outbox<WriterCommand> to_writer_;
    Outbox<std::uint64_t> to_signalling_;
    std::size_t workers_reading_ = 0;
    TimeNs capture_now_ns_ = 0;
    std::vector<std::uint64_t> completed_;
    std::uint64_t recordings_completed_ = 0;
    const TimeNs started_ns_ = monotonic_ns();
    Rates rates_;
    LossReport losses_;
    RateLimitedLog log_{[this](const std::string& line) { options_.log("warning", line); }};
    std::atomic<bool> stop_requested_{false};
    bool finishing_ = false;
    bool flush_sent_ = false;
    bool done_ = false;
    std::string failure_;
};

Statistics Plane::statistics() const {
    Statistics all;
    for (std::size_t worker = 0; worker < links_.workers.size(); ++worker)
        all.workers.push_back(statistics_of(*links_.captures[worker], *links_.workers[worker]));
    add_sources(links_.captures, options_.sources, all);
    all.decisions = decisions_of(links_.captures);
    all.signalling = statistics_of(*links_.signalling);
    all.signalling.events_waiting = links_.sip_events.size();
    all.writer = statistics_of(links_.writer);
    all.writer.commands_waiting = links_.writer_commands.size();
    all.writer.events_waiting = links_.writer_events.size();
    all.control = {.calls = control_.active_calls(),
                   .devices = control_.devices().size(),
                   .channels_in_use = control_.channels().in_use(),
                   .channels = control_.channels().all().size(),
                   .recordings_completed = recordings_completed_};
    if (servers_) all.servers = servers_->counters();
    all.uptime_s = seconds(monotonic_ns() - started_ns_);
    return all;
}

}  // namespace

Result<std::unique_ptr<ControlPlane>> ControlPlane::start(const ApplianceOptions& options, bool live,
                                                          ControlLinks links) {
    auto plane = std::make_unique<Plane>(options, live, std::move(links));
    if (auto listening = plane->listen(); !listening) return std::unexpected(listening.error());
    return plane;
}

}  // namespace spantape
