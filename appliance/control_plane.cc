// SPDX-License-Identifier: AGPL-3.0-or-later
#include "appliance/control_plane.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <map>

#include <fmt/format.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/functions/functions.h"
#include "appliance/archive_runs.h"
#include "appliance/audit_trail.h"
#include "appliance/loss_report.h"
#include "appliance/mail_runs.h"
#include "appliance/metrics.h"
#include "appliance/numbers.h"
#include "appliance/outbox.h"
#include "appliance/problems.h"
#include "appliance/rate_limited_log.h"
#include "appliance/retention_runs.h"
#include "appliance/statistics.h"
#include "appliance/status_document.h"
#include "appliance/store_work.h"

namespace spantape {

namespace {

namespace asio = boost::asio;

constexpr std::size_t kPoolThreads = 2;
constexpr int kInputsPerTurn = 4096;  // then the sockets are served
constexpr auto kTick = std::chrono::milliseconds(100);
constexpr TimeNs kStorageProblemNs = 3 * kNsPerSecond;  // the writer says it again within a second
constexpr TimeNs kLookAtKeyNs = 2 * kNsPerSecond;
constexpr auto kStopPatience = std::chrono::seconds(30);

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
                    .record_unsignalled = options.record_unsignalled,
                    .record_unanswered = options.record_unanswered,
                    .media_timeout_ns = options.media_timeout_ns,
                    .recording_path = options.store,
                    .workers = links_.workers.size(),
                    .blackout_limit_ns = options.blackout_limit_ns,
                    .hold_back_ns = std::max(options.hold_back_ns, options.mask_dtmf ? kDtmfPatienceNs : 0),
                    .mask_dtmf = options.mask_dtmf},
                   *this, live ? wall_clock_ns() : 0, &links_.directory),
          directory_(links_.directory, links_.directory_store, io_, pool_),
          store_work_({.index = links_.index,
                       .segments = links_.segments,
                       .keyring = links_.keyring,
                       .redact = links_.redact,
                       .put_purge_record = [this](std::uint64_t ident,
                                                  const auto& streams) { return put_purge_record(ident, streams); },
                       .archive_identity = links_.archive_identity,
                       .audit = links_.audit,
                       .integrity = links_.integrity,
                       .log = options.log}),
          functions_(
              {.control = control_,
               .outputs = *this,
               .index = links_.index,
               .segments = links_.segments,
               .control_thread = io_,
               .pool = pool_,
               .now = [this] { return now(); },
               .status = [this] { return status(); },
               .problems = [this] { return problem_sections(problems_.all()); },
               .storing_fails_since =
                   [this] {
                       const auto failing = problems_.all().find("storage: segments");
                       return failing == problems_.all().end() ? TimeNs{0} : failing->second.since_ns;
                   },
               .redact = [this](const RedactionWindow& window) { return store_work_.redact(window); },
               .reach_back = [this](const PastBlackout& blackout) { return store_work_.reach_back(blackout); },
               .silence_copies = [this](const PastBlackout& blackout,
                                        const auto& idents) { return store_work_.silence_copies(blackout, idents); },
               .audit = [this](api::AuditEntry&& entry) { audit_.request(std::move(entry)); },
               .purge = [this](const std::vector<std::uint64_t>& idents,
                               const PurgeWish& wish) { return store_work_.purge(idents, wish); },
               .directory = directory_,
               .users_dialect = options.users_dialect,
               .mail = mail_sink(),
               .access = options.access,
               .agent_blackout = options.agent_blackout,
               .vox = options.vox,
               .blackouts_file = live && options.serve ? options.store + "/blackouts.json" : ""}),
          archive_({.index = links_.index,
                    .segments = links_.segments,
                    .identity = links_.archive_identity,
                    .control_thread = io_,
                    .pool = pool_,
                    .busy =
                        [this](std::uint64_t session) {
                            return control_.session_active(session) || control_.redaction_pending(session);
                        },
                    .purge =
                        [this](auto idents, auto wish, auto done) {
                            functions_.purge_recordings(std::move(idents), std::move(wish), std::move(done));
                        },
                    .note = [this](auto entry, bool integrity) { store_work_.note(std::move(entry), integrity); },
                    .log = options.log}),
          retention_(
              {.store = options.store,
               .keep_days = options.keep_days,
               .reserve_percent = options.serve ? options.reserve_percent : 0,
               .index = links_.index,
               .control_thread = io_,
               .pool = pool_,
               .purge = [this](auto idents,
                               auto done) { functions_.purge_recordings(std::move(idents), {}, std::move(done)); },
               .wait_for = [this](const auto& idents) { return archive_.still_to_archive(idents); },
               .space_changed =
                   [this](Space space, const std::string& shortage) {
                       control_.set_space(space);
                       problems_.set("disk", shortage, wall_clock_ns());
                   },
               .log = options.log}),
          to_writer_(links_.writer_commands),
          to_signalling_(links_.sip_forget) {
        default_archive_action_ = options.archive_action;
        take_archive_actions();
        if (const auto resumed = functions_.resume_blackouts(); !resumed)
            options.log("error", "blackouts that ran do not go on: " + resumed.error().message);
        for (WorkerLinks* worker : links_.workers) to_workers_.emplace_back(worker->decisions);
        for (std::size_t worker = 0; worker < links_.captures.size(); ++worker)
            if (links_.captures[worker]->sources().empty())
                control_.on_worker(
                    {.kind = WorkerEvent::Kind::source_ended, .worker = static_cast<std::uint16_t>(worker)});
            else
                ++workers_reading_;
    }

    ~Plane() override { pool_.join(); }

    Result<> listen() {
        if (!options_.serve) return {};
        api::ServerOptions with_pages = options_.servers;
        with_pages.page = [this](std::string_view path) -> std::optional<api::TextPage> {
            if (path != "/metrics") return std::nullopt;
            return api::TextPage{kMetricsContentType, metrics_text(statistics())};
        };
        with_pages.on_refused = [this](const std::string& address, const std::string& listener) {
            audit_.refused(address, listener, monotonic_ns());
        };
        auto servers = api::Servers::start(io_, pool_, with_pages, functions_);
        if (!servers) return std::unexpected(servers.error());
        servers_ = std::move(*servers);
        look_for_problems();
        return {};
    }

    // --- ControlPlane
    std::string addresses() const override { return servers_ ? servers_->addresses() : ""; }
    void reload_certificates() override {
        asio::post(io_, [this] {
            if (!servers_) return;
            if (const auto read = servers_->reload_certificates(); !read)
                options_.log("error", "the TLS files stay as they were: " + read.error().message);
        });
    }
    void set_schedule(std::vector<RuleText> rules) override {
        asio::post(io_, [this, rules = std::move(rules)] { links_.directory.set_base_schedule(rules); });
    }
    void set_archive_actions(std::vector<ArchiveAction> actions, std::int64_t default_action) override {
        asio::post(io_, [this, actions = std::move(actions), default_action] {
            default_archive_action_ = default_action;
            links_.directory.set_base_archive_actions(actions);
        });
    }
    void request_stop() override { stop_requested_.store(true), links_.control_wakeup.signal(); }
    std::vector<std::uint64_t> completed() const override { return completed_; }

    Result<> run() override {
        wait_for_inputs();
        schedule_tick();
        if (!links_.interrupted.empty())
            asio::post(pool_, [this, idents = std::move(links_.interrupted)] {
                for (const std::uint64_t ident : idents) store_work_.seal(ident);
            });
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
    // Not inlined: GCC 12 then warns of members that the variant's other alternatives would have.
    [[gnu::noinline]] void command_writer(WriterCommand&& command) override {
        to_writer_.push(std::move(command));
        links_.writer.wakeup().notify();
    }
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
        asio::post(pool_, [this, ident] { store_work_.seal(ident); });
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
    // On the pool: through control to the writer, and waits until it is durable.
    api::MailSink mail_sink() {
        if (!options_.serve || options_.mail.url.empty()) return {};
        mail_ = std::make_unique<MailRuns>(MailRuns::Tools{.store = options_.store,
                                                           .server = options_.mail,
                                                           .first_retry_ns = options_.mail_retry_ns,
                                                           .index = links_.index,
                                                           .segments = links_.segments,
                                                           .control_thread = io_,
                                                           .audit = links_.audit,
                                                           .log = options_.log});
        return [this](api::MailJob&& job, auto done) { mail_->submit(std::move(job), std::move(done)); };
    }
    Result<> put_purge_record(std::uint64_t ident, const std::vector<std::uint64_t>& streams) {
        const auto durable = std::make_shared<std::promise<void>>();
        auto waiting = durable->get_future();
        asio::post(io_, [this, ident, streams, durable] {
            purge_records_[next_purge_token_] = durable;
            command_writer(PutPurge{ident, streams, next_purge_token_++});
        });
        while (waiting.wait_for(kTick) != std::future_status::ready)
            if (loop_ended_.load()) return fail("recording {}: not purged, the daemon ends", ident);
        return {};
    }

    [[nodiscard]] Statistics statistics() const;
    [[nodiscard]] TimeNs now() const { return live_ ? wall_clock_ns() : capture_now_ns_; }

    void decide(std::size_t worker, const Decision& decision) {
        to_workers_[worker].push(Decision(decision));
        links_.workers[worker]->worker_wakeup.notify();
    }
    void clock_at_least(TimeNs time_ns) {
        capture_now_ns_ = std::max(capture_now_ns_, time_ns);
        links_.capture_clock.store(capture_now_ns_, std::memory_order_relaxed);
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
            clock_at_least(event->time_ns);
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
        clock_at_least(event.time_ns);
        control_.on_worker(event);
        // A live source's media comes in while documents are written; what a file causes is written before it goes on.
        if (!live_)
            while (control_.write_due_document()) {
            }
        if (event.kind == WorkerEvent::Kind::source_ended) {
            if (--workers_reading_ == 0) sources_ended();
            return;
        }
        if (event.token != 0) decide(worker, {.kind = Decision::Kind::sync, .token = event.token});
    }
    void on_writer(const WriterEvent& event) {
        control_.on_writer(event);
        functions_.on_writer();
        if (const auto* stored = std::get_if<RecordingStored>(&event)) functions_.on_recording_stored(stored->ident);
        if (const auto* ready = std::get_if<BlackoutReady>(&event)) functions_.on_blackout_ready(*ready);
        if (const auto* flushed = std::get_if<Flushed>(&event); flushed != nullptr) {
            if (flushed->token == kLastFlush) done();
            if (const auto record = purge_records_.extract(flushed->token)) record.mapped()->set_value();
        }
        if (const auto* failed = std::get_if<StorageFailed>(&event))
            problems_.there_is(fmt::format("storage: {}", failed->part), failed->message, wall_clock_ns(),
                               kStorageProblemNs);
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
            if (live_) {
                control_.advance(wall_clock_ns());
                functions_.tick();
                write_documents();
            }
            retry_outputs();
            if (finishing_) advance_finish();
            watch_losses();
            if (options_.progress) options_.progress(packets());
            schedule_tick();
        });
    }

    // Those of the configuration, and what functions made of them.
    void take_archive_actions() {
        if (archive_version_ == links_.directory.archive_version()) return;
        archive_version_ = links_.directory.archive_version();
        std::vector<ArchiveAction> actions;
        for (const auto& [number, action] : links_.directory.archive_actions()) actions.push_back(action);
        archive_.set_actions(std::move(actions), default_archive_action_);
    }

    // One at a time, so that no decision waits for all of them.
    void write_documents() {
        if (control_.write_due_document()) asio::post(io_, [this] { write_documents(); });
    }

    // Ten times a second; looks once a second.
    void watch_losses() {
        const TimeNs now_ns = monotonic_ns();
        log_.tick(now_ns);
        audit_.tick(now_ns);
        if (options_.serve && !finishing_) {
            retention_.tick(now_ns);
            take_archive_actions();
            archive_.tick(now_ns);
        }
        if (!rates_.sample(now_ns, links_.captures)) return;
        look_for_problems();
        for (const std::string& line : losses_.lines(statistics())) options_.log("warning", line);
    }

    // Once a second.
    void look_for_problems() {
        const TimeNs now_ns = wall_clock_ns();
        problems_.expire(now_ns);
        if (servers_)
            for (const auto& [name, failure] : servers_->failures()) problems_.set("listener " + name, failure, now_ns);
        std::map<std::string, std::string> broken;  // of all workers
        for (const Worker* capture : links_.captures)
            for (const auto& source : capture->sources())
                if (std::string& error = broken[source->name()]; !source->lossless() && error.empty())
                    error = source->error();
        for (const auto& [name, error] : broken) problems_.set("source " + name, error, now_ns);
        if (links_.keyring && options_.serve && now_ns >= look_at_key_ns_) look_at_master_key(now_ns);
    }

    // It lies in memory: what is recorded goes on. But nothing could be read after a restart.
    void look_at_master_key(TimeNs now_ns) {
        look_at_key_ns_ = now_ns + kLookAtKeyNs;
        asio::post(pool_,
                   [this, path = master_key_of(options_.store, options_.master_key), id = links_.keyring->master_id()] {
                       const auto key = MasterKey::load(path);
                       std::string wrong;
                       if (!key)
                           wrong = key.error().message;
                       else if (key->id != id)
                           wrong = path + ": it is another key now";
                       if (!wrong.empty())
                           wrong += "; what is recorded can be read only until the daemon ends: put a copy back";
                       asio::post(io_, [this, wrong] { problems_.set("master key", wrong, wall_clock_ns()); });
                   });
    }

    void sources_ended() {
        for (const Worker* capture : links_.captures)
            for (const auto& source : capture->sources())
                if (const std::string error = source->error(); !error.empty()) options_.log("warning", error);
        options_.log("info", fmt::format("all sources have ended after {} packets", packets()));
        if (options_.exit_at_end)
            finish(std::string(kEndOfCapture));
        else
            control_.end_all(now(), std::string(kEndOfCapture));
    }

    // --- the end: calls end, recordings become durable, servers answer what they owe, the loop stops
    void finish(const std::string& reason) {
        if (finishing_) return;
        finishing_ = true;
        archive_.stop();
        functions_.freeze_blackouts();
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
            loop_ended_.store(true);
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
    static constexpr std::uint64_t kFirstPurgeToken = std::uint64_t{1} << 62;

    const ApplianceOptions options_;
    const bool live_;
    ControlLinks links_;
    asio::io_context io_{1};
    asio::thread_pool pool_;
    Numbers numbers_;
    AuditTrail audit_{links_.audit};
    asio::posix::stream_descriptor wakeup_;
    asio::steady_timer timer_;
    asio::steady_timer patience_;
    CallControl control_;
    api::DirectoryService directory_;
    StoreWork store_work_;
    std::unique_ptr<MailRuns> mail_;  // where there is a server
    api::Functions functions_;
    ArchiveRuns archive_;
    std::uint64_t archive_version_ = 0;  // of the directory's actions, as it has them
    std::int64_t default_archive_action_ = 0;
    RetentionRuns retention_;
    std::uint64_t next_purge_token_ = kFirstPurgeToken;
    std::unordered_map<std::uint64_t, std::shared_ptr<std::promise<void>>> purge_records_;  // by token
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
    Problems problems_{options_.log};
    TimeNs look_at_key_ns_ = 0;
    RateLimitedLog log_{[this](const std::string& line) { options_.log("warning", line); }};
    std::atomic<bool> stop_requested_{false};
    std::atomic<bool> loop_ended_{false};
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
    all.assurance = control_.assurance().counts();
    all.archive = archive_.counts();
    if (servers_) all.servers = servers_->counters();
    all.problems = problems_.all();
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
